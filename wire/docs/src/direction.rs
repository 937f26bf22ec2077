//! Directions of messages.

/// Sender of the messages of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The device sends them.
    FromDevice,
    /// The device receives them.
    ToDevice,
}
