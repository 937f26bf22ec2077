//! Messages to publish.

use bytes::Bytes;

/// A message on a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The topic.
    pub topic: String,
    /// The payload.
    pub payload: Bytes,
    /// Retention by the broker.
    pub retention: Retention,
    /// Quality of service.
    pub delivery: Delivery,
}

/// Retention of a message by the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// Sent to present subscribers only.
    Passing,
    /// The last message is kept for later subscribers.
    Retained,
}

/// Quality of service of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Sent once (QoS 0).
    AtMostOnce,
    /// Confirmed by the broker (QoS 1).
    AtLeastOnce,
}
