//! Errors of sources.

use medsa_frames::FramesError;

use crate::{config, files};

/// A source or a frame that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The recording cannot be opened.
    #[error(transparent)]
    Clip(#[from] FramesError),
    /// The recording cannot be read.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The configuration names something that is not there.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The source cannot be reached, or was lost.
    #[error("{name}: {reason}")]
    Lost {
        /// The source.
        name: String,
        /// What happened.
        reason: String,
    },
    /// One frame is damaged; the next may be good.
    #[error("damaged frame: {reason}")]
    DamagedFrame {
        /// What was found and expected.
        reason: String,
    },
    /// The configuration is made for frames of another size.
    #[error("{key}: frame is {found}, expected {expected}")]
    FrameRefused {
        /// The key in the configuration.
        key: &'static str,
        /// Size of the frame.
        found: String,
        /// Sizes that are accepted.
        expected: String,
    },
}
