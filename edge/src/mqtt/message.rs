//! What is published.

use bytes::Bytes;

/// A message on a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The topic.
    pub topic: String,
    /// The payload.
    pub payload: Bytes,
    /// Whether the broker keeps it for those who come later.
    pub retention: Retention,
    /// Whether the receiver confirms it.
    pub delivery: Delivery,
}

/// Whether a broker keeps a message for those who come later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// It goes to those who are there.
    Passing,
    /// The last one is kept.
    Retained,
}

/// Whether a receiver confirms a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Sent once (QoS 0).
    AtMostOnce,
    /// Confirmed by the broker (QoS 1).
    AtLeastOnce,
}
