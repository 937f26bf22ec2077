//! Files of the device: names that survive a power cut, and files that hold secrets.

mod disk;
pub(crate) mod pem;
pub(crate) mod secret;
pub(crate) mod tls;

use std::path::{Path, PathBuf};

pub(crate) use disk::{
    UNFINISHED, check_writable, free_bytes, is_mounted, replace, sync_folder, sync_parent,
};

/// A file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system cannot read or write the file.
    #[error("{}: {source}", path.display())]
    Io {
        /// Path of the file.
        path: PathBuf,
        /// Error of the system.
        source: std::io::Error,
    },
    /// The file does not hold the expected certificate, key or password.
    #[error("{}: {reason}", path.display())]
    Credential {
        /// Path of the file.
        path: PathBuf,
        /// Content found and expected.
        reason: String,
    },
    /// Encryption without `ca_file` on a system without CA certificates.
    #[error(
        "the system has no CA certificates to check the certificates of servers; set ca_file or \
         install the package ca-certificates"
    )]
    NoSystemRoots,
    /// The file holds a secret that every user of this machine can read.
    #[error(
        "{}: its mode is {mode:04o}, so every user of this machine can read this secret; \
         run chmod o= {}",
        path.display(),
        path.display()
    )]
    Exposed {
        /// Path of the file.
        path: PathBuf,
        /// Permissions of the file.
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
