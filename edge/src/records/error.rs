//! Errors of records.

use std::io;
use std::path::PathBuf;

use super::budget::Shortage;
use crate::{files, threads};

/// A capture cannot be stored, or a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be used.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The frame may identify the patient, so it is not stored.
    #[error(
        "frame not stored, because it is not deidentified: source.blank is missing; set it to the \
         rectangles that hide what identifies the patient, or to [] if there is nothing to hide"
    )]
    NotDeidentified,
    /// Values of the capture contradict each other.
    #[error("capture: {key} is {found}, expected {expected}")]
    Capture {
        /// Field of the capture.
        key: String,
        /// Value found.
        found: String,
        /// Accepted values.
        expected: String,
    },
    /// There is no room for another record. Older ones are not deleted for it; a user deletes or an
    /// administrator moves some, or raises the limit.
    #[error("{}: no room for a record of {needed} bytes: {shortage}; not stored", folder.display())]
    Full {
        /// Folder of the records.
        folder: PathBuf,
        /// Size of the record.
        needed: u64,
        /// Limit that it would exceed.
        shortage: Shortage,
    },
    /// Another process uses the folder.
    #[error(
        "{}: another process uses this folder; each medsa-edge needs its own records.folder",
        folder.display()
    )]
    InUse {
        /// Folder of the records.
        folder: PathBuf,
    },
    /// A file of the record cannot be encoded.
    #[error("record not stored: cannot encode {file}: {reason}")]
    Encoding {
        /// Name of the file.
        file: String,
        /// Reason from the encoder.
        reason: String,
    },
    /// A file of the record has changed since it was written.
    #[error("{}: {found}, expected {expected}", path.display())]
    Damaged {
        /// Path of the file.
        path: PathBuf,
        /// Content found.
        found: String,
        /// Content expected.
        expected: String,
    },
    /// The record was written by a newer program.
    #[error(
        "{}: format {found} is newer than this program supports ({supported}): install a newer \
         medsa-edge",
        path.display()
    )]
    NewerFormat {
        /// Path of the file.
        path: PathBuf,
        /// Format found.
        found: u32,
        /// Newest format that this program supports.
        supported: u32,
    },
    /// The record is stored, but could not be announced.
    #[error("the record is stored but not announced: {0}")]
    NotAnnounced(String),
    /// The thread that stores records could not be started, or panicked.
    #[error(transparent)]
    Thread(#[from] threads::Error),
}

impl Error {
    /// True if a file or folder does not exist, as for a record that was deleted or moved away.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::File(files::Error::Io { source, .. })
            if source.kind() == io::ErrorKind::NotFound)
    }

    /// Cause, for programs: the page words it in its language.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::NotDeidentified => "not-deidentified",
            Self::Full { .. } => "full",
            Self::NotAnnounced(_) => "not-announced",
            _ => "not-stored",
        }
    }
}
