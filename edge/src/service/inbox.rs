//! The incoming half: prompts and commands, refused unless they are right.

use std::path::PathBuf;
use std::sync::Arc;

use medsa_sam::prompt::Point;
use medsa_wire::topic::{Channel, DeviceId, ObjectId, Topic};
use medsa_wire::{Command, PromptChange, PromptMessage, PromptPoint};

use super::json;
use super::recorder::Recorder;
use crate::error::Error;
use crate::mqtt::Message;
use crate::pipeline::{Activity, Change, Counter, Meter, Objects};
use crate::records::Trigger;

/// Applies messages to the prompts in force.
pub(super) struct Inbox {
    pub device: DeviceId,
    pub max_payload_bytes: usize,
    pub objects: Arc<Objects>,
    /// `None` without a folder for records.
    pub recorder: Option<Recorder>,
    /// The configuration, for messages.
    pub config: PathBuf,
    pub meter: Arc<Meter>,
}

impl Inbox {
    /// Applies a message, or refuses it: counted, logged, and never fatal.
    pub(super) fn handle(&self, message: &Message) {
        match self.apply(message) {
            Ok(done) => tracing::info!("{done}"),
            Err(reason) => {
                self.meter.count(Counter::MessagesRefused);
                tracing::warn!("message on {} refused: {reason}", message.topic);
            }
        }
    }

    fn apply(&self, Message { topic, payload, .. }: &Message) -> Result<String, String> {
        let (found, limit) = (payload.len(), self.max_payload_bytes);
        if found > limit {
            return Err(format!("{found} bytes, at most {limit} are accepted"));
        }
        let (topic, form) = match json::of_json(topic) {
            Some(topic) => (topic, Form::Json),
            None => (topic.as_str(), Form::Postcard),
        };
        let topic = Topic::parse(topic).map_err(|error| error.to_string())?;
        match topic.channel {
            Channel::Prompt if topic.device == self.device => {
                self.prompt(form.decode::<PromptMessage>(payload)?)
            }
            Channel::Command if topic.device == self.device => {
                self.command(form.decode::<Command>(payload)?)
            }
            _ => Err("not a topic that this device listens to".into()),
        }
    }

    fn prompt(&self, message: PromptMessage) -> Result<String, String> {
        let object = ObjectId::new(message.object).map_err(|error| error.to_string())?;
        let point = |p: &PromptPoint| Point { x: p.x, y: p.y, positive: p.positive };
        let (change, done) = match message.change {
            PromptChange::Clear => (Change::Clear, "cleared".to_owned()),
            PromptChange::Undo => (Change::Undo, "taken back by one change".to_owned()),
            PromptChange::Add(added) => (Change::Add(point(&added)), "has one point more".into()),
            PromptChange::Set { points, bbox } => {
                let points: Vec<_> = points.iter().map(point).collect();
                let bbox = bbox.map(|b| [b.x0, b.y0, b.x1, b.y1]);
                let boxes = if bbox.is_some() { " and a box" } else { "" };
                let done = format!("set to {} points{boxes}", points.len());
                (Change::Set { points, bbox }, done)
            }
        };
        self.objects.change(object, change).map_err(|error| error.to_string())?;
        Ok(format!("prompt of object {} {done}", object.get()))
    }

    fn command(&self, command: Command) -> Result<String, String> {
        if command == Command::Capture {
            let missing = || Error::NoRecords { file: self.config.clone() }.to_string();
            self.recorder.as_ref().ok_or_else(missing)?.capture(Trigger::Mqtt)?;
            return Ok("captured".to_owned());
        }
        let (activity, done) = match command {
            Command::Pause => (Activity::Paused, "paused"),
            Command::Resume => (Activity::Running, "resumed"),
            Command::Freeze => (Activity::Frozen, "frozen"),
            Command::Unfreeze => (Activity::Running, "goes on"),
            other => return Err(format!("{other:?} is not a command that this version knows")),
        };
        self.objects.set_activity(activity);
        Ok(done.to_owned())
    }
}

/// How an incoming message is written.
#[derive(Clone, Copy)]
enum Form {
    Postcard,
    Json,
}

impl Form {
    fn decode<M: medsa_wire::Message>(self, payload: &[u8]) -> Result<M, String> {
        match self {
            Self::Postcard => M::decode(payload).map_err(|error| error.to_string()),
            Self::Json => json::decode(payload),
        }
    }
}
