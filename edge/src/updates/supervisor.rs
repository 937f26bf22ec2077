//! The task that looks after the slots: it loads a build that was switched to, confirms one that is
//! healthy, and looks for newer ones from time to time.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use medsa_engine::Engine;
use medsa_update::Phase;
use tokio::time::{Instant, sleep};

use super::reload::Reloader;
use super::slots;
use crate::config::Config;
use crate::meter::{Counter, Meter};
use crate::pipeline::{Objects, Slot};
use crate::port::{BuildState, Builds, Taking};

/// Time between two looks at the slots and at the build's health.
const LOOK: Duration = Duration::from_secs(1);

/// Looks after the slots.
#[derive(Clone)]
pub struct UpdateSupervisor {
    folder: PathBuf,
    confirm_after: Duration,
    /// Time between two looks for newer builds.
    every: Option<Duration>,
    reloader: Reloader,
    slot: Slot<Engine>,
    meter: Arc<Meter>,
    objects: Arc<Objects>,
}

/// Work of a build so far.
struct Seen {
    sha256: String,
    segmented: u64,
    failed: u64,
}

impl UpdateSupervisor {
    /// `None` when the build is a file.
    pub fn new(
        config: &Config,
        reloader: Reloader,
        slot: Slot<Engine>,
        meter: Arc<Meter>,
        objects: Arc<Objects>,
    ) -> Option<Self> {
        let (folder, confirm_after) = (config.build.path.clone(), config.build.confirm_after);
        let every = config.update.as_ref().and_then(|update| update.every);
        folder.is_dir().then_some(Self {
            folder,
            confirm_after,
            every,
            reloader,
            slot,
            meter,
            objects,
        })
    }

    /// Runs until it is aborted.
    pub async fn run(self) {
        let mut before = self.seen();
        let mut well = Duration::ZERO;
        // Of a build that was loaded and not taken, once is enough.
        let mut tried = None;
        let mut next_look = self.every.map(|_| Instant::now());
        // What somebody has only staged is not for the service to use.
        let mut fetched = false;
        loop {
            sleep(LOOK).await;
            let now = self.seen();
            let is_well = now.sha256 == before.sha256
                && now.segmented > before.segmented
                && now.failed == before.failed;
            well = if is_well { well + LOOK } else { Duration::ZERO };
            before = now;
            if well >= self.confirm_after {
                well = Duration::ZERO;
                self.confirm(before.sha256.clone()).await;
            }
            if *self.reloader.state().borrow() == BuildState::Loading {
                continue;
            }
            // What is wrong with the slots was told at the start, and is told by who changes them.
            let Ok(state) = slots::state(&self.folder) else { continue };
            let in_use = state.in_use().map(|build| build.sha256.clone());
            if in_use.as_ref() != Some(&before.sha256) && in_use != tried {
                if self.tell("slots", self.reloader.reload()) {
                    tried = in_use;
                }
            } else if in_use.as_ref() == Some(&before.sha256) {
                tried = None;
                // Nobody who outlines something gets another model in the middle of it.
                if fetched && state.phase == Phase::Staged && self.objects.prompts().is_empty() {
                    fetched = !self.tell("a newer build", self.reloader.switch_build());
                }
            }
            if next_look.is_some_and(|next| Instant::now() >= next)
                && self.tell("schedule", self.reloader.update(Taking::Later))
            {
                fetched = true;
                next_look = self.every.map(|every| Instant::now() + every);
            }
        }
    }

    fn tell(&self, why: &str, begun: Result<String, String>) -> bool {
        match &begun {
            Ok(begun) => tracing::info!("{why}: {begun}"),
            // It is tried again.
            Err(reason) => tracing::debug!("{why}: {reason}"),
        }
        begun.is_ok()
    }

    async fn confirm(&self, sha256: String) {
        let folder = self.folder.clone();
        let confirm = move || slots::confirm(&folder, &sha256);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(confirm).await {
            tracing::error!("a build is well and cannot be confirmed: {error}");
        }
    }

    fn seen(&self) -> Seen {
        Seen {
            sha256: hex::encode(&self.slot.primary().build.sha256),
            segmented: self.meter.get(Counter::FramesSegmented),
            failed: self.meter.get(Counter::FramesFailed),
        }
    }
}
