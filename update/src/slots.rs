//! Two slots for builds. One is in use. Another build is written into the other slot and checked
//! there; it takes over when the state, which names the slot in use, is replaced by one rename. It
//! is on trial then: the service confirms it after it has been healthy for a while, and otherwise
//! rolls back to the previous build.
//!
//! | state | Mender's | result of an error, a kill or a hang |
//! |---|---|---|
//! | idle | Idle, Sync | unchanged |
//! | staging: bytes arrive and are written | Download | unchanged; the bytes are written again |
//! | checking: hash, acceptance | ArtifactInstall | unchanged |
//! | switching: the state is replaced | ArtifactReboot | unchanged, or on trial |
//! | on trial | ArtifactVerifyReboot | started again; rolled back after [`TRIAL_STARTS`] starts |
//! | confirming: the state is replaced | ArtifactCommit | on trial, or confirmed |
//! | rolling back: the state is replaced | ArtifactRollback | on trial, or rolled back |
//!
//! There is no state to clean up: unfinished files are never read. The service can start at any
//! time, even while an update hangs.

use std::io::{ErrorKind, Read};
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use crate::disk::Disk;
use crate::error::Error;
use crate::state::{Installed, Name, Phase, State};
use crate::stored::{STATE, StoredState};

/// Service starts with a build on trial before the device rolls back to the previous build.
pub const TRIAL_STARTS: u32 = 3;

/// Bytes that stay free after a build was written.
const RESERVE: u64 = 16 << 20;

/// Size in bytes of the chunks in which builds are read.
const CHUNK: usize = 1 << 16;

const NEW_BUILD: &str = "build.new";

/// The slots of a device.
pub struct Slots<D> {
    disk: D,
    state: State,
}

/// A build to install, as its signed metadata describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The build.
    pub build: Installed,
    /// Size of its file in bytes.
    pub bytes: u64,
}

/// Permissions of an operator for steps that a device refuses by itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Permit {
    /// Install a version below one that the device has confirmed, or leave a confirmed one.
    pub downgrade: bool,
    /// Install a build that has failed its trial on this device.
    pub failed_before: bool,
}

/// The build for the service to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Path of the build's file.
    pub path: PathBuf,
    /// The build.
    pub build: Installed,
    /// Slot that holds it.
    pub slot: Name,
    /// The build still has to be confirmed.
    pub on_trial: bool,
    /// Reason for the rollback that this start has caused, for people.
    pub rollback_reason: Option<String>,
}

impl<D: Disk> Slots<D> {
    /// Opens the slots on a disk. They are empty on a new device.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::State`], [`Error::NewerFormat`]. The file stays as it is.
    pub fn open(disk: D) -> Result<Self, Error> {
        let stored: Option<StoredState> = STATE.read(&disk)?;
        let state = stored.map_or_else(State::empty, State::from);
        Ok(Self { disk, state })
    }

    /// State of the slots.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Counts a start of the service and returns the build to run. Call it once for every start,
    /// before the build is loaded. It rolls back if a trial has failed, or if the slot in use does
    /// not hold the build that was installed in it.
    ///
    /// # Errors
    /// [`Error::NothingToRun`], [`Error::Io`].
    pub fn start(&mut self) -> Result<Running, Error> {
        let mut rollback_reason = None;
        let mut state = self.state.clone();
        if let Phase::Trial { starts } = state.phase {
            if starts >= TRIAL_STARTS {
                rollback_reason = Some(format!("it was not confirmed in {starts} starts"));
                roll_back(&mut state);
            } else {
                state.set_phase(Phase::Trial { starts: starts + 1 });
            }
        }
        let nothing = || Error::NothingToRun { folder: self.disk.path("") };
        let current = state.current.ok_or_else(nothing)?;
        if !self.holds(current)? {
            if !self.holds(current.other())? {
                return Err(nothing());
            }
            rollback_reason =
                Some(format!("slot {current} does not hold what was installed in it"));
            state.put(current, None);
            state.current = Some(current.other());
            state.set_phase(Phase::Settled);
        }
        self.replace(state)?;
        self.in_use(rollback_reason)
    }

