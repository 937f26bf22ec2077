//! Replacement of the build in use by another one, on a separate thread.
//!
//! The new build is loaded at low priority and must pass its acceptance test, in turns with the
//! encoder in use while objects are followed, so that its measured times are realistic. If the
//! build has limits for this board, it must meet them, as with `medsa-edge accept --board`; a build
//! without limits is judged by its masks alone.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use medsa_bundle::LatencyLimits;
use medsa_engine::acceptance::{accept_in_turns, limits_of};
use medsa_engine::{Engine, Workers};
use medsa_update::{State, ask};
use tokio::sync::watch;

use super::build::{BuildFile, Loaded};
use super::error::Error;
use super::slots;
use crate::config::{Config, UpdateConfig};
use crate::meter::{Counter, Meter};
use crate::port::{Activate, BuildState, Builds, Failures, Network, Slot};
use crate::threads::{self, in_background};

/// Name of the thread.
const NAME: &str = "reloading";

/// Longest time for an update before the build is used; most of it is a download over a slow
/// line.
const LONGEST_UPDATE: Duration = Duration::from_secs(3600);

/// Replaces the build.
#[derive(Clone)]
pub struct Reloader(Arc<Inner>);

struct Inner {
    config: Arc<Config>,
    slot: Slot<Engine>,
    meter: Arc<Meter>,
    failures: Failures,
    state: watch::Sender<BuildState>,
}

impl Reloader {
    /// Creates a reloader for `slot`.
    pub fn new(
        config: Arc<Config>,
        slot: Slot<Engine>,
        meter: Arc<Meter>,
        failures: Failures,
    ) -> Self {
        let state = watch::Sender::new(BuildState::Idle);
        Self(Arc::new(Inner { config, slot, meter, failures, state }))
    }

    /// Subscribes to the state of the replacement.
    pub fn state(&self) -> watch::Receiver<BuildState> {
        self.0.state.subscribe()
    }
}

impl Builds for Reloader {
    fn reload(&self) -> Result<String, String> {
        self.0.begin(BuildState::Loading, Inner::replace_build)?;
        Ok(format!("loading {}", self.0.config.build.path.display()))
    }

    fn switch_build(&self) -> Result<String, String> {
        let path = &self.0.config.build.path;
        if !path.is_dir() {
            return Err(format!("{} has no slots, because it is a file", path.display()));
        }
        self.0.begin(BuildState::Loading, |reloader| {
            match slots::change(&reloader.config.build.path) {
                Ok(()) => reloader.replace_build(),
                Err(error) => tracing::error!("cannot switch builds: {}", reloader.fail(&error)),
            }
        })?;
        Ok("loading the build in the other slot".to_owned())
    }

    /// Runs `medsa-edge update` as a child process, so that no data of a repository can keep
    /// frames from being segmented.
    fn update(&self, activate: Activate) -> Result<String, String> {
        let file = self.0.config.file.display();
        let Some(UpdateConfig { repository: Some(repository), .. }) = &self.0.config.update else {
            return Err(format!(
                "update.repository is missing in {file}; set it to get newer builds"
            ));
        };
        self.0.begin(BuildState::Updating, move |reloader| {
            match reloader.run_update(activate) {
                Err(error) => tracing::error!("{}", reloader.fail(&error)),
                Ok(()) if activate == Activate::Now => reloader.replace_build(),
                Ok(()) => drop(reloader.state.send_replace(BuildState::Idle)),
            }
        })?;
        Ok(format!("looking for a newer build in {repository}"))
    }

    fn slots(&self) -> Result<Option<State>, String> {
        slots::state_if_slots(&self.0.config.build.path).map_err(|error| error.to_string())
    }

    fn can_update(&self) -> bool {
        self.0.config.update.as_ref().is_some_and(|update| update.repository.is_some())
    }
}

