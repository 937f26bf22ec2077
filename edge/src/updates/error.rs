//! Errors of builds and their updates.

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
