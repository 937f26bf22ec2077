//! Where masks leave the pipeline.

use std::sync::Arc;
use std::time::{Duration, Instant};

use medsa_wire::{MAX_OBJECT, MaskMessage, MaskState};
use tokio::sync::mpsc;

use crate::config::Pace;
use crate::meter::{Counter, Meter};
use crate::source::Captured;
use crate::watchdog::Beat;

/// A mask that waits for the broker.
#[derive(Debug)]
pub struct Ready {
    /// When its frame was captured.
    pub captured: Instant,
    /// The message; its age is filled in when it leaves.
    pub message: Box<MaskMessage>,
}

/// The newest mask of each object, for those who look on.
#[derive(Clone, Debug, Default)]
pub struct NewestMasks {
    masks: [Option<Arc<Ready>>; MAX_OBJECT as usize + 1],
    latency: Option<Duration>,
}

impl NewestMasks {
    /// Takes a mask in, unless a later frame's is there: the network is slower than following.
    pub fn update(&mut self, ready: &Ready) {
        let Ready { captured, message } = ready;
        if message.state == MaskState::Segmented {
            self.latency = Some(captured.elapsed());
        }
        let Some(slot) = self.masks.get_mut(usize::from(message.object)) else { return };
        if slot.as_ref().is_none_or(|known| known.message.frame_id <= message.frame_id) {
            let (captured, message) = (*captured, message.clone());
            *slot = Some(Arc::new(Ready { captured, message }));
        }
    }

    /// The masks, by number.
    pub fn masks(&self) -> &[Option<Arc<Ready>>] {
        &self.masks
    }

    /// Time from capture to mask of the last one that the network made.
    pub fn latency(&self) -> Option<Duration> {
        self.latency
    }
}

/// A bounded queue of masks.
pub(super) struct Output {
    pub queue: mpsc::Sender<Ready>,
    pub pace: Pace,
    /// Of the stage that masks come from.
    pub beat: Beat,
}

/// Nobody takes masks any more.
pub(super) struct Closed;

impl Output {
    /// Hands a mask over; what a live queue has no room for is dropped and counted.
    pub fn send(
        &self,
        captured: &Captured,
        message: Box<MaskMessage>,
        meter: &Meter,
    ) -> Result<(), Closed> {
        meter.count(Counter::MasksOut);
        let ready = Ready { captured: captured.captured, message };
        let sent = match self.pace {
            Pace::Live => self.queue.try_send(ready),
            // Waits for room, so that nothing of a recording is lost.
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
