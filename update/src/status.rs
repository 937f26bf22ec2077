//! Status of a device: printed by `medsa-edge status --json`, read by `medsa-flash`.
//!
//! Programs of different releases meet here. So a reader keeps fields that it does not know, and
//! passes them on.

use std::collections::BTreeMap;

use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::state::{Installed, Name, Phase, SlotRole, State};

/// Status of a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceStatus {
    /// Identity of the device, from its configuration.
    pub device: String,
    /// Name of the board, from its configuration.
    pub board: String,
    /// Version of the service's program.
    pub version: String,
    /// Slots of the device; `None` if its build is a single file.
    pub slots: Option<SlotsStatus>,
    /// Health of the service; `None` if it does not answer.
    pub health: Option<HealthStatus>,
    /// Reason why the service does not answer.
    pub health_error: Option<String>,
    /// Fields of a newer program.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// Status of the slots.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SlotsStatus {
    /// Build in slot A.
    pub a: Option<SlotStatus>,
    /// Build in slot B.
    pub b: Option<SlotStatus>,
    /// The slot in use; `None` if the device has never had a build.
    pub in_use: Option<Name>,
    /// Progress of an update.
    pub phase: PhaseStatus,
    /// SHA-256 of the builds that failed their trial, the latest last.
    pub failed: Vec<String>,
    /// The highest confirmed version, by name of the build.
    pub floors: BTreeMap<String, Version>,
    /// Fields of a newer program.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// A build in a slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SlotStatus {
    /// The build.
    #[serde(flatten)]
    pub build: Installed,
    /// Role of the slot.
    pub role: SlotRole,
}

/// Progress of an update: [`Phase`] without its details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PhaseStatus {
    /// The build in use is confirmed.
    Settled,
    /// Another build can be switched to.
    Staged,
    /// The build in use is on trial.
    Trial,
}

/// Health of the service, as `/health` reports it: the part on which updates depend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HealthStatus {
    /// `ok` while frames arrive, otherwise `impaired`.
    pub status: String,
    /// Name and version of the build that segments.
    pub build: String,
    /// State of the source.
    pub source: StateAndReason,
    /// State of a change of builds.
    pub reload: StateAndReason,
    /// Further fields of the report.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// Name of a state, with the reason for a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateAndReason {
    /// Name of the state.
    pub state: String,
    /// Reason, if the state is a failure.
    pub reason: Option<String>,
}

impl SlotsStatus {
    /// Build in a slot.
    pub fn slot(&self, name: Name) -> Option<&SlotStatus> {
        match name {
            Name::A => self.a.as_ref(),
            Name::B => self.b.as_ref(),
        }
    }

    /// The build in use.
    pub fn build_in_use(&self) -> Option<&Installed> {
        self.slot(self.in_use?).map(|slot| &slot.build)
    }
}

impl HealthStatus {
    /// Tests whether the service is healthy.
    pub fn is_ok(&self) -> bool {
        self.status == "ok"
    }
}

impl State {
    /// Status of the slots, for reports.
    pub fn describe(&self) -> SlotsStatus {
        let slot = |name| {
            let (build, role) = self.slot(name).zip(self.standing(name))?;
            Some(SlotStatus { build: build.clone(), role })
        };
        SlotsStatus {
            a: slot(Name::A),
            b: slot(Name::B),
            in_use: self.current,
            phase: match self.phase {
                Phase::Settled => PhaseStatus::Settled,
                Phase::Staged => PhaseStatus::Staged,
                Phase::Trial { .. } => PhaseStatus::Trial,
            },
            failed: self.failed.clone(),
            floors: self.floors.clone(),
            unknown: Map::new(),
        }
    }
}
