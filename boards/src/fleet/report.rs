//! What a device says of itself: `medsa-edge status --json`.

use std::fmt;

use medsa_update::Installed;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a device says, as far as it is of use here.
pub struct Report {
    /// All that it says.
    pub raw: Value,
    device: String,
    board: String,
    slots: Option<Slots>,
    health: Option<Health>,
    health_error: Option<String>,
}

/// A build in a slot.
#[derive(Clone, Deserialize, Serialize)]
pub struct Build {
    name: String,
    version: String,
    sha256: String,
}

/// How far a device is with a build.
pub enum Progress {
    /// It has it, confirmed, and is well.
    Well,
    /// It may yet be.
    Waiting(String),
    /// It will not be.
    Failed(String),
}

#[derive(Deserialize)]
struct Fields {
    device: String,
    board: String,
    slots: Option<Slots>,
    health: Option<Health>,
    health_error: Option<String>,
}

#[derive(Deserialize)]
struct Slots {
    a: Option<Build>,
    b: Option<Build>,
    in_use: Option<Slot>,
    phase: Phase,
    failed: Vec<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Slot {
    A,
    B,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Phase {
    Settled,
    Staged,
    Trial,
}

#[derive(Deserialize)]
struct Health {
    status: String,
    build: String,
    source: State,
    reload: State,
}

#[derive(Deserialize)]
struct State {
    state: String,
    reason: Option<String>,
}

impl Report {
    /// Reads what the program prints.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |error| format!("its status cannot be read: {error}");
        let raw: Value = serde_json::from_str(text).map_err(wrong)?;
        let Fields { device, board, slots, health, health_error } =
            Fields::deserialize(&raw).map_err(wrong)?;
        Ok(Self { raw, device, board, slots, health, health_error })
    }

    /// The build in use.
    pub fn in_use(&self) -> Option<&Build> {
        let slots = self.slots.as_ref()?;
        match slots.in_use? {
            Slot::A => slots.a.as_ref(),
            Slot::B => slots.b.as_ref(),
        }
    }

    /// Whether that is `build`, and no longer on trial.
    pub fn has(&self, build: &Installed) -> bool {
        self.uses(build) && !self.is_on_trial()
    }

    /// How far it is with `build`, which it was told to take.
    pub fn progress(&self, build: &Installed) -> Progress {
        let Some(slots) = &self.slots else {
            return Progress::Failed("its build is a file, expected a folder of slots".into());
        };
        match self.in_use() {
            Some(_) if self.uses(build) && self.is_on_trial() => {
                Progress::Waiting(format!("{build} is on trial, the service is {}", self.service()))
            }
            Some(_) if self.uses(build) && self.is_well_with(build) => Progress::Well,
            Some(_) if self.uses(build) => {
                let runs = self.health.as_ref().map(|health| format!("runs {} and ", health.build));
                let runs = runs.unwrap_or_default();
                Progress::Waiting(format!("the service {runs}is {}", self.service()))
            }
            other if slots.failed.contains(&build.sha256) => {
                let back = other.map_or("nothing".to_owned(), Build::to_string);
                Progress::Failed(format!("it went back to {back}{}", self.why_not()))
            }
            other => {
                let other = other.map_or("nothing".to_owned(), Build::to_string);
                Progress::Waiting(format!("{other} is in use"))
            }
        }
    }

    /// For people: device, board, build, how far that is, and how the service is.
    pub fn row(&self) -> [String; 5] {
        let build = self.in_use().map_or("-".to_owned(), Build::to_string);
        let state = match self.slots.as_ref().map(|slots| slots.phase) {
            None => "a file",
            Some(Phase::Trial) => "on trial",
            Some(Phase::Staged) => "confirmed, another is staged",
            Some(Phase::Settled) => "confirmed",
        };
        [self.device.clone(), self.board.clone(), build, state.to_owned(), self.service()]
    }

    /// Whether that is `build`.
    pub fn uses(&self, build: &Installed) -> bool {
        self.in_use().is_some_and(|in_use| in_use.sha256 == build.sha256)
    }

    fn is_on_trial(&self) -> bool {
        self.slots.as_ref().is_some_and(|slots| slots.phase == Phase::Trial)
    }

    fn is_well_with(&self, build: &Installed) -> bool {
        let is_well = |health: &Health| health.status == "ok" && health.build == build.to_string();
        self.health.as_ref().is_some_and(is_well)
    }

    fn service(&self) -> String {
        match &self.health {
            None => {
                let reason = self.health_error.as_deref().unwrap_or("it does not say why");
                format!("not heard of: {reason}")
            }
            Some(Health { status, .. }) if status == "ok" => status.clone(),
            Some(Health { status, source: State { state, reason }, .. }) => {
                let reason = reason.as_ref().map(|reason| format!(": {reason}"));
                format!("{status}: source {state}{}", reason.unwrap_or_default())
            }
        }
    }

    /// What the service says about a build that it did not take over.
    fn why_not(&self) -> String {
        let reason = self.health.as_ref().and_then(|health| health.reload.reason.as_ref());
        reason.map(|reason| format!(": {reason}")).unwrap_or_default()
    }
}

impl fmt::Display for Build {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.name, self.version)
    }
}
