//! Replacement of the build in use by another one, on a separate thread.
//!
//! A build is loaded at low priority and must pass its acceptance test once, in turns with the
//! encoder in use while objects are followed, so that its measured times are realistic. Builds that
//! can be chosen are checked after the start, and kept in memory if there is room.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use medsa_engine::{Engine, Workers};
use medsa_update::{Choice, State, ask};
use tokio::sync::watch;

use super::build::BuildFile;
use super::error::Error;
use super::others;
use super::progress::{Job, Progress};
use super::shelf::{MAIN, Shelf};
use super::slots;
use crate::config::{Config, UpdateConfig};
use crate::meter::{Counter, Meter};
use crate::port::{
    Activate, BuildState, Builds, Failures, Network, OfferedBuild, Refusal, Role, Slot, Switch,
};
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
    progress: Progress,
    shelf: Shelf,
    /// Held while a build is loaded. The Tokio mutex is fair, so a chosen build waits for at most
    /// one other.
    turn: tokio::sync::Mutex<()>,
}

/// Purpose of loading a build.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// It is used.
    Use,
    /// It replaces its former version, or can be chosen.
    Renew,
}

impl Reloader {
    /// Creates a reloader for `slot`, which holds the build `in_use`; `fallback` is the reason why
    /// another one is not.
    pub(crate) fn new(
        config: Arc<Config>,
        slot: Slot<Engine>,
        meter: Arc<Meter>,
        failures: Failures,
        in_use: &str,
        fallback: Option<String>,
    ) -> Self {
        let shelf = Shelf::new(config.build.keep_bytes, in_use, slot.primary().build.clone());
        let progress = Progress::new(fallback);
        let turn = tokio::sync::Mutex::new(());
        Self(Arc::new(Inner { config, slot, meter, failures, progress, shelf, turn }))
    }

    /// Subscribes to the state of the replacement.
    pub fn state(&self) -> watch::Receiver<BuildState> {
        self.0.progress.state()
    }

    /// Subscribes to the builds that can be chosen.
    pub fn offered(&self) -> watch::Receiver<Vec<OfferedBuild>> {
        self.0.shelf.offered()
    }

    /// Starts to check the builds that are not in use, if there is a folder of further builds.
    pub fn check_others(&self) {
        let reloader = self.0.clone();
        let check = move || {
            if let Err(panic) = threads::caught("checking", || reloader.check_others()) {
                reloader.failures.panicked(&panic);
            }
        };
        if self.0.config.build.others.is_some()
            && let Err(error) = threads::spawn("checking", check)
        {
            tracing::error!("further builds are not checked: {error}");
        }
    }

    /// SHA-256 of the main build; `None` until it is checked or used.
    pub(super) fn main(&self) -> Option<[u8; 32]> {
        self.0.shelf.main()
    }

    /// Starts to load the main build again.
    pub(super) fn reload_main(&self) -> Result<String, String> {
        self.0.begin(Job::Load, |reloader| reloader.bring(MAIN, Purpose::Renew))?;
        Ok(format!("loading {}", self.0.config.build.path.display()))
    }
}

impl Builds for Reloader {
    fn reload(&self) -> Result<String, String> {
        let in_use = self.0.shelf.in_use();
        let begun = format!("loading {}", self.0.file_name(&in_use));
        let checker = self.clone();
        self.0.begin(Job::Load, move |reloader| {
            let renewed = reloader.bring(&in_use, Purpose::Renew);
            checker.check_others();
            renewed
        })?;
        Ok(begun)
    }

    fn choose(&self, name: &str, then: Box<dyn FnOnce() + Send>) -> Result<Switch, Refusal> {
        let Some(OfferedBuild { in_use, unavailable, .. }) = self.0.shelf.get(name) else {
            let expected = self.0.shelf.names().join(", ");
            let reason = format!("there is no build {name:?}, expected one of {expected}");
            return Err(Refusal::new("no-such-build", reason));
        };
        if let Some(reason) = unavailable {
            return Err(Refusal::new("build-not-available", format!("build {name}: {reason}")));
        }
        if in_use && *self.state().borrow() != BuildState::Loading {
            then();
            return Ok(Switch::Done);
        }
        let name = name.to_owned();
        let begun = self.0.begin(Job::Choose, move |reloader| {
            reloader.bring(&name, Purpose::Use)?;
            then();
            Ok(())
        });
        begun.map_err(|reason| Refusal::new("build-not-changed", reason))?;
        Ok(Switch::Begun)
    }

