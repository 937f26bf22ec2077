//! State of the slots: which builds they hold, which one is in use, and how far an update is.

use std::collections::BTreeMap;
use std::fmt;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::durable::Unknown;

/// One of the two slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    /// The first slot.
    A,
    /// The second slot.
    B,
}

/// A build: its identity in slots, repositories and reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// Name of the build.
    pub name: String,
    /// Version of the build.
    pub version: Version,
    /// SHA-256 of the build's file, in hex.
    pub sha256: String,
}

/// State of the slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The slot in use; `None` if the device has never had a build.
    pub current: Option<Name>,
    /// Progress of an update.
    pub phase: Phase,
    /// Build in slot A.
    pub a: Option<Installed>,
    /// Build in slot B.
    pub b: Option<Installed>,
    /// The highest confirmed version, by name of the build.
    pub floors: BTreeMap<String, Version>,
    /// SHA-256 of the builds that failed their trial, the latest last.
    pub failed: Vec<String>,
    /// Fields of the file that a newer program has added.
    pub(crate) unknown: UnknownFields,
}

/// Progress of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No update is under way: the build in use is confirmed, and the other slot holds the previous
    /// one, if any.
    Settled,
    /// The other slot holds a build that can be switched to.
    Staged,
    /// The build in use is on trial, and the other slot holds the build to roll back to.
    Trial {
        /// Number of service starts with the build on trial.
        starts: u32,
    },
}

/// Role of a slot. Older programs wrote `way-back` for `rollback` and `before` for `previous`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlotRole {
    /// The service runs its build, which is confirmed.
    InUse,
    /// The service runs its build, which still has to be confirmed.
    OnTrial,
    /// Its build can be switched to.
    Staged,
    /// The service rolls back to its build if the trial fails.
    #[serde(alias = "way-back")]
    Rollback,
    /// Its build was in use before the present one.
    #[serde(alias = "before")]
    Previous,
    /// Its build has failed its trial.
    Failed,
}

/// Fields of the state's file that this program does not know, by where they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UnknownFields {
    /// Fields of the file.
    pub file: Unknown,
    /// Fields of the build in slot A: they go when the build goes.
    pub a: Unknown,
    /// Fields of the build in slot B.
    pub b: Unknown,
    /// Fields of the trial: they go when it ends.
    pub trial: Unknown,
}

/// Number of failed builds that are remembered.
const MAX_FAILED: usize = 16;

impl Name {
    /// The other slot.
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// Name of the slot's file.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::A => "a.medsa",
            Self::B => "b.medsa",
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::A => "A",
            Self::B => "B",
        })
    }
}

impl fmt::Display for SlotRole {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::InUse => "in use, confirmed",
            Self::OnTrial => "in use, on trial",
            Self::Staged => "staged",
            Self::Rollback => "previous, for rollback",
            Self::Previous => "previous",
            Self::Failed => "failed on this device",
        })
    }
}

impl fmt::Display for Installed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.name, self.version)
    }
}

impl State {
    /// State of a device that has never had a build.
    pub(crate) fn empty() -> Self {
        Self {
            current: None,
            phase: Phase::Settled,
            a: None,
            b: None,
            floors: BTreeMap::new(),
            failed: Vec::new(),
            unknown: UnknownFields::default(),
        }
    }

    /// Build in a slot.
    pub fn slot(&self, name: Name) -> Option<&Installed> {
        match name {
            Name::A => self.a.as_ref(),
            Name::B => self.b.as_ref(),
        }
    }

    /// The build in use.
    pub fn in_use(&self) -> Option<&Installed> {
        self.slot(self.current?)
    }

    /// Role of a slot; `None` if it is empty.
    pub fn standing(&self, name: Name) -> Option<SlotRole> {
        let failed = self.failed.contains(&self.slot(name)?.sha256);
        Some(match (self.current == Some(name), self.phase) {
            (true, Phase::Trial { .. }) => SlotRole::OnTrial,
            (true, _) => SlotRole::InUse,
            (false, Phase::Staged) => SlotRole::Staged,
            (false, Phase::Trial { .. }) => SlotRole::Rollback,
            (false, Phase::Settled) if failed => SlotRole::Failed,
            (false, Phase::Settled) => SlotRole::Previous,
        })
    }

    /// Tests whether the build in use still has to be confirmed.
    pub fn is_on_trial(&self) -> bool {
        matches!(self.phase, Phase::Trial { .. })
    }

    /// The slot that is not in use.
    pub(crate) fn unused(&self) -> Name {
        self.current.map_or(Name::A, Name::other)
    }

    /// Puts a build into a slot, or empties the slot.
    pub(crate) fn put(&mut self, name: Name, installed: Option<Installed>) {
        let (slot, unknown) = match name {
            Name::A => (&mut self.a, &mut self.unknown.a),
            Name::B => (&mut self.b, &mut self.unknown.b),
        };
        *slot = installed;
        unknown.clear();
    }

    /// Changes the phase. A trial that goes on stays the same trial.
    pub(crate) fn set_phase(&mut self, phase: Phase) {
        if !(self.is_on_trial() && matches!(phase, Phase::Trial { .. })) {
            self.unknown.trial.clear();
        }
        self.phase = phase;
    }

    /// Remembers that a build failed its trial.
    pub(crate) fn remember_failed(&mut self, sha256: String) {
        self.failed.retain(|known| *known != sha256);
        self.failed.push(sha256);
        if self.failed.len() > MAX_FAILED {
            self.failed.remove(0);
        }
    }
}