    /// Writes a build into the slot that is not in use and checks it there: size and SHA-256
    /// against the offer, then `accept`, which gets the path of its file. The build stays unused
    /// until [`Slots::switch`].
    ///
    /// # Errors
    /// Every [`Error`] except those of other methods. The slot in use is not touched.
    pub fn stage(
        &mut self,
        offer: &Offer,
        source: &mut dyn Read,
        permit: Permit,
        accept: &mut dyn FnMut(&std::path::Path) -> Result<(), String>,
    ) -> Result<(), Error> {
        self.admit(offer, permit)?;
        let slot = self.state.unused();
        // From here on the slot counts as empty: a half-written file is never taken for a build.
        if self.state.slot(slot).is_some() {
            let mut state = self.state.clone();
            state.put(slot, None);
            state.set_phase(Phase::Settled);
            self.replace(state)?;
        }
        self.fetch(offer, source)?;
        let file = self.disk.path(NEW_BUILD);
        accept(&file)
            .map_err(|reason| Error::NotAccepted { build: offer.build.to_string(), reason })?;
        self.rename(NEW_BUILD, slot.file())?;
        let mut state = self.state.clone();
        state.put(slot, Some(offer.build.clone()));
        state.set_phase(Phase::Staged);
        self.replace(state)
    }

    /// Uses the staged build, on trial. The first build of a device is confirmed at once, as there
    /// is no previous build to roll back to.
    ///
    /// # Errors
    /// [`Error::Nothing`], [`Error::OnTrial`], [`Error::Io`].
    pub fn switch(&mut self) -> Result<Running, Error> {
        self.not_on_trial()?;
        if self.state.phase != Phase::Staged {
            return Err(Error::Nothing { what: "switch", reason: "no build is staged" });
        }
        let mut state = self.state.clone();
        let unused = state.unused();
        match state.current.replace(unused) {
            Some(_) => state.set_phase(Phase::Trial { starts: 0 }),
            None => confirm(&mut state),
        }
        self.replace(state)?;
        self.in_use(None)
    }

