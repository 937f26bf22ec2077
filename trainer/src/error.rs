//! Why a model file cannot be read, used or written.

use std::io;
use std::path::{Path, PathBuf};

/// Errors of this crate; every message names the file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system's.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The file's: it is not of the kind that is expected.
    #[error("{path}: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What was found, and expected.
        reason: String,
    },
    /// The file's: its tensors are not those of the network.
    #[error("{path}: {source}")]
    Network {
        /// The file.
        path: PathBuf,
        /// Which tensor, and what was expected.
        source: medsa_sam::Error,
    },
    /// The caller's: an adapter for another base model.
    #[error("{path}: trained on {name} (sha256 {expected}), but the base has sha256 {found}")]
    OtherBase {
        /// The adapter file.
        path: PathBuf,
        /// Name of the base that it was trained on.
        name: String,
        /// Hash of the base that it was trained on.
        expected: String,
        /// Hash of the base that was given.
        found: String,
    },
}

impl Error {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn format(path: &Path, reason: impl ToString) -> Self {
        Self::Format { path: path.to_owned(), reason: reason.to_string() }
    }

    pub(crate) fn network(path: &Path, source: medsa_sam::Error) -> Self {
        Self::Network { path: path.to_owned(), source }
    }
}