impl Inner {
    /// Runs `work`, which ends in another state, on a separate thread. A panic is a failure.
    fn begin(
        self: &Arc<Self>,
        state: BuildState,
        work: impl FnOnce(&Self) + Send + 'static,
    ) -> Result<(), String> {
        let mut busy = false;
        self.state.send_if_modified(|now| {
            busy = matches!(now, BuildState::Loading | BuildState::Updating);
            if !busy {
                *now = state;
            }
            !busy
        });
        if busy {
            return Err("another build is being loaded; try again later".to_owned());
        }
        let reloader = self.clone();
        let run = move || {
            if let Err(panic) = threads::caught(NAME, || work(&reloader)) {
                let reason = reloader.fail(&threads::Error::from(panic).into());
                tracing::error!("the build in use stays: {reason}");
            }
        };
        let thread = threads::spawn(NAME, run);
        thread.map(drop).map_err(|error| self.fail(&error.into()))
    }

    /// Runs `medsa-edge update`.
    fn run_update(&self, activate: Activate) -> Result<(), Error> {
        // This executable, even if the package was replaced in the meantime.
        let mut program = Command::new("/proc/self/exe");
        program.arg("update").arg("--config").arg(&self.config.file);
        if activate == Activate::Later {
            program.arg("--stage");
        }
        in_background("updating", || ask(&mut program, LONGEST_UPDATE))?.map_err(|reason| {
            let reason = reason.strip_prefix("medsa-edge: ").unwrap_or(&reason).to_owned();
            Error::NotUpdated { reason }
        })
    }

    fn replace_build(&self) {
        let path = self.config.build.path.display();
        // A panic means that the build is not accepted.
        let loaded = threads::caught(NAME, || self.load());
        match loaded.unwrap_or_else(|panic| Err(threads::Error::from(panic).into())) {
            Ok(Some(network)) => {
                let (before, after) = (self.slot.primary().build.clone(), network.build.clone());
                self.slot.replace(network);
                tracing::info!("build {after} replaces {before}");
                self.state.send_replace(BuildState::Idle);
            }
            Ok(None) => {
                tracing::info!("{path} is already in use; nothing to do");
                self.state.send_replace(BuildState::Idle);
            }
            Err(error) => {
                let reason = self.fail(&error);
                slots::failed(&self.config.build.path);
                let now = &self.slot.primary().build;
                tracing::error!("{path} was not accepted, build {now} stays in use: {reason}");
            }
        }
    }

    /// Loads the configured build; `None` if it is the one in use.
    fn load(&self) -> Result<Option<Network<Engine>>, Error> {
        let threads = self.config.build.threads;
        // Created here, because threads inherit the priority of the thread that creates them.
        let workers = Workers::new(threads);
        let running = self.slot.primary().build.sha256;
        let loaded = in_background("loading", || {
            let file = BuildFile::open(&slots::file_in_use(&self.config.build.path)?)?;
            if file.sha256 == running {
                return Ok(None);
            }
            file.load(&self.config, &workers).map(Some)
        })?;
        let Some(Loaded { build, network }) = loaded? else { return Ok(None) };
        let board = self.config.board.as_str();
        let limits = limits_of(&build, board);
        let limits =
            limits.inspect_err(|error| tracing::warn!("{error}: its times are not checked"));
        let accepted = accept_in_turns(&build, &network.segmenter, || self.slot.turn())?;
        accepted.check(limits.ok().map(|limits| (board, limits)))?;
        // A stage that takes longer would end the process.
        let stuck_ms = self.config.stuck_after.as_secs_f64() * 1e3;
        let limits = LatencyLimits { encoder_ms: stuck_ms, decoder_ms: stuck_ms };
        accepted.check(Some(("watchdog.stuck_s", limits)))?;
        Ok(Some(network))
    }

    /// Records the reason why no other build is used, and returns it.
    fn fail(&self, error: &Error) -> String {
        if let Error::Thread(threads::Error::Panicked(panic)) = error {
            self.failures.panicked(panic);
        }
        self.meter.count(Counter::ReloadsFailed);
        let reason = error.to_string();
        self.state.send_replace(BuildState::Failed { reason: reason.clone() });
        reason
    }
}