    /// Confirms the build in use. Nothing happens if it is confirmed already.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn confirm(&mut self) -> Result<(), Error> {
        let mut state = self.state.clone();
        if state.is_on_trial() {
            confirm(&mut state);
        }
        self.replace(state)
    }

    /// Rolls back to the previous build: from a build on trial, or with a permit for downgrades
    /// from a confirmed one.
    ///
    /// # Errors
    /// [`Error::Confirmed`], [`Error::Nothing`], [`Error::Io`].
    pub fn roll_back(&mut self, permit: Permit) -> Result<Running, Error> {
        let confirmed = self.state.in_use().filter(|_| !self.state.is_on_trial());
        if let (Some(build), false) = (confirmed, permit.downgrade) {
            return Err(Error::Confirmed { build: build.to_string() });
        }
        let Installed { name, version, .. } = self.previous("rollback")?;
        let mut state = self.state.clone();
        roll_back(&mut state);
        // The operator has chosen this version: a later one is no downgrade.
        state.floors.insert(name, version);
        self.replace(state)?;
        self.in_use(None)
    }

    /// Uses the build of the other slot, on trial: the staged one, or else the previous one. The
    /// build in use does not count as failed.
    ///
    /// # Errors
    /// [`Error::Nothing`], [`Error::OnTrial`], [`Error::Io`].
    pub fn change(&mut self) -> Result<Running, Error> {
        if self.state.phase == Phase::Staged {
            return self.switch();
        }
        self.not_on_trial()?;
        self.previous("change")?;
        let mut state = self.state.clone();
        state.current = Some(state.unused());
        state.set_phase(Phase::Trial { starts: 0 });
        self.replace(state)?;
        self.in_use(None)
    }

    /// The previous build, if it can be used again.
    fn previous(&self, what: &'static str) -> Result<Installed, Error> {
        let nothing = |reason| Error::Nothing { what, reason };
        let slot = self.state.unused();
        let previous = self.state.slot(slot).filter(|_| self.state.phase != Phase::Staged);
        let previous = previous.ok_or(nothing("there is no previous build"))?;
        if self.state.failed.contains(&previous.sha256) {
            return Err(nothing("the previous build has failed on this device"));
        }
        if !self.holds(slot)? {
            return Err(nothing(
                "the file of the previous build has changed since it was installed",
            ));
        }
        Ok(previous.clone())
    }

    /// The build in use, without counting a start.
    ///
    /// # Errors
    /// [`Error::NothingToRun`].
    pub fn running(&self) -> Result<Running, Error> {
        self.in_use(None)
    }

    fn in_use(&self, rollback_reason: Option<String>) -> Result<Running, Error> {
        let (Some(slot), Some(build)) = (self.state.current, self.state.in_use().cloned()) else {
            return Err(Error::NothingToRun { folder: self.disk.path("") });
        };
        let path = self.disk.path(slot.file());
        Ok(Running { path, build, slot, on_trial: self.state.is_on_trial(), rollback_reason })
    }

    /// Checks that a build may be installed at all.
    fn admit(&self, offer: &Offer, permit: Permit) -> Result<(), Error> {
        self.not_on_trial()?;
        let Installed { name, version, sha256 } = &offer.build;
        if let Some(floor) = self.state.floors.get(name)
            && version < floor
            && !permit.downgrade
        {
            let (name, found, floor) = (name.clone(), version.clone(), floor.clone());
            return Err(Error::Downgrade { name, found, floor });
        }
        if self.state.failed.contains(sha256) && !permit.failed_before {
            let (build, sha256) = (offer.build.to_string(), sha256.clone());
            return Err(Error::FailedBefore { build, sha256 });
        }
        let free = self.disk.free_bytes().map_err(Error::io(&self.disk.path("")))?;
        let needed = offer.bytes.saturating_add(RESERVE);
        if free < needed {
            return Err(Error::Full { folder: self.disk.path(""), free, needed });
        }
        Ok(())
    }

    /// Writes the bytes of a build and compares them with the offer.
    fn fetch(&mut self, offer: &Offer, source: &mut dyn Read) -> Result<(), Error> {
        let build = || offer.build.to_string();
        self.disk.create(NEW_BUILD).map_err(Error::io(&self.disk.path(NEW_BUILD)))?;
        let (mut hash, mut bytes) = (Sha256::new(), 0);
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = match source.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(source) => return Err(Error::Source { build: build(), source }),
            };
            bytes += read as u64;
            if bytes > offer.bytes {
                let found = format!("more than {} bytes", offer.bytes);
                let expected = format!("{} bytes", offer.bytes);
                return Err(Error::Broken { build: build(), found, expected });
            }
            hash.update(&chunk[..read]);
            self.disk
                .append(NEW_BUILD, &chunk[..read])
                .map_err(Error::io(&self.disk.path(NEW_BUILD)))?;
        }
        let broken = |found: String, expected: String| {
            Err(Error::Broken { build: build(), found, expected })
        };
        if bytes != offer.bytes {
            return broken(format!("{bytes} bytes"), format!("{} bytes", offer.bytes));
        }
        let found = hex::encode(hash.finalize());
        if found != offer.build.sha256 {
            return broken(format!("SHA-256 {found}"), format!("SHA-256 {}", offer.build.sha256));
        }
        self.disk.sync(NEW_BUILD).map_err(Error::io(&self.disk.path(NEW_BUILD)))
    }

    /// Tests whether a slot holds the build that was installed in it.
    fn holds(&self, slot: Name) -> Result<bool, Error> {
        let Some(installed) = self.state.slot(slot) else { return Ok(false) };
        let mut file = match self.disk.open(slot.file()) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(Error::io(&self.disk.path(slot.file()))(source)),
        };
        let (mut hash, mut chunk) = (Sha256::new(), vec![0; CHUNK]);
        loop {
            match file.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) => hash.update(&chunk[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A broken sector: the other slot may be on a healthy part of the disk.
                Err(_) => return Ok(false),
            }
        }
        Ok(hex::encode(hash.finalize()) == installed.sha256)
    }

    fn not_on_trial(&self) -> Result<(), Error> {
        match self.state.in_use().filter(|_| self.state.is_on_trial()) {
            Some(build) => Err(Error::OnTrial { on_trial: build.to_string() }),
            None => Ok(()),
        }
    }

    /// Replaces the state: the only place where a change takes effect.
    fn replace(&mut self, state: State) -> Result<(), Error> {
        if state == self.state {
            return Ok(());
        }
        STATE.write(&mut self.disk, &StoredState::from(&state))?;
        self.state = state;
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), Error> {
        self.disk.rename(from, to).map_err(Error::io(&self.disk.path(to)))?;
        self.disk.sync_names().map_err(Error::io(&self.disk.path(to)))
    }
}

/// Rolls back to the other slot and remembers the build in use as failed.
fn roll_back(state: &mut State) {
    if let Some(failed) = state.in_use() {
        let sha256 = failed.sha256.clone();
        state.remember_failed(sha256);
    }
    state.current = Some(state.unused());
    state.set_phase(Phase::Settled);
}

/// Confirms the build in use: older versions are refused from now on.
fn confirm(state: &mut State) {
    state.set_phase(Phase::Settled);
    if let Some(Installed { name, version, sha256 }) = state.in_use().cloned() {
        state.failed.retain(|failed| *failed != sha256);
        state.floors.insert(name, version);
    }
}
