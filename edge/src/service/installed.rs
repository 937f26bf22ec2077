//! Where the build is: a file, or a folder of slots, in which a new build is on trial until it has
//! been well for a while.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use medsa_update::{Folder, Running, Slots};
use tokio::time::sleep;

use crate::config::BuildConfig;
use crate::engine::Engine;
use crate::error::Error;
use crate::pipeline::{Counter, Meter, Slot};
use crate::records::hex;

/// Time between two looks at whether all is well.
const LOOK: Duration = Duration::from_secs(1);

/// The file that the service is to start with. A start on trial is counted, so this is asked once.
///
/// # Errors
/// [`Error::Slots`].
pub(super) fn to_start(path: &Path) -> Result<PathBuf, Error> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let Running { path, build, slot, on_trial, went_back } =
        Slots::open(Folder::to_start(path))?.start()?;
    if let Some(reason) = went_back {
        tracing::error!("back to build {build} in slot {slot}: {reason}");
    }
    if on_trial {
        tracing::info!("build {build} in slot {slot} is on trial");
    }
    Ok(path)
}

/// The file in use at present.
///
/// # Errors
/// [`Error::Slots`].
pub(super) fn at_present(path: &Path) -> Result<PathBuf, Error> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    Ok(Slots::open(Folder::to_start(path))?.running()?.path)
}

/// The build that is on trial, if any, does not take over: the one before is in use again.
pub(super) fn failed(path: &Path) {
    let back = || -> Result<Option<Running>, Error> {
        let mut slots = open(path)?;
        Ok(if slots.state().is_on_trial() { Some(slots.roll_back()?) } else { None })
    };
    if !path.is_dir() {
        return;
    }
    match back() {
        Ok(Some(Running { build, slot, .. })) => {
            tracing::warn!("back to build {build} in slot {slot}");
        }
        Ok(None) => {}
        Err(error) => tracing::error!("the build before cannot be used again: {error}"),
    }
}

fn open(path: &Path) -> Result<Slots<Folder>, Error> {
    Ok(Slots::open(Folder::open(path).map_err(Error::io(path))?)?)
}

/// Confirms a build on trial once it has been well for long enough.
pub(super) struct Confirming {
    folder: PathBuf,
    after: Duration,
    slot: Slot<Engine>,
    meter: Arc<Meter>,
}

impl Confirming {
    /// `None` when the build is a file.
    pub fn new(config: &BuildConfig, slot: Slot<Engine>, meter: Arc<Meter>) -> Option<Self> {
        let BuildConfig { path, confirm_after, .. } = config;
        path.is_dir().then(|| Self { folder: path.clone(), after: *confirm_after, slot, meter })
    }

    /// Runs until it is aborted.
    pub async fn run(self) {
        let mut before = self.seen();
        let mut well = Duration::ZERO;
        loop {
            sleep(LOOK).await;
            let now = self.seen();
            let is_well = now.sha256 == before.sha256
                && now.segmented > before.segmented
                && now.failed == before.failed;
            well = if is_well { well + LOOK } else { Duration::ZERO };
            before = now;
            if well < self.after {
                continue;
            }
            well = Duration::ZERO;
            let (folder, sha256) = (self.folder.clone(), hex(&before.sha256));
            let confirm = move || confirm(&folder, &sha256);
            if let Ok(Err(error)) = tokio::task::spawn_blocking(confirm).await {
                tracing::error!("a build is well and cannot be confirmed: {error}");
            }
        }
    }

    fn seen(&self) -> Seen {
        Seen {
            sha256: self.slot.whole().build.sha256,
            segmented: self.meter.get(Counter::FramesSegmented),
            failed: self.meter.get(Counter::FramesFailed),
        }
    }
}

/// What tells how a build does.
struct Seen {
    sha256: [u8; 32],
    segmented: u64,
    failed: u64,
}

/// Confirms the build in use, if it is the one of that SHA-256 and on trial.
fn confirm(folder: &Path, sha256: &str) -> Result<(), Error> {
    let look = Slots::open(Folder::to_start(folder))?;
    let on_trial = look.state().is_on_trial();
    let Some(build) = look.state().in_use().filter(|build| on_trial && build.sha256 == sha256)
    else {
        return Ok(());
    };
    open(folder)?.confirm()?;
    tracing::info!("build {build} has been well, and is confirmed");
    Ok(())
}
