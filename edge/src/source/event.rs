//! What sources deliver.

use std::time::{Duration, Instant};

use medsa_frames::Frame;

use super::error::Error;

/// Where frames come from.
pub trait Source: Send + 'static {
    /// What happens next, waiting no longer than `wait`.
    fn next(&mut self, wait: Duration) -> Event;
}

/// What happens at a source.
#[derive(Debug)]
pub enum Event {
    /// A frame has come.
    Frame(Received),
    /// A frame came that cannot be used; the others are not affected.
    Damaged(Error),
    /// Nothing, for as long as was waited.
    Nothing,
    /// The source is about to be connected.
    Starting,
    /// The source was lost, or could not be connected.
    Lost {
        /// What kind of loss it is.
        loss: Loss,
        /// What happened.
        reason: Error,
        /// Time to the next attempt.
        retry_in: Duration,
    },
    /// The last frame was given.
    Ended,
}

/// How a source was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It could not be connected.
    Unreachable,
    /// It was connected, and no undamaged frame came for too long.
    Stalled,
    /// It ended, or its connection did.
    Broken,
}

/// A frame as it comes from the source.
#[derive(Debug)]
pub struct Received {
    /// The whole picture, with the pixel spacing that the source states.
    pub frame: Frame,
    /// When it was captured, as closely as this machine's clock knows: by the driver, or else
    /// when the last of its bytes had come.
    pub captured: Instant,
    /// When it was captured by the source's own clock, in microseconds since that clock's zero.
    pub source_us: Option<u64>,
    /// Frames that were lost since the one before, where the source counts them.
    pub missed: u32,
}
