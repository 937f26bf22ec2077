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

/// Longest time without a segmented frame in which a build still counts as healthy: several runs of
/// the encoder on the slowest board, also while it rests.
const QUIET: Duration = Duration::from_secs(10);

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
#[derive(Clone)]
struct Progress {
    sha256: String,
    segmented: u64,
    failed: u64,
}

/// Time for which a build has been healthy.
#[derive(Default)]
struct Health {
    /// Up to the last segmented frame.
    healthy: Duration,
    /// Since the last segmented frame.
    quiet: Duration,
}

impl Health {
    /// Takes the progress after another [`POLL_INTERVAL`], and returns the time for which the build
    /// has segmented frames without a failure or a long gap.
    fn observe(&mut self, before: &Progress, now: &Progress) -> Duration {
        self.quiet += POLL_INTERVAL;
        if now.sha256 != before.sha256 || now.failed != before.failed || self.quiet > QUIET {
            *self = Self::default();
        } else if now.segmented > before.segmented {
            self.healthy += std::mem::take(&mut self.quiet);
        }
        self.healthy
    }
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
        let mut health = Health::default();
        // SHA-256 of a build that was tried and not accepted; it is not tried again. While another
        // build than the main one is in use, the main one is checked after the start.
        let mut tried = self.reloader.main().is_none().then(|| self.installed()).flatten();
        let mut next_check = self.every.map(|_| Instant::now());
        // True after an update fetched a build. One that an administrator only staged is not used.
        let mut fetched = false;
        loop {
            sleep(POLL_INTERVAL).await;
            let now = self.progress();
            let healthy_for = health.observe(&before, &now);
            before = now;
            if healthy_for >= self.confirm_after {
                health = Health::default();
                self.confirm(before.sha256.clone()).await;
            }
            if *self.reloader.state().borrow() == BuildState::Loading {
                continue;
            }
            // Errors of the slots are reported at the start and by the process that changes them.
            let Ok(state) = slots::state(&self.folder) else { continue };
            let in_use = state.in_use().map(|build| build.sha256.clone());
            let main = self.reloader.main().map(hex::encode);
            if in_use != main && in_use != tried {
                if self.log("slots", self.reloader.reload_main()) {
                    tried = in_use;
                }
            } else if in_use == main {
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

    /// SHA-256 of the build in the slot in use.
    fn installed(&self) -> Option<String> {
        Some(slots::state(&self.folder).ok()?.in_use()?.sha256.clone())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Longest health over progress given as segmented and failed frames in every second.
    fn healthy_s(seconds: impl IntoIterator<Item = (u64, u64)>) -> u64 {
        let mut health = Health::default();
        let mut before = Progress { sha256: "a".into(), segmented: 0, failed: 0 };
        let observed = seconds.into_iter().map(|(segmented, failed)| {
            let mut now = before.clone();
            now.segmented += segmented;
            now.failed += failed;
            let healthy = health.observe(&before, &now);
            before = now;
            healthy.as_secs()
        });
        observed.collect::<Vec<_>>().pop().unwrap()
    }

    #[test]
    fn slow_encoder_is_healthy_and_a_gap_or_a_failure_is_not() {
        // A frame every three seconds.
        assert_eq!(healthy_s((1..=30).map(|second| (u64::from(second % 3 == 0), 0))), 30);
        // The last seconds have shown nothing yet.
        assert_eq!(healthy_s([(1, 0), (1, 0), (0, 0), (0, 0)]), 2);
        let gap =
            |length| std::iter::repeat_n((1, 0), 5).chain(vec![(0, 0); length]).chain([(1, 0)]);
        assert_eq!(healthy_s(gap(9)), 15);
        assert_eq!(healthy_s(gap(10)), 0);
        assert_eq!(healthy_s([(30, 0), (30, 0), (29, 1), (30, 0)]), 1);
    }
}
