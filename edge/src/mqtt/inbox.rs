//! Incoming messages: prompts and commands.

use std::sync::Arc;

use medsa_wire::json::{self, Answer};
use medsa_wire::topic::{Channel, DeviceId, ROOT, Topic};

use super::message::{Delivery, JSON, Message, Properties, Retention};
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
    /// Applies a message, or reports why it is refused. Returns the answer, if the sender asked for
    /// one.
    pub(super) fn handle(&self, message: &Message) -> Option<Message> {
        let answer = match self.apply(message) {
            Ok(done) => {
                tracing::info!("{done}");
                Answer::Accepted
            }
            Err(refusal) => {
                let answer =
                    Answer::Refused { code: refusal.code.into(), reason: refusal.reason.clone() };
                self.control.refused(format!("message on {}", message.topic), refusal);
                answer
            }
        };
        answer_to(&message.properties, &answer)
    }

    fn apply(&self, message: &Message) -> Result<String, Refusal> {
        let Message { topic, payload, retention, .. } = message;
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

/// Answer for the sender's topic; `None` if there is none, or if the device must not publish there: an
/// answer on the topics of a device would look like its own messages.
fn answer_to(properties: &Properties, answer: &Answer) -> Option<Message> {
    let topic = properties.response_topic.clone()?;
    let is_of_devices = topic.split('/').next() == Some(ROOT);
    if is_of_devices || topic.is_empty() || topic.contains(['+', '#']) {
        tracing::warn!(
            "no answer on the response topic {topic:?}, expected one outside of {ROOT}/ without wildcards"
        );
        return None;
    }
    Some(Message {
        topic,
        payload: json::value(answer).to_string().into(),
        retention: Retention::Passing,
        delivery: Delivery::AtLeastOnce,
        properties: Properties {
            content_type: Some(JSON.to_owned()),
            correlation: properties.correlation.clone(),
            ..Properties::default()
        },
    })
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
