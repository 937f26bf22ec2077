//! Errors of the configuration.

use std::path::{Path, PathBuf};

use crate::files;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The file is not TOML, or a key is unknown, missing or of the wrong type.
    #[error("{}:{line}: `{text}`: {reason}", file.display())]
    Syntax {
        /// The configuration.
        file: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// The line.
        text: String,
        /// What is wrong in it.
        reason: String,
    },
    /// A value is out of its range.
    #[error("{}: {key} is {found}, expected {expected}", file.display())]
    Value {
        /// The configuration.
        file: PathBuf,
        /// The key, as in `source.rate_fps`.
        key: String,
        /// Its value.
        found: String,
        /// Values that are accepted.
        expected: String,
    },
}

impl Error {
    /// A value of `file` that is out of its range.
    pub(crate) fn value(
        file: &Path,
        key: &str,
        found: impl std::fmt::Display,
        expected: impl std::fmt::Display,
    ) -> Self {
        Self::Value {
            file: file.to_owned(),
            key: key.to_owned(),
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }
}
