//! Errors of the services of the hospital.

use std::path::PathBuf;

use crate::{files, threads};

/// The archive or the worklist cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] files::Error),
    /// A thread cannot be started.
    #[error(transparent)]
    Thread(#[from] threads::Error),
    /// The archive cannot be used, or refuses.
    #[error("archive: {0}")]
    Network(#[from] medsa_hospital::Error),
    /// A newer program has written the progress of a record.
    #[error(
        "{}: its format is {found}, this program supports up to {supported}; start the newer program",
        path.display()
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Number of its format.
        found: u64,
        /// Newest supported format.
        supported: u64,
    },
}
