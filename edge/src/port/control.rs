//! Prompts and commands from all adapters.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

use medsa_sam::prompt::Point;
use medsa_wire::topic::ObjectId;
use medsa_wire::{Command, PromptChange, PromptMessage, PromptPoint};

use super::builds::{Activate, Builds, Switch};
use super::captures::{Captures, Deletion, Requester, Subject};
use super::names::Names;
use super::refusal::Refusal;
use super::study::{Studies, Worklist};
use crate::config::Preset;
use crate::meter::{Counter, Meter};
use crate::pipeline::{Activity, Change, Error, Objects};

/// Applies or refuses prompts and commands.
pub struct Control {
    /// Path of the configuration, for messages.
    pub file: PathBuf,
    /// Objects with a prompt.
    pub objects: Arc<Objects>,
    /// Names of objects.
    pub names: Names,
    /// Examinations to choose from.
    pub presets: Vec<Preset>,
    /// Storage of captures; `None` without a folder for records.
    pub captures: Option<Arc<dyn Captures>>,
    /// The study of the captures; `None` without a folder for records.
    pub studies: Option<Arc<dyn Studies>>,
    /// Worklist of the hospital, if it is configured.
    pub worklist: Option<Arc<dyn Worklist>>,
    /// Replacement of the build.
    pub builds: Arc<dyn Builds>,
    /// Counters.
    pub meter: Arc<Meter>,
}

impl Control {
    /// Changes the prompt of an object and describes the change.
    ///
    /// # Errors
    /// The reason why the prompt is refused.
    pub fn prompt(&self, message: PromptMessage) -> Result<String, Refusal> {
        let object = ObjectId::new(message.object);
        let object = object.map_err(|error| Refusal::not_a_message(error.to_string()))?;
        let point = |p: &PromptPoint| Point { x: p.x, y: p.y, positive: p.positive };
        let (change, done) = match message.change {
            PromptChange::Clear => (Change::Clear, "cleared".to_owned()),
            PromptChange::Undo => (Change::Undo, "undone by one change".to_owned()),
            PromptChange::Redo => (Change::Redo, "redone by one change".to_owned()),
            PromptChange::Add(added) => (Change::Add(point(&added)), "has one more point".into()),
            PromptChange::Set { points, bbox } => {
                let points: Vec<_> = points.iter().map(point).collect();
                let bbox = bbox.map(|b| [b.x0, b.y0, b.x1, b.y1]);
                let boxes = if bbox.is_some() { " and a box" } else { "" };
                let done = format!("set to {} points{boxes}", points.len());
                (Change::Set { points, bbox }, done)
            }
        };
        self.objects.change(object, change).map_err(|error| {
            let code = match error {
                Error::NoFrameYet => "no-frame-yet",
                _ => "prompt-does-not-fit",
            };
            Refusal::new(code, error.to_string())
        })?;
        Ok(format!("prompt of object {} {done}", object.get()))
    }

    /// Executes a command and describes the result.
    ///
    /// # Errors
    /// The reason why the command is refused.
    pub fn command(&self, command: Command, by: &Requester) -> Result<String, Refusal> {
        let build = |reason: String| Refusal::new("build-not-changed", reason);
        let (activity, done) = match command {
            Command::Capture => return self.capture(&Subject::Newest, by),
            Command::Reload => return self.builds.reload().map_err(build),
            Command::Update => return self.builds.update(Activate::Now).map_err(build),
            Command::SwitchBuild => return self.builds.switch_build().map_err(build),
            Command::Pause => (Activity::Paused, "paused"),
            Command::Resume => (Activity::Running, "resumed"),
            Command::Freeze => (Activity::Frozen, "frozen"),
            Command::Unfreeze => (Activity::Running, "unfrozen"),
            other => {
                let reason = format!("this version does not support the command {other:?}");
                return Err(Refusal::not_a_message(reason));
            }
        };
        self.objects.set_activity(activity);
        Ok(done.to_owned())
    }

    /// Names all objects as an examination does, once its build is in use.
    ///
    /// # Errors
    /// There is no such examination, or its build cannot be used.
    pub fn preset(&self, name: &str) -> Result<Switch, Refusal> {
        let preset = self.presets.iter().find(|preset| preset.name == name).ok_or_else(|| {
            let file = self.file.display();
            Refusal::new("no-such-preset", format!("{file}: there is no preset {name:?}"))
        })?;
        let (names, objects) = (self.names.clone(), preset.objects.clone());
        let name_objects = move || names.replace(&objects);
        if let Some(build) = &preset.build {
            return self.builds.choose(build, Box::new(name_objects));
        }
        name_objects();
        Ok(Switch::Done)
    }

    /// Queues a capture and describes the result.
    ///
    /// # Errors
    /// The reason why the capture is refused.
    pub fn capture(&self, subject: &Subject, by: &Requester) -> Result<String, Refusal> {
        let captures = self.captures.as_ref().ok_or_else(|| self.no_records())?;
        captures.capture(subject, by).map(|()| "captured".to_owned())
    }

    /// Deletes a record; the log holds the reason.
    ///
    /// # Errors
    /// The reason why the record is not deleted.
    pub fn delete(&self, id: &str, why: &Deletion, by: &Requester) -> Result<(), Refusal> {
        self.captures.as_ref().ok_or_else(|| self.no_records())?.delete(id, why)?;
        if let Some(user) = &by.user {
            tracing::info!("audit: {user}: deleted record {id}: {why}");
        }
        Ok(())
    }

    /// Logs and counts a refused request.
    pub fn refused(&self, request: impl Display, reason: impl Display) {
        self.meter.count(Counter::MessagesRefused);
        tracing::warn!("{request} refused: {reason}");
    }

    fn no_records(&self) -> Refusal {
        let reason = format!(
            "{}: there are no records because the section [records] is missing; add it with \
             records.folder",
            self.file.display()
        );
        Refusal::new("no-records", reason)
    }
}
