//! Errors of builds and their updates.

use crate::{files, threads};

/// A build that cannot be run, or an update that was not made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The build's file cannot be read.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The build is damaged or of another version.
    #[error(transparent)]
    Build(#[from] medsa_bundle::Error),
    /// The engine cannot run the build, or the build fails its acceptance test.
    #[error(transparent)]
    Engine(#[from] medsa_engine::Error),
    /// The slots of the device refuse the operation.
    #[error(transparent)]
    Slots(#[from] medsa_update::Error),
    /// `medsa-edge update` failed.
    #[error("no newer build: {reason}")]
    NotUpdated {
        /// Its last line.
        reason: String,
    },
    /// The build's masks are larger than a message.
    #[error("the build's masks are {found} px wide, a mask message holds at most {limit}")]
    MaskTooFine {
        /// Side of the masks, in pixels.
        found: usize,
        /// Largest side, in pixels.
        limit: u16,
    },
    /// A thread cannot be started, or panicked.
    #[error(transparent)]
    Thread(#[from] threads::Error),
}
