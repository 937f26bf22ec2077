//! Outgoing messages of a device, in the configured formats.

use bytes::Bytes;
use medsa_wire::WireError;
use medsa_wire::json::{self, ToJson};
use medsa_wire::topic::{Channel, DeviceId};

use super::message::{Delivery, Message, Properties, Retention};
use crate::config::Format;

/// Time after which brokers drop masks, in seconds: the shortest that MQTT can state.
const MASK_EXPIRES_AFTER_S: u32 = 1;

/// Encodes the messages of a device.
#[derive(Clone)]
pub struct Messages {
    /// Name of the device.
    pub device: DeviceId,
    /// Format of the payloads.
    pub format: Format,
}

impl Messages {
    /// Messages that are sent once (QoS 0) and not retained.
    pub(super) fn passing(
        &self,
        channel: Channel,
        message: &impl ToJson,
    ) -> Result<Vec<Message>, WireError> {
        self.messages(channel, message, Retention::Passing, Delivery::AtMostOnce)
    }

    /// Messages that the broker confirms (QoS 1) and retains.
    pub(super) fn retained(
        &self,
        channel: Channel,
        message: &impl ToJson,
    ) -> Result<Vec<Message>, WireError> {
        self.messages(channel, message, Retention::Retained, Delivery::AtLeastOnce)
    }

    /// Messages that the broker confirms (QoS 1) and does not retain.
    pub(super) fn confirmed(
        &self,
        channel: Channel,
        message: &impl ToJson,
    ) -> Result<Vec<Message>, WireError> {
        self.messages(channel, message, Retention::Passing, Delivery::AtLeastOnce)
    }

    /// The `availability` message, in one format only: a client has one last will, so a second
    /// format would report a crashed device as online for ever.
    ///
    /// # Errors
    /// None: the message has a fixed size.
    pub fn availability(
        &self,
        availability: medsa_wire::Availability,
    ) -> Result<Message, WireError> {
        let format = match self.format {
            Format::Json => Format::Json,
            Format::Postcard | Format::Both => Format::Postcard,
        };
        let channel = Channel::Availability;
        let (topic, payload) = if format == Format::Json {
            (json::topic(&self.topic(channel)), json::encode(&availability).into())
        } else {
            (self.topic(channel), postcard(&availability)?)
        };
        let (retention, delivery) = (Retention::Retained, Delivery::AtLeastOnce);
        let properties = Properties::of_topic(&topic);
        Ok(Message { topic, payload, retention, delivery, properties })
    }

    /// Topics of a channel to subscribe to, one for each format.
    pub(super) fn subscriptions(&self, channel: Channel) -> [String; 2] {
        let topic = self.topic(channel);
        [json::topic(&topic), topic]
    }

    fn topic(&self, channel: Channel) -> String {
        self.device.topic(channel).to_string()
    }

    fn messages(
        &self,
        channel: Channel,
        message: &impl ToJson,
        retention: Retention,
        delivery: Delivery,
    ) -> Result<Vec<Message>, WireError> {
        let topic = self.topic(channel);
        // A mask that comes late is that of an image that is gone.
        let expires_after_s = matches!(channel, Channel::Mask(_)).then_some(MASK_EXPIRES_AFTER_S);
        let message_on = |topic: String, payload| {
            let properties = Properties { expires_after_s, ..Properties::of_topic(&topic) };
            Message { topic, payload, retention, delivery, properties }
        };
        let mut messages = Vec::new();
        if self.format != Format::Postcard {
            messages.push(message_on(json::topic(&topic), json::encode(message).into()));
        }
        if self.format != Format::Json {
            messages.push(message_on(topic, postcard(message)?));
        }
        Ok(messages)
    }
}

fn postcard<M: medsa_wire::Message>(message: &M) -> Result<Bytes, WireError> {
    let mut buffer = vec![0; M::MAX_ENCODED_LEN];
    let length = message.encode(&mut buffer)?.len();
    buffer.truncate(length);
    Ok(Bytes::from(buffer))
}
