//! What people ask of the device, refused unless it is right: one way for all who carry it here.

use std::fmt::Display;
use std::sync::Arc;

use medsa_sam::prompt::Point;
use medsa_wire::topic::ObjectId;
use medsa_wire::{Command, PromptChange, PromptMessage, PromptPoint};

use medsa_update::State;

use super::installed;
use super::recorder::Recorder;
use super::reload::{Reloader, Taking};
use crate::config::Config;
use crate::error::Error;
use crate::pipeline::{Activity, Change, Counter, Meter, Objects};
use crate::records::{Records, Trigger};

/// Applies prompts and commands.
pub(crate) struct Control {
    pub(super) objects: Arc<Objects>,
    /// `None` without a folder for records.
    pub(super) recorder: Option<Recorder>,
    pub(super) reloader: Arc<Reloader>,
    pub(super) config: Arc<Config>,
    pub(super) meter: Arc<Meter>,
}

impl Control {
    /// Changes the prompt of an object; tells what was done, or why not.
    pub(crate) fn prompt(&self, message: PromptMessage) -> Result<String, String> {
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

    /// Obeys a command; tells what was done, or why not.
    pub(crate) fn command(&self, command: Command, trigger: Trigger) -> Result<String, String> {
        if command == Command::Capture {
            let missing = || Error::NoRecords { file: self.config.file.clone() }.to_string();
            self.recorder.as_ref().ok_or_else(missing)?.capture(trigger)?;
            return Ok("captured".to_owned());
        }
        match command {
            Command::Reload => return self.reloader.reload(),
            Command::Update => return self.reloader.update(Taking::Now),
            Command::SwitchBuild => return self.reloader.switch_build(),
            _ => {}
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

    /// What is in the slots of the device, where it has any.
    ///
    /// # Errors
    /// [`Error::Slots`].
    pub(crate) fn slots(&self) -> Result<Option<State>, Error> {
        let path = &self.config.build.path;
        path.is_dir().then(|| installed::state(path)).transpose()
    }

    /// Whether the device knows where newer builds come from.
    pub(crate) fn can_update(&self) -> bool {
        self.config.update.as_ref().is_some_and(|update| update.repository.is_some())
    }

    /// The objects that people asked for.
    pub(crate) fn objects(&self) -> &Objects {
        &self.objects
    }

    /// What is kept, where anything is.
    pub(crate) fn records(&self) -> Option<&Records> {
        self.recorder.as_ref().map(Recorder::records)
    }

    /// Takes note of what was refused, wherever it came from: counted, logged, and never fatal.
    pub(crate) fn refused(&self, what: impl Display, reason: impl Display) {
        self.meter.count(Counter::MessagesRefused);
        tracing::warn!("{what} refused: {reason}");
    }
}
