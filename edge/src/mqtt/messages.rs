//! Outgoing messages of a device, in the configured formats.

use bytes::Bytes;
use medsa_wire::WireError;
use medsa_wire::json::{self, ToJson};
use medsa_wire::topic::{Channel, DeviceId};

use super::message::{Delivery, Message, Retention};
use crate::config::Format;

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
        Ok(Message { topic, payload, retention, delivery })
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
        let mut messages = Vec::new();
        if self.format != Format::Postcard {
            let (topic, payload) = (json::topic(&topic), json::encode(message).into());
            messages.push(Message { topic, payload, retention, delivery });
        }
        if self.format != Format::Json {
            let payload = postcard(message)?;
            messages.push(Message { topic, payload, retention, delivery });
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
