//! Goes over to another build while the one in use goes on, on a thread of its own.
//!
//! The new one is loaded at a lower priority and asked all that a build says it must answer, in
//! turns with the frames of the live encoder, whose objects are followed meanwhile: its times are
//! then those that it will have. Limits for this board are held where the build has any, as by
//! `medsa-edge accept --board`; a build without is judged by its answers alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
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
use crate::pipeline::{Network, Slot};
use crate::port::{BuildState, Builds, Taking};
use crate::threads::{self, in_background};

/// Longest time for everything that an update does before it is used: fetching a build over a slow
/// line is most of it.
const LONGEST_UPDATE: Duration = Duration::from_secs(3600);

/// Changes to another build.
#[derive(Clone)]
pub struct Reloader(Arc<Inner>);

struct Inner {
    config: Arc<Config>,
    slot: Slot<Engine>,
    meter: Arc<Meter>,
    state: watch::Sender<BuildState>,
}

impl Reloader {
    /// Changes the build in `slot`.
    pub fn new(config: Arc<Config>, slot: Slot<Engine>, meter: Arc<Meter>) -> Self {
        Self(Arc::new(Inner { config, slot, meter, state: watch::Sender::new(BuildState::Idle) }))
    }

    /// State of the change, from now on.
    pub fn state(&self) -> watch::Receiver<BuildState> {
        self.0.state.subscribe()
    }
}

impl Builds for Reloader {
    fn reload(&self) -> Result<String, String> {
        self.0.begin(BuildState::Loading, Inner::take_over)?;
        Ok(format!("{} is read again", self.0.config.build.path.display()))
    }

    fn switch_build(&self) -> Result<String, String> {
        let path = &self.0.config.build.path;
        if !path.is_dir() {
            return Err(format!("{} has no slots: it is a file", path.display()));
        }
        self.0.begin(BuildState::Loading, |reloader| {
            match slots::change(&reloader.config.build.path) {
                Ok(()) => reloader.take_over(),
                Err(error) => tracing::error!("no other build: {}", reloader.fail(&error)),
            }
        })?;
        Ok("the build in the other slot is loaded".to_owned())
    }

    /// Looks in a process of its own, so that nothing that a repository sends can keep frames from
    /// being segmented.
    fn update(&self, taking: Taking) -> Result<String, String> {
        let file = self.0.config.file.display();
        let Some(UpdateConfig { repository: Some(repository), .. }) = &self.0.config.update else {
            return Err(format!("update.repository is missing in {file}: no newer builds"));
        };
        self.0.begin(BuildState::Updating, move |reloader| match reloader.look(taking) {
            Err(error) => tracing::error!("{}", reloader.fail(&error)),
            Ok(()) if taking == Taking::Now => reloader.take_over(),
            Ok(()) => drop(reloader.state.send_replace(BuildState::Idle)),
        })?;
        Ok(format!("a newer build is looked for in {repository}"))
    }

    fn slots(&self) -> Result<Option<State>, String> {
        let path = &self.0.config.build.path;
        let state = path.is_dir().then(|| slots::state(path)).transpose();
        state.map_err(|error| error.to_string())
    }

    fn can_update(&self) -> bool {
        self.0.config.update.as_ref().is_some_and(|update| update.repository.is_some())
    }
}

impl Inner {
    /// Does `work`, which ends in another state, on a thread of its own.
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
            return Err("a build is being loaded already".to_owned());
        }
        let reloader = self.clone();
        let thread = threads::spawn("reloading", move || work(&reloader));
        thread.map(drop).map_err(|error| self.fail(&error.into()))
    }

    /// Lets `medsa-edge update` look.
    fn look(&self, taking: Taking) -> Result<(), Error> {
        // Also when the package was replaced since.
        let mut program = Command::new("/proc/self/exe");
        program.arg("update").arg("--config").arg(&self.config.file);
        if taking == Taking::Later {
            program.arg("--stage");
        }
        in_background("updating", || ask(&mut program, LONGEST_UPDATE))?.map_err(|reason| {
            let reason = reason.strip_prefix("medsa-edge: ").unwrap_or(&reason).to_owned();
            Error::NotUpdated { reason }
        })
    }

    fn take_over(&self) {
        let path = self.config.build.path.display();
        let name = "reloading";
        let loaded = catch_unwind(AssertUnwindSafe(|| self.load()));
        match loaded.unwrap_or(Err(threads::Error::Panicked { name }.into())) {
            Ok(Some(network)) => {
                let (before, after) = (self.slot.primary().build.clone(), network.build.clone());
                self.slot.replace(network);
                tracing::info!("build {after} takes over from {before}");
                self.state.send_replace(BuildState::Idle);
            }
            Ok(None) => {
                tracing::info!("{path} is the build that runs already: nothing is to be done");
                self.state.send_replace(BuildState::Idle);
            }
            Err(error) => {
                let reason = self.fail(&error);
                slots::failed(&self.config.build.path);
                let now = &self.slot.primary().build;
                tracing::error!("{path} is not taken, build {now} goes on: {reason}");
            }
        }
    }

    /// The network of the build that the configuration names at present; `None` when it is the
    /// one in use.
    fn load(&self) -> Result<Option<Network<Engine>>, Error> {
        let threads = self.config.build.threads;
        // Made here, as they get the priority of who makes them.
        let workers = Workers::new(threads);
        let running = self.slot.primary().build.sha256;
        let loaded = in_background("loading", || {
            let file = BuildFile::open(&slots::at_present(&self.config.build.path)?)?;
            if file.sha256 == running {
                return Ok(None);
            }
            file.load(&self.config, &workers).map(Some)
        })?;
        let Some(Loaded { build, network }) = loaded? else { return Ok(None) };
        let board = self.config.board.as_str();
        let limits = limits_of(&build, board);
        let limits = limits.inspect_err(|error| tracing::warn!("{error}: its times do not count"));
        let accepted = accept_in_turns(&build, &network.segmenter, || self.slot.turn())?;
        accepted.check(limits.ok().map(|limits| (board, limits)))?;
        // A stage that takes longer ends the process.
        let stuck_ms = self.config.stuck_after.as_secs_f64() * 1e3;
        let limits = LatencyLimits { encoder_ms: stuck_ms, decoder_ms: stuck_ms };
        accepted.check(Some(("watchdog.stuck_s", limits)))?;
        Ok(Some(network))
    }

    /// Tells that no other build takes over, and why.
    fn fail(&self, error: &Error) -> String {
        self.meter.count(Counter::ReloadsFailed);
        let reason = error.to_string();
        self.state.send_replace(BuildState::Failed { reason: reason.clone() });
        reason
    }
}
