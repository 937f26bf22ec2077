//! Incoming messages: prompts and commands.

use std::sync::Arc;

use medsa_wire::json;
use medsa_wire::topic::{Channel, DeviceId, Topic};

use super::message::{Message, Retention};
use crate::port::{Control, Refusal, Trigger};

/// Decodes messages and applies them.
pub struct Inbox {
    /// Name of the device.
    pub device: DeviceId,
    /// Largest payload that is decoded, in bytes.
    pub max_payload_bytes: usize,
    /// Applies prompts and commands.
    pub control: Arc<Control>,
}

impl Inbox {
    /// Applies a message, or reports why it is refused.
    pub(super) fn handle(&self, message: &Message) {
        match self.apply(message) {
            Ok(done) => tracing::info!("{done}"),
            Err(reason) => self.control.refused(format!("message on {}", message.topic), reason),
        }
    }

    fn apply(&self, message: &Message) -> Result<String, Refusal> {
        let Message { topic, payload, retention, delivery: _ } = message;
        if *retention == Retention::Retained {
            // It was meant for an earlier image, and would be repeated at every connection.
            let reason = "the broker has retained it; publish prompts and commands without the retain \
                          flag, and delete this one with an empty retained message";
            return Err(Refusal::not_a_message(reason));
        }
        let (found, limit) = (payload.len(), self.max_payload_bytes);
        if found > limit {
            let reason = format!("{found} bytes, at most {limit} are accepted");
            return Err(Refusal::not_a_message(reason));
        }
        let (topic, form) = match json::of_json(topic) {
            Some(topic) => (topic, Form::Json),
            None => (topic.as_str(), Form::Postcard),
        };
        let topic = Topic::parse(topic);
        let topic = topic.map_err(|error| Refusal::not_a_message(error.to_string()))?;
        match topic.channel {
            Channel::Prompt if topic.device == self.device => {
                self.control.prompt(form.decode(payload)?)
            }
            Channel::Command if topic.device == self.device => {
                self.control.command(form.decode(payload)?, &Trigger::Mqtt.into())
            }
            _ => Err(Refusal::not_a_message("the device does not subscribe to this topic")),
        }
    }
}

/// Encoding of an incoming message.
#[derive(Clone, Copy)]
enum Form {
    Postcard,
    Json,
}

impl Form {
    fn decode<M: medsa_wire::Message>(self, payload: &[u8]) -> Result<M, Refusal> {
        let decoded = match self {
            Self::Postcard => M::decode(payload).map_err(|error| error.to_string()),
            Self::Json => json::decode(payload),
        };
        decoded.map_err(Refusal::not_a_message)
    }
}
