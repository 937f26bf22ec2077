//! The task that supervises the slots: it loads a build that was switched to, confirms a healthy
//! one, and checks for newer builds periodically.

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
use crate::port::{Activate, BuildState, Builds, Objects, Slot};

/// Time between two checks of the slots and of the build's health.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Supervises the slots.
#[derive(Clone)]
pub struct UpdateSupervisor {
    folder: PathBuf,
    confirm_after: Duration,
    /// Time between two checks for newer builds.
    every: Option<Duration>,
    reloader: Reloader,
    slot: Slot<Engine>,
    meter: Arc<Meter>,
    objects: Arc<Objects>,
}

/// Frames that a build has processed so far.
struct Progress {
    sha256: String,
    segmented: u64,
    failed: u64,
}

impl UpdateSupervisor {
    /// Creates the supervisor; `None` if the build is a file.
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
        let mut before = self.progress();
        let mut healthy_for = Duration::ZERO;
        // SHA-256 of a build that was tried and not accepted; it is not tried again.
        let mut tried = None;
        let mut next_check = self.every.map(|_| Instant::now());
        // True after an update fetched a build. One that an administrator only staged is not used.
        let mut fetched = false;
        loop {
            sleep(POLL_INTERVAL).await;
            let now = self.progress();
            let is_healthy = now.sha256 == before.sha256
                && now.segmented > before.segmented
                && now.failed == before.failed;
            healthy_for = if is_healthy { healthy_for + POLL_INTERVAL } else { Duration::ZERO };
            before = now;
            if healthy_for >= self.confirm_after {
                healthy_for = Duration::ZERO;
                self.confirm(before.sha256.clone()).await;
            }
            if *self.reloader.state().borrow() == BuildState::Loading {
                continue;
            }
            // Errors of the slots are reported at the start and by the process that changes them.
            let Ok(state) = slots::state(&self.folder) else { continue };
            let in_use = state.in_use().map(|build| build.sha256.clone());
            if in_use.as_ref() != Some(&before.sha256) && in_use != tried {
                if self.log("slots", self.reloader.reload()) {
                    tried = in_use;
                }
            } else if in_use.as_ref() == Some(&before.sha256) {
                tried = None;
                // Not while an object is segmented: the model must not change in the middle of it.
                if fetched && state.phase == Phase::Staged && self.objects.prompts().is_empty() {
                    fetched = !self.log("newer build", self.reloader.switch_build());
                }
            }
            if next_check.is_some_and(|next| Instant::now() >= next)
                && self.log("schedule", self.reloader.update(Activate::Later))
            {
                fetched = true;
                next_check = self.every.map(|every| Instant::now() + every);
            }
        }
    }

    fn log(&self, why: &str, begun: Result<String, String>) -> bool {
        match &begun {
            Ok(begun) => tracing::info!("{why}: {begun}"),
            // The action is tried again.
            Err(reason) => tracing::debug!("{why}: {reason}"),
        }
        begun.is_ok()
    }

    async fn confirm(&self, sha256: String) {
        let folder = self.folder.clone();
        let confirm = move || slots::confirm(&folder, &sha256);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(confirm).await {
            tracing::error!("a build is healthy on trial but cannot be confirmed: {error}");
        }
    }

    fn progress(&self) -> Progress {
        Progress {
            sha256: hex::encode(&self.slot.primary().build.sha256),
            segmented: self.meter.get(Counter::FramesSegmented),
            failed: self.meter.get(Counter::FramesFailed),
        }
    }
}
