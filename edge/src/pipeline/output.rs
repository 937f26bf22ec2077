//! Masks that leave the pipeline.

use std::sync::Arc;
use std::time::{Duration, Instant};

use medsa_wire::{MAX_OBJECT, MaskMessage};
use tokio::sync::mpsc;

use super::recent::{Recent, ShotObject};
use super::slot::BuildIdentity;
use crate::config::Pace;
use crate::meter::{Counter, Meter};
use crate::source::Captured;
use crate::watchdog::Beat;

/// A mask that waits for the broker.
#[derive(Debug)]
pub struct QueuedMask {
    /// Time of capture of its frame.
    pub captured: Instant,
    /// Its number among all masks, for [`Recent::shot`].
    pub revision: u64,
    /// The message; its age is filled in when it is sent.
    pub message: Box<MaskMessage>,
}

/// The newest mask of each object, for viewers.
#[derive(Clone, Debug, Default)]
pub struct NewestMasks {
    masks: [Option<Arc<QueuedMask>>; MAX_OBJECT as usize + 1],
    latency: Option<Duration>,
}

impl NewestMasks {
    /// Stores a mask, unless that of a later frame is stored already: masks of the network are
    /// later than followed ones.
    pub fn update(&mut self, ready: &QueuedMask) {
        let QueuedMask { captured, revision, message } = ready;
        if message.segmented {
            self.latency = Some(captured.elapsed());
        }
        let Some(slot) = self.masks.get_mut(usize::from(message.object)) else { return };
        if slot.as_ref().is_none_or(|known| known.message.frame_id <= message.frame_id) {
            let (captured, revision, message) = (*captured, *revision, message.clone());
            *slot = Some(Arc::new(QueuedMask { captured, revision, message }));
        }
    }

    /// The masks, by object number.
    pub fn masks(&self) -> &[Option<Arc<QueuedMask>>] {
        &self.masks
    }

    /// Time from capture to mask of the last mask that the network made.
    pub fn latency(&self) -> Option<Duration> {
        self.latency
    }
}

/// A mask before it is queued.
pub(super) struct Ready {
    pub message: Box<MaskMessage>,
    /// `None` for a lost object.
    pub object: Option<ShotObject>,
}

impl Ready {
    pub fn new(message: Box<MaskMessage>, object: ShotObject) -> Self {
        Self { message, object: Some(object) }
    }
}

/// A bounded queue of masks.
pub(super) struct Output {
    pub queue: mpsc::Sender<QueuedMask>,
    pub recent: Recent,
    pub pace: Pace,
    /// Sign of life of the stage that sends masks.
    pub beat: Beat,
}

/// Error: the receiver of masks is gone.
pub(super) struct Closed;

impl Output {
    /// Queues a mask, and keeps it for captures. If the queue of a live source is full, the mask is
    /// dropped and counted. `build` made the mask; `None` for the build that segmented last.
    pub fn send(
        &self,
        captured: &Captured,
        mask: Ready,
        build: Option<&Arc<BuildIdentity>>,
        meter: &Meter,
    ) -> Result<(), Closed> {
        meter.count(Counter::MasksOut);
        let Ready { message, object } = mask;
        let revision = self.recent.mask(captured, message.object, object, build);
        let ready = QueuedMask { captured: captured.captured, revision, message };
        let sent = match self.pace {
            Pace::Live => self.queue.try_send(ready),
            // Waits for room, so that no mask of a recording is lost.
            Pace::EveryFrame => self
                .beat
                .wait(|| self.queue.blocking_send(ready))
                .map_err(|closed| mpsc::error::TrySendError::Closed(closed.0)),
        };
        match sent {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => {
                meter.count(Counter::MasksDropped);
                Ok(())
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Closed),
        }
    }
}
