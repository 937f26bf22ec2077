//! Two slots for builds. One is in use; another build is written into the other one, checked there,
//! and takes over by one rename of the file that says which slot is in use. It is on trial then:
//! confirmed when the service has been well for a while, and gone back from when it has not.
//!
//! | state | Mender's | what an error, a kill or a hang leads to |
//! |---|---|---|
//! | idle | Idle, Sync | as before |
//! | staging: bytes come and are written | Download | as before; what was written is written anew |
//! | checking: hash, acceptance | ArtifactInstall | as before |
//! | switching: the state is replaced | ArtifactReboot | as before, or on trial |
//! | on trial | ArtifactVerifyReboot | tried again, and back after [`TRIAL_STARTS`] starts |
//! | confirming: the state is replaced | ArtifactCommit | on trial, or confirmed |
//! | rolling back: the state is replaced | ArtifactRollback | on trial, or back |
//!
//! There is no state to clean up after: nothing that is unfinished is ever looked at. Whatever
//! hangs, the service can start meanwhile.

use std::io::{ErrorKind, Read};
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use crate::disk::Disk;
use crate::error::Error;
use crate::sealed::{replace, seal, unseal};
use crate::state::{Installed, Name, Phase, State};

/// Starts that a build on trial gets before the device goes back to the one before.
pub const TRIAL_STARTS: u32 = 3;

/// Bytes that stay free when a build was written.
const RESERVE: u64 = 16 << 20;

/// Bytes that are read at once.
const CHUNK: usize = 1 << 16;

const STATE: &str = "state.json";
const NEW_STATE: &str = "state.new";
const NEW_BUILD: &str = "build.new";

/// The slots of a device.
pub struct Slots<D> {
    disk: D,
    state: State,
}

/// A build that is to be installed, as its signed metadata describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What it is.
    pub build: Installed,
    /// Size of its file.
    pub bytes: u64,
}

/// What an operator allows beyond what a device does by itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Permit {
    /// A version below one that has run here.
    pub downgrade: bool,
    /// A build that has failed its trial here.
    pub failed_before: bool,
}

/// The build that the service is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its file.
    pub path: PathBuf,
    /// What it is.
    pub build: Installed,
    /// Which slot it is in.
    pub slot: Name,
    /// Whether it still has to be confirmed.
    pub on_trial: bool,
    /// Why this is not the build that was to run, for people.
    pub went_back: Option<String>,
}

impl<D: Disk> Slots<D> {
    /// The slots on a disk; of a new device they are empty.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::State`].
    pub fn open(disk: D) -> Result<Self, Error> {
        let path = disk.path(STATE);
        let mut bytes = Vec::new();
        let state = match disk.open(STATE).and_then(|mut file| file.read_to_end(&mut bytes)) {
            Ok(_) => unseal(&bytes).map_err(|reason| Error::State { path, reason })?,
            Err(error) if error.kind() == ErrorKind::NotFound => State::empty(),
            Err(source) => return Err(Error::Io { path, source }),
        };
        Ok(Self { disk, state })
    }

    /// What is in the slots.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The build to run: to be asked once at every start of the service, before the build is
    /// loaded, as starts on trial are counted. Goes back when a trial has failed, or when the build
    /// in use is not what was installed.
    ///
    /// # Errors
    /// [`Error::NothingToRun`], [`Error::Io`].
    pub fn start(&mut self) -> Result<Running, Error> {
        let mut went_back = None;
        let mut state = self.state.clone();
        if let Phase::Trial { starts } = &mut state.phase {
            if *starts >= TRIAL_STARTS {
                went_back = Some(format!("it was not confirmed in {starts} starts"));
                go_back(&mut state);
            } else {
                *starts += 1;
            }
        }
        let nothing = || Error::NothingToRun { folder: self.disk.path("") };
        let current = state.current.ok_or_else(nothing)?;
        if !self.holds(current)? {
            if !self.holds(current.other())? {
                return Err(nothing());
            }
            went_back = Some(format!("slot {current} does not hold what was installed in it"));
            state.put(current, None);
            state.current = Some(current.other());
            state.phase = Phase::Settled;
        }
        self.replace(state)?;
        self.in_use(went_back)
    }

    /// Writes a build into the slot that is not in use and checks it there: size and SHA-256
    /// against what was offered, then `accept`, which is told where it is. It stays unused until
    /// [`Slots::switch`].
    ///
    /// # Errors
    /// Every [`Error`] but those of other methods. The slot in use is not touched.
    pub fn stage(
        &mut self,
        offer: &Offer,
        source: &mut dyn Read,
        permit: Permit,
        accept: &mut dyn FnMut(&std::path::Path) -> Result<(), String>,
    ) -> Result<(), Error> {
        self.admit(offer, permit)?;
        let slot = self.state.unused();
        // From here on nobody takes the slot for what was in it.
        if self.state.slot(slot).is_some() {
            let mut state = self.state.clone();
            state.put(slot, None);
            state.phase = Phase::Settled;
            self.replace(state)?;
        }
        self.fetch(offer, source)?;
        let file = self.disk.path(NEW_BUILD);
        accept(&file)
            .map_err(|reason| Error::NotAccepted { build: offer.build.to_string(), reason })?;
        self.rename(NEW_BUILD, slot.file())?;
        let mut state = self.state.clone();
        state.put(slot, Some(offer.build.clone()));
        state.phase = Phase::Staged;
        self.replace(state)
    }

