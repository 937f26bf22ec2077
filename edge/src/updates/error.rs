//! Errors of builds and their updates.

use std::path::PathBuf;

use crate::{files, threads};

/// A build cannot be run, or an update failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The build file cannot be read.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The build is damaged or of an unsupported version.
    #[error(transparent)]
    Build(#[from] medsa_bundle::Error),
    /// The engine cannot run the build, or the build fails its acceptance test.
    #[error(transparent)]
    Engine(#[from] medsa_engine::Error),
    /// The slots refuse the operation.
    #[error(transparent)]
    Slots(#[from] medsa_update::Error),
    /// A slot holds another file than the build that was installed in it.
    #[error("{}: it is not the build that was installed in this slot; stage the build again", path.display())]
    NotInstalled {
        /// File of the slot.
        path: PathBuf,
    },
    /// A file of further builds has a name that cannot be chosen.
    #[error(
        "{}: the file needs another name: 1 to 64 visible characters, not `main`, before .medsa",
        path.display()
    )]
    BuildName {
        /// The file.
        path: PathBuf,
    },
    /// The folder holds too many further builds.
    #[error("{}: there are {found} builds, expected at most {limit}", folder.display())]
    TooManyBuilds {
        /// Folder of further builds.
        folder: PathBuf,
        /// Number of builds.
        found: usize,
        /// Largest number.
        limit: usize,
    },
    /// The child process `medsa-edge update` failed.
    #[error("cannot update the build: {reason}")]
    NotUpdated {
        /// Last line of its output.
        reason: String,
    },
    /// The build's masks are too large for a message.
    #[error("the build's masks are {found} px wide, but a mask message holds at most {limit} px")]
    MaskTooFine {
        /// Side of the masks, in pixels.
        found: usize,
        /// Largest side, in pixels.
        limit: u16,
    },
    /// A thread could not be started, or panicked.
    #[error(transparent)]
    Thread(#[from] threads::Error),
}
