//! Errors of the configuration.

use std::path::{Path, PathBuf};

use crate::files;

/// Error in the configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The file is not TOML, or a key is unknown, missing or of the wrong type.
    #[error("{}:{line}: `{text}`: {reason}", file.display())]
    Syntax {
        /// Configuration file.
        file: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// Text of the line.
        text: String,
        /// Reason from the TOML parser.
        reason: String,
    },
    /// A value is not accepted.
    #[error("{}: {key} is {found}, expected {expected}", file.display())]
    Value {
        /// Configuration file.
        file: PathBuf,
        /// Key, such as `source.rate_fps`.
        key: String,
        /// Value found.
        found: String,
        /// Accepted values.
        expected: String,
    },
}

impl Error {
    /// Error about a value in `file` that is not accepted.
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
