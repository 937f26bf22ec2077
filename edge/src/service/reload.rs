//! Goes over to another build while the one in use goes on, on a thread of its own.
//!
//! The new one is loaded at a lower priority and asked all that a build says it must answer, in
//! turns with the frames of the live encoder, whose objects are followed meanwhile: its times are
//! then those that it will have. Limits for this board are held where the build has any, as by
//! `medsa-edge accept --board`; a build without is judged by its answers alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use medsa_bundle::LatencyLimits;
use tokio::sync::watch;

use super::installed;
use super::setup::{BuildFile, Loaded};
use crate::acceptance::{accept_in_turns, limits_of};
use crate::background::in_background;
use crate::config::Config;
use crate::engine::{Engine, Workers};
use crate::error::Error;
use crate::pipeline::{Counter, Meter, Network, Slot};

/// Reads the build of the configuration again when it is asked to.
pub struct Reloader {
    config: Arc<Config>,
    slot: Slot<Engine>,
    meter: Arc<Meter>,
    state: watch::Sender<BuildState>,
}

/// Whether another build is about to take over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildState {
    /// None is.
    Idle,
    /// One is loaded and asked what it must answer.
    Loading,
    /// The last one was not taken: the one before goes on.
    Failed {
        /// Why.
        reason: String,
    },
}

impl Reloader {
    /// For the build in `slot`.
    pub(super) fn new(config: Arc<Config>, slot: Slot<Engine>, meter: Arc<Meter>) -> Self {
        Self { config, slot, meter, state: watch::Sender::new(BuildState::Idle) }
    }

    /// Whether another build is about to take over, from now on.
    pub fn state(&self) -> watch::Receiver<BuildState> {
        self.state.subscribe()
    }

    /// Begins to read the build again; the log and the state tell what became of it.
    ///
    /// # Errors
    /// When one is being loaded already, or no thread can be started.
    pub fn reload(self: &Arc<Self>) -> Result<String, String> {
        let begin = |state: &mut BuildState| {
            *state != BuildState::Loading && {
                *state = BuildState::Loading;
                true
            }
        };
        if !self.state.send_if_modified(begin) {
            return Err("a build is being loaded already".to_owned());
        }
        let (reloader, name) = (self.clone(), "reloading");
        let run = move || reloader.take_over();
        let thread = std::thread::Builder::new().name(name.into()).spawn(run);
        thread.map_err(|source| self.fail(&Error::Thread { name, source }))?;
        Ok(format!("{} is read again", self.config.build.path.display()))
    }

    fn take_over(&self) {
        let path = self.config.build.path.display();
        let name = "reloading";
        let loaded = catch_unwind(AssertUnwindSafe(|| self.load()));
        match loaded.unwrap_or(Err(Error::Panicked { name })) {
            Ok(Some(network)) => {
                let (before, after) = (self.slot.whole().build.clone(), network.build.clone());
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
                installed::failed(&self.config.build.path);
                let now = &self.slot.whole().build;
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
        let running = self.slot.whole().build.sha256;
        let loaded = in_background("loading", || {
            let file = BuildFile::open(&installed::at_present(&self.config.build.path)?)?;
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
