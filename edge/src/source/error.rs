//! Errors of sources.

use medsa_frames::FramesError;

use crate::config;

/// Error of a source or of one frame.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The recording cannot be opened.
    #[error(transparent)]
    Clip(#[from] FramesError),
    /// The configuration names something that does not exist.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The source cannot be reached, or was lost.
    #[error("{name}: {reason}")]
    Lost {
        /// Name of the source.
        name: String,
        /// Reason.
        reason: String,
    },
    /// One frame is damaged; the next may be good.
    #[error("damaged frame: {reason}")]
    DamagedFrame {
        /// Values found and expected.
        reason: String,
    },
    /// The frame does not have the configured size.
    #[error("{key}: frame is {found}, expected {expected}")]
    FrameRefused {
        /// Key in the configuration.
        key: &'static str,
        /// Size of the frame.
        found: String,
        /// Accepted sizes.
        expected: String,
    },
}
