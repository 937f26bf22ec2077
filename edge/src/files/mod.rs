//! Files of the device: names that survive a power cut, and files that hold secrets.

mod disk;
pub(crate) mod pem;
pub(crate) mod secret;

use std::path::{Path, PathBuf};

pub(crate) use disk::{check_writable, sync_folder, sync_parent};

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system cannot read or write the file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The file should hold a certificate, key or password, and does not.
    #[error("{}: {reason}", path.display())]
    Credential {
        /// The file.
        path: PathBuf,
        /// What was found and expected.
        reason: String,
    },
    /// The file holds a secret that every user of this machine can read.
    #[error(
        "{}: its mode is {mode:04o}, so that everybody can use this secret, expected no access \
         for others: chmod o= {}",
        path.display(),
        path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

impl Error {
    /// Adds `path` to an error of the system.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}
