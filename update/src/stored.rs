//! The slots' state as a file, `state.json`.

use std::collections::BTreeMap;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::durable::{Durable, Unknown};
use crate::error::Error;
use crate::state::{Installed, Name, Phase, State, UnknownFields};

/// The file. `stored.rs` has its fields.
pub(crate) const STATE: Durable = Durable {
    name: "state.json",
    unfinished: "state.new",
    // Format 1 is format 0 with the number.
    migrations: &[|_| ()],
    damaged: |path, reason| Error::State { path, reason },
    otherwise: "remove the file and stage a build again; the device then forgets which versions it \
                has confirmed and which have failed",
};

/// Fields of the file.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredState {
    current: Option<Name>,
    phase: StoredPhase,
    a: Option<StoredBuild>,
    b: Option<StoredBuild>,
    floors: BTreeMap<String, Version>,
    failed: Vec<String>,
    #[serde(flatten)]
    unknown: Unknown,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StoredPhase {
    Settled,
    Staged,
    Trial {
        starts: u32,
        #[serde(flatten)]
        unknown: Unknown,
    },
}

#[derive(Serialize, Deserialize)]
struct StoredBuild {
    #[serde(flatten)]
    build: Installed,
    #[serde(flatten)]
    unknown: Unknown,
}

impl From<StoredState> for State {
    fn from(stored: StoredState) -> Self {
        let StoredState { current, phase, a, b, floors, failed, unknown: file } = stored;
        let split = |slot: Option<StoredBuild>| match slot {
            Some(StoredBuild { build, unknown }) => (Some(build), unknown),
            None => (None, Unknown::new()),
        };
        let ((a, of_a), (b, of_b)) = (split(a), split(b));
        let (phase, trial) = match phase {
            StoredPhase::Settled => (Phase::Settled, Unknown::new()),
            StoredPhase::Staged => (Phase::Staged, Unknown::new()),
            StoredPhase::Trial { starts, unknown } => (Phase::Trial { starts }, unknown),
        };
        let unknown = UnknownFields { file, a: of_a, b: of_b, trial };
        Self { current, phase, a, b, floors, failed, unknown }
    }
}

impl From<&State> for StoredState {
    fn from(state: &State) -> Self {
        let State { current, phase, a, b, floors, failed, unknown } = state.clone();
        let UnknownFields { file, a: of_a, b: of_b, trial } = unknown;
        let join =
            |build: Option<Installed>, unknown| build.map(|build| StoredBuild { build, unknown });
        let phase = match phase {
            Phase::Settled => StoredPhase::Settled,
            Phase::Staged => StoredPhase::Staged,
            Phase::Trial { starts } => StoredPhase::Trial { starts, unknown: trial },
        };
        let (a, b) = (join(a, of_a), join(b, of_b));
        Self { current, phase, a, b, floors, failed, unknown: file }
    }
}
