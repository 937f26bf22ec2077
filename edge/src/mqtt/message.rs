//! Messages to publish.

use bytes::Bytes;
use medsa_wire::json;

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
    /// Properties of MQTT 5.
    pub properties: Properties,
}

/// Properties of a message, which only MQTT 5 transfers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// Form of the payload.
    pub content_type: Option<String>,
    /// Time after which the broker no longer delivers the message, in seconds.
    pub expires_after_s: Option<u32>,
    /// Topic for an answer.
    pub response_topic: Option<String>,
    /// Data of the sender that belongs to the answer, too.
    pub correlation: Option<Bytes>,
}

impl Properties {
    /// Properties of a message of this device on `topic`.
    pub(super) fn of_topic(topic: &str) -> Self {
        let content_type = json::of_json(topic).map_or(COMPACT, |_| JSON);
        Self { content_type: Some(content_type.to_owned()), ..Self::default() }
    }
}

/// Content type of the compact form.
const COMPACT: &str = "application/octet-stream";

/// Content type of the JSON form.
pub(super) const JSON: &str = "application/json";

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
