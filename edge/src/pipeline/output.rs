//! Where masks leave the pipeline.

use std::time::Instant;

use medsa_wire::MaskMessage;
use tokio::sync::mpsc;

use super::meter::{Counter, Meter};
use crate::config::Pace;
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
