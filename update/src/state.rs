//! What a device remembers of its slots: one small file, replaced as a whole.

use std::collections::BTreeMap;
use std::fmt;

use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One of the two slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    /// The first.
    A,
    /// The second.
    B,
}

/// A build in a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Installed {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// SHA-256 of its file, in hex.
    pub sha256: String,
}

/// What is in the slots, and which one is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The slot that is used; `None` of a device that has never had a build.
    pub current: Option<Name>,
    /// How far an update is.
    pub phase: Phase,
    /// What is in slot A.
    pub a: Option<Installed>,
    /// What is in slot B.
    pub b: Option<Installed>,
    /// The highest version that was confirmed, for each name of a build.
    pub floors: BTreeMap<String, Version>,
    /// SHA-256 of builds that failed their trial, the latest last.
    pub failed: Vec<String>,
}

/// How far an update is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// There is none: the build in use is confirmed, and the other slot holds the one before, if
    /// any.
    Settled,
    /// The other slot holds a build that can be switched to.
    Staged,
    /// The build in use is on trial, and the other slot is the way back.
    Trial {
        /// How often the service has started with it.
        starts: u32,
    },
}

/// What a slot is for at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// The service runs from it, and its build is confirmed.
    InUse,
    /// The service runs from it, and its build still has to be confirmed.
    OnTrial,
    /// It can be switched to.
    Staged,
    /// It is gone back to when the trial fails.
    WayBack,
    /// It was used before.
    Before,
    /// Its build has failed its trial.
    Failed,
}

/// Failed builds that are remembered.
const MAX_FAILED: usize = 16;

impl Name {
    /// The other slot.
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// The file in it.
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

impl fmt::Display for Standing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::InUse => "in use, confirmed",
            Self::OnTrial => "in use, on trial",
            Self::Staged => "staged",
            Self::WayBack => "the way back",
            Self::Before => "the one before",
            Self::Failed => "failed here",
        })
    }
}

impl fmt::Display for Installed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.name, self.version)
    }
}

impl State {
    /// Of a device that has nothing yet.
    pub(crate) fn empty() -> Self {
        let (floors, failed) = (BTreeMap::new(), Vec::new());
        Self { current: None, phase: Phase::Settled, a: None, b: None, floors, failed }
    }

    /// What is in a slot.
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

    /// What a slot is for; `None` when it is empty.
    pub fn standing(&self, name: Name) -> Option<Standing> {
        let failed = self.failed.contains(&self.slot(name)?.sha256);
        Some(match (self.current == Some(name), self.phase) {
            (true, Phase::Trial { .. }) => Standing::OnTrial,
            (true, _) => Standing::InUse,
            (false, Phase::Staged) => Standing::Staged,
            (false, Phase::Trial { .. }) => Standing::WayBack,
            (false, Phase::Settled) if failed => Standing::Failed,
            (false, Phase::Settled) => Standing::Before,
        })
    }

    /// The same, for programs.
    pub fn describe(&self) -> Value {
        let slot = |name| {
            self.slot(name).map(|Installed { name: build, version, sha256 }| {
                let role = self.standing(name);
                json!({ "name": build, "version": version, "sha256": sha256, "role": role })
            })
        };
        json!({
            "a": slot(Name::A),
            "b": slot(Name::B),
            "in_use": self.current,
            "phase": match self.phase {
                Phase::Settled => "settled",
                Phase::Staged => "staged",
                Phase::Trial { .. } => "trial",
            },
            "failed": self.failed,
            "floors": self.floors,
        })
    }

    /// Whether the build in use still has to be confirmed.
    pub fn is_on_trial(&self) -> bool {
        matches!(self.phase, Phase::Trial { .. })
    }

    /// The slot that is not used.
    pub(crate) fn unused(&self) -> Name {
        self.current.map_or(Name::A, Name::other)
    }

    pub(crate) fn put(&mut self, name: Name, installed: Option<Installed>) {
        match name {
            Name::A => self.a = installed,
            Name::B => self.b = installed,
        }
    }

    pub(crate) fn remember_failed(&mut self, sha256: String) {
        self.failed.retain(|known| *known != sha256);
        self.failed.push(sha256);
        if self.failed.len() > MAX_FAILED {
            self.failed.remove(0);
        }
    }
}
