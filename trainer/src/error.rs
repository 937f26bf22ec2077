//! Errors of reading, using and writing model files.

use std::io;
use std::path::{Path, PathBuf};

/// An error of this crate. Every message names the file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read or written.
    #[error("cannot read or write {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// File: it is not of the expected kind.
    #[error("cannot use {path}: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// The value found, and the value expected.
        reason: String,
    },
    /// File: its tensors do not match the network.
    #[error("cannot use {path}: {source}")]
    Network {
        /// The file.
        path: PathBuf,
        /// The tensor, and what was expected.
        source: medsa_sam::Error,
    },
    /// Caller: the file belongs to another base model.
    #[error(
        "cannot use {path}: made for the base {name} (sha256 {expected}), but the given base has \
         sha256 {found}: give the base that it was made for"
    )]
    OtherBase {
        /// The adapter or int8 base file.
        path: PathBuf,
        /// Name of the base that it was made for.
        name: String,
        /// Hash of the base that it was made for.
        expected: String,
        /// Hash of the given base.
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
