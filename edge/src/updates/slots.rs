//! Location of the build: a file, or a folder of two slots.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use medsa_update::{Folder, Permit, Running, Slots, State};

use super::error::Error;
use crate::files;

/// Longest wait for another process that changes the slots; it ends soon after its change.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Time between two attempts to lock the slots.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The build file to start with. Counts the start of a build on trial, so call it once per start.
///
/// # Errors
/// [`Error::Slots`].
pub(crate) fn to_start(path: &Path) -> Result<PathBuf, Error> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let Running { path, build, slot, on_trial, rollback_reason } =
        Slots::open(Folder::to_start(path))?.start()?;
    if let Some(reason) = rollback_reason {
        tracing::error!("rolled back to build {build} in slot {slot}: {reason}");
    }
    if on_trial {
        tracing::info!("build {build} in slot {slot} is on trial");
    }
    Ok(path)
}

/// The build file in use, and its SHA-256 in hex if it was installed in a slot.
///
/// # Errors
/// [`Error::Slots`].
pub(crate) fn file_in_use(path: &Path) -> Result<(PathBuf, Option<String>), Error> {
    if !path.is_dir() {
        return Ok((path.to_owned(), None));
    }
    let Running { path, build, .. } = Slots::open(Folder::to_start(path))?.running()?;
    Ok((path, Some(build.sha256)))
}

/// State of the slots, even while another process changes them.
///
/// # Errors
/// [`Error::Slots`].
pub(super) fn state(folder: &Path) -> Result<State, Error> {
    Ok(Slots::open(Folder::to_start(folder))?.state().clone())
}

/// State of the slots at `path`; `None` if the build is a file.
///
/// # Errors
/// [`Error::Slots`]; [`Error::File`] if `path` may not be read.
pub(crate) fn state_if_slots(path: &Path) -> Result<Option<State>, Error> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => state(path).map(Some),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(files::Error::io(path)(error).into()),
    }
}

/// Switches to the build in the other slot.
///
/// # Errors
/// [`Error::Slots`], [`Error::File`].
pub(super) fn change(path: &Path) -> Result<(), Error> {
    Ok(open(path)?.change().map(drop)?)
}

/// Confirms the build in use, if it has this SHA-256 and is on trial.
///
/// # Errors
/// [`Error::Slots`], [`Error::File`].
pub(super) fn confirm(folder: &Path, sha256: &str) -> Result<(), Error> {
    let is_it = |state: &State| {
        state.is_on_trial() && state.in_use().is_some_and(|build| build.sha256 == sha256)
    };
    if !is_it(&state(folder)?) {
        return Ok(());
    }
    let mut slots = open(folder)?;
    if is_it(slots.state()) {
        slots.confirm()?;
        let Running { build, .. } = slots.running()?;
        tracing::info!("build {build} was healthy on trial and is confirmed");
    }
    Ok(())
}

/// Rolls back to the previous build if the build in use is on trial; true if it did.
pub(super) fn failed(path: &Path) -> bool {
    let back = || -> Result<Option<Running>, Error> {
        let mut slots = open(path)?;
        Ok(if slots.state().is_on_trial() {
            Some(slots.roll_back(Permit::default())?)
        } else {
            None
        })
    };
    if !path.is_dir() {
        return false;
    }
    match back() {
        Ok(Some(Running { build, slot, .. })) => {
            tracing::warn!("rolled back to build {build} in slot {slot}");
            true
        }
        Ok(None) => false,
        Err(error) => {
            tracing::error!("cannot roll back to the previous build: {error}");
            false
        }
    }
}

/// Locks the slots, for changes.
///
/// # Errors
/// [`Error::Slots`], [`Error::File`].
pub(crate) fn open(path: &Path) -> Result<Slots<Folder>, Error> {
    let until = Instant::now() + TIMEOUT;
    loop {
        match Folder::open(path) {
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < until => {
                sleep(POLL_INTERVAL);
            }
            opened => return Ok(Slots::open(opened.map_err(files::Error::io(path))?)?),
        }
    }
}