    /// Uses the build that was staged, on trial. The first of a device is confirmed at once, as
    /// there is no way back.
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
            Some(_) => state.phase = Phase::Trial { starts: 0 },
            None => confirm(&mut state),
        }
        self.replace(state)?;
        self.in_use(None)
    }

    /// The build in use has been well for long enough. Nothing happens when it is confirmed.
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

    /// Goes back to the build before: from a trial, or with a permit for downgrades from one that
    /// was confirmed, as long as it is there.
    ///
    /// # Errors
    /// [`Error::Confirmed`], [`Error::Nothing`], [`Error::Io`].
    pub fn roll_back(&mut self, permit: Permit) -> Result<Running, Error> {
        let confirmed = self.state.in_use().filter(|_| !self.state.is_on_trial());
        if let (Some(build), false) = (confirmed, permit.downgrade) {
            return Err(Error::Confirmed { build: build.to_string() });
        }
        let Installed { name, version, .. } = self.before("rollback")?;
        let mut state = self.state.clone();
        go_back(&mut state);
        // That is what the operator wants now: what comes after it is no downgrade.
        state.floors.insert(name, version);
        self.replace(state)?;
        self.in_use(None)
    }

    /// Uses the build of the other slot, on trial: the one that was staged, or else the one before,
    /// without a fault of the one in use.
    ///
    /// # Errors
    /// [`Error::Nothing`], [`Error::OnTrial`], [`Error::Io`].
    pub fn change(&mut self) -> Result<Running, Error> {
        if self.state.phase == Phase::Staged {
            return self.switch();
        }
        self.not_on_trial()?;
        self.before("change")?;
        let mut state = self.state.clone();
        state.current = Some(state.unused());
        state.phase = Phase::Trial { starts: 0 };
        self.replace(state)?;
        self.in_use(None)
    }

    /// The build that was in use before.
    fn before(&self, what: &'static str) -> Result<Installed, Error> {
        let nothing = |reason| Error::Nothing { what, reason };
        let slot = self.state.unused();
        let before = self.state.slot(slot).filter(|_| self.state.phase != Phase::Staged);
        let before = before.ok_or(nothing("there is no build before"))?;
        if self.state.failed.contains(&before.sha256) {
            return Err(nothing("the build before has failed on this device"));
        }
        if !self.holds(slot)? {
            return Err(nothing("the build before is not as it was installed"));
        }
        Ok(before.clone())
    }

    /// The build that is used at present, without a start.
    ///
    /// # Errors
    /// [`Error::NothingToRun`].
    pub fn running(&self) -> Result<Running, Error> {
        self.in_use(None)
    }

    fn in_use(&self, went_back: Option<String>) -> Result<Running, Error> {
        let (Some(slot), Some(build)) = (self.state.current, self.state.in_use().cloned()) else {
            return Err(Error::NothingToRun { folder: self.disk.path("") });
        };
        let path = self.disk.path(slot.file());
        Ok(Running { path, build, slot, on_trial: self.state.is_on_trial(), went_back })
    }

    /// Whether a build may be installed at all.
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

    /// Writes what comes and holds it against what was offered.
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
                return Err(Error::Broken { build: build(), found, expected: "no more".into() });
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

    /// Whether a slot holds the build that was installed in it.
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
                // A part of the disk that cannot be read any more: the other slot may be elsewhere.
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

    /// The one place where anything takes effect.
    fn replace(&mut self, state: State) -> Result<(), Error> {
        if state == self.state {
            return Ok(());
        }
        replace(&mut self.disk, STATE, NEW_STATE, &seal(&state))?;
        self.state = state;
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), Error> {
        self.disk.rename(from, to).map_err(Error::io(&self.disk.path(to)))?;
        self.disk.sync_names().map_err(Error::io(&self.disk.path(to)))
    }
}

/// Back to the other slot; the one in use has failed.
fn go_back(state: &mut State) {
    if let Some(failed) = state.in_use() {
        let sha256 = failed.sha256.clone();
        state.remember_failed(sha256);
    }
    state.current = Some(state.unused());
    state.phase = Phase::Settled;
}

/// The build in use is good.
fn confirm(state: &mut State) {
    state.phase = Phase::Settled;
    if let Some(Installed { name, version, sha256 }) = state.in_use().cloned() {
        state.failed.retain(|failed| *failed != sha256);
        state.floors.insert(name, version);
    }
}