    fn switch_build(&self) -> Result<String, String> {
        let path = &self.0.config.build.path;
        if !path.is_dir() {
            return Err(format!("{} has no slots, because it is a file", path.display()));
        }
        self.0.begin(Job::Load, |reloader| {
            slots::change(&reloader.config.build.path)?;
            reloader.bring(MAIN, Purpose::Renew)
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
        self.0.begin(Job::Update, move |reloader| {
            reloader.run_update(activate)?;
            match activate {
                Activate::Now => reloader.bring(MAIN, Purpose::Renew),
                Activate::Later => Ok(()),
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
    /// Runs `work` on a separate thread. A panic is a failure.
    fn begin(
        self: &Arc<Self>,
        job: Job,
        work: impl FnOnce(&Self) -> Result<(), Error> + Send + 'static,
    ) -> Result<(), String> {
        if !self.progress.begin(job) {
            return Err("another build is being loaded; try again later".to_owned());
        }
        let reloader = self.clone();
        let run = move || {
            let done = threads::caught(NAME, || work(&reloader));
            match done.unwrap_or_else(|panic| Err(threads::Error::from(panic).into())) {
                Ok(()) => reloader.progress.end(job, None),
                Err(error) => reloader.fail(job, &error),
            }
        };
        let thread = threads::spawn(NAME, run);
        thread.map(drop).map_err(|error| {
            let reason = error.to_string();
            self.fail(job, &error.into());
            reason
        })
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

    /// Lists the further builds, and loads and tests each build that is not in use.
    fn check_others(&self) {
        let Some(folder) = &self.config.build.others else { return };
        let report = |error| tracing::error!("build.others: {error}");
        match others::names(folder, report) {
            Ok(names) => self.shelf.list(names),
            Err(error) => report(error),
        }
        for name in self.shelf.names() {
            if self.shelf.is_in_use(&name) {
                continue;
            }
            if let Err(error) = self.bring(&name, Purpose::Renew) {
                self.count_panic(&error);
                tracing::error!("build {name} is not available: {error}");
            }
        }
    }

    /// Loads a build. It replaces the one in use if that is its purpose, or if it is the same one;
    /// otherwise it is kept.
    fn bring(&self, name: &str, purpose: Purpose) -> Result<(), Error> {
        let _turn = self.turn.blocking_lock();
        // A panic means that the build is not accepted.
        let loaded = threads::caught(NAME, || self.obtain(name, purpose));
        let loaded = loaded.unwrap_or_else(|panic| Err(threads::Error::from(panic).into()));
        let network = loaded.inspect_err(|error| {
            let rolled_back = name == MAIN && slots::failed(&self.config.build.path);
            if !rolled_back {
                self.shelf.refuse(name, &error.to_string());
            }
        })?;
        if purpose == Purpose::Renew && !self.shelf.is_in_use(name) {
            let build = network.build.clone();
            self.shelf.put_aside(name, network);
            tracing::info!("build {build} can be chosen as {name}");
            return Ok(());
        }
        let before = self.slot.primary();
        let role = if name == MAIN { Role::Main } else { Role::Other };
        self.slot.replace(network.clone(), role);
        self.remember(name, &network);
        if Arc::ptr_eq(&before, &network) {
            let file = self.file_name(name);
            tracing::info!("{file} is already in use; nothing to do");
        } else {
            tracing::info!("build {} replaces {}", network.build, before.build);
        }
        self.shelf.put_to_use(name, &network, before);
        Ok(())
    }

    /// The network of a build: the one in use, a kept one, or a new one that passed its acceptance
    /// test.
    fn obtain(&self, name: &str, purpose: Purpose) -> Result<Arc<Network<Engine>>, Error> {
        let file = match purpose {
            // A user waits, and hashing the file is all that a kept build takes.
            Purpose::Use => self.open(name),
            Purpose::Renew => in_background("loading", || self.open(name))?,
        }?;
        let running = self.slot.primary();
        if file.sha256 == running.build.sha256 {
            return Ok(running);
        }
        if let Some(kept) = self.shelf.kept(&file.sha256) {
            return Ok(kept);
        }
        // Created here, because threads inherit the priority of the thread that creates them.
        let workers = Workers::new(self.config.build.threads);
        let loaded = in_background("loading", || file.load(&self.config, &workers))??;
        if !self.shelf.has_passed(&file.sha256) {
            loaded.accept(&self.config, || self.slot.turn())?;
            self.shelf.pass(file.sha256);
        }
        Ok(Arc::new(loaded.network))
    }

    /// Opens the file of a build.
    fn open(&self, name: &str) -> Result<BuildFile, Error> {
        let (path, installed) = match &self.config.build.others {
            Some(folder) if name != MAIN => (others::file_of(folder, name), None),
            _ => slots::file_in_use(&self.config.build.path)?,
        };
        let file = BuildFile::open(&path)?;
        if installed.is_some_and(|sha256| sha256 != hex::encode(file.sha256)) {
            return Err(Error::NotInstalled { path });
        }
        Ok(file)
    }

    /// Stores the choice of a build for the next start.
    fn remember(&self, name: &str, network: &Network<Engine>) {
        let Some(folder) = &self.config.build.others else { return };
        if let Err(error) = Choice::write(folder, name, &hex::encode(network.build.sha256)) {
            tracing::warn!("the next start will not use build {name}: {error}");
        }
    }

    /// File or folder of a build, for messages.
    fn file_name(&self, name: &str) -> String {
        let path = match &self.config.build.others {
            Some(folder) if name != MAIN => others::file_of(folder, name),
            _ => self.config.build.path.clone(),
        };
        path.display().to_string()
    }

    fn count_panic(&self, error: &Error) {
        if let Error::Thread(threads::Error::Panicked(panic)) = error {
            self.failures.panicked(panic);
        }
    }

    /// Ends a job with the reason why no other build is used; counts and logs it.
    fn fail(&self, job: Job, error: &Error) {
        self.count_panic(error);
        self.meter.count(Counter::ReloadsFailed);
        self.progress.end(job, Some(error.to_string()));
        let now = &self.slot.primary().build;
        match error {
            Error::NotUpdated { .. } | Error::Thread(_) | Error::Slots(_) => {
                tracing::error!("build {now} stays in use: {error}");
            }
            _ => tracing::error!("the build was not accepted, build {now} stays in use: {error}"),
        }
    }
}
