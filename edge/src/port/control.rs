//! Prompts and commands, wherever they come from.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

use medsa_sam::prompt::Point;
use medsa_wire::topic::ObjectId;
use medsa_wire::{Command, PromptChange, PromptMessage, PromptPoint};

use super::builds::{Builds, Taking};
use super::captures::{Captures, Trigger};
use crate::meter::{Counter, Meter};
use crate::pipeline::{Activity, Change, Objects};

/// Applies prompts and commands, or refuses them.
pub struct Control {
    /// The configuration, for messages.
    pub file: PathBuf,
    /// Objects with a prompt.
    pub objects: Arc<Objects>,
    /// Records; `None` without a folder for them.
    pub captures: Option<Arc<dyn Captures>>,
    /// Changes of the build.
    pub builds: Arc<dyn Builds>,
    /// Counters.
    pub meter: Arc<Meter>,
}

impl Control {
    /// Changes the prompt of an object and returns what was done.
    ///
    /// # Errors
    /// Why the prompt is refused, for people.
    pub fn prompt(&self, message: PromptMessage) -> Result<String, String> {
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

    /// Obeys a command and returns what was done.
    ///
    /// # Errors
    /// Why the command is refused, for people.
    pub fn command(&self, command: Command, trigger: Trigger) -> Result<String, String> {
        let (activity, done) = match command {
            Command::Capture => {
                let captures = self.captures.as_ref().ok_or_else(|| self.no_records())?;
                return captures.capture(trigger).map(|()| "captured".to_owned());
            }
            Command::Reload => return self.builds.reload(),
            Command::Update => return self.builds.update(Taking::Now),
            Command::SwitchBuild => return self.builds.switch_build(),
            Command::Pause => (Activity::Paused, "paused"),
            Command::Resume => (Activity::Running, "resumed"),
            Command::Freeze => (Activity::Frozen, "frozen"),
            Command::Unfreeze => (Activity::Running, "goes on"),
            other => return Err(format!("{other:?} is not a command that this version knows")),
        };
        self.objects.set_activity(activity);
        Ok(done.to_owned())
    }

    /// Logs and counts a refused request.
    pub fn refused(&self, request: impl Display, reason: impl Display) {
        self.meter.count(Counter::MessagesRefused);
        tracing::warn!("{request} refused: {reason}");
    }

    fn no_records(&self) -> String {
        format!(
            "{}: the section [records] is missing, expected one with records.folder: captures are \
             refused without",
            self.file.display()
        )
    }
}
