//! Events that sources deliver.

use std::time::{Duration, Instant};

use medsa_frames::Frame;

use super::error::Error;

/// A source of frames.
pub trait Source: Send + 'static {
    /// Returns the next event, waiting at most `wait`.
    fn next(&mut self, wait: Duration) -> Event;
}

/// An event of a source.
#[derive(Debug)]
pub enum Event {
    /// A frame arrived.
    Frame(Received),
    /// A frame arrived that cannot be used; others are not affected.
    Damaged(Error),
    /// Nothing happened within the wait.
    Nothing,
    /// The source is about to connect.
    Starting,
    /// The source was lost, or could not be connected to.
    Lost {
        /// Kind of loss.
        loss: Loss,
        /// Reason.
        reason: Error,
        /// Time until the next attempt.
        retry_in: Duration,
    },
    /// The last frame was delivered.
    Ended,
}

/// Kind of loss of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The connection could not be made.
    Unreachable,
    /// It was connected, but no undamaged frame arrived within the limit.
    Stalled,
    /// The source or its connection ended.
    Broken,
}

/// A frame as the source delivers it.
#[derive(Debug)]
pub struct Received {
    /// The whole image, with the pixel spacing that the source states.
    pub frame: Frame,
    /// Time of capture on this machine's clock: the driver's time, or else the time at which the
    /// last byte arrived.
    pub captured: Instant,
    /// Time of capture on the source's own clock, in microseconds since that clock's zero.
    pub source_us: Option<u64>,
    /// Number of frames lost since the previous one, if the source counts them.
    pub missed: u32,
}
