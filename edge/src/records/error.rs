//! Errors of records.

use std::path::PathBuf;

use super::budget::Shortage;
use crate::{files, threads};

/// A capture that is not kept, or a record that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder of the records cannot be used.
    #[error(transparent)]
    File(#[from] files::Error),
    /// Pixels that may identify the patient are not kept.
    #[error(
        "the frame is not de-identified: source.blank is missing, expected rectangles that hide \
         what tells the patient: not kept"
    )]
    NotDeidentified,
    /// The capture contradicts itself.
    #[error("capture: {key} is {found}, expected {expected}")]
    Capture {
        /// Part of the capture.
        key: String,
        /// Its value.
        found: String,
        /// Values that are accepted.
        expected: String,
    },
    /// There is no room for another record. Older ones are never deleted for it: an operator moves
    /// some elsewhere, or raises the limit.
    #[error("{}: no room for a record of {needed} bytes: {shortage}: not kept", folder.display())]
    Full {
        /// The folder of records.
        folder: PathBuf,
        /// Bytes of the record.
        needed: u64,
        /// The limit that it would exceed.
        shortage: Shortage,
    },
    /// Another process uses the folder.
    #[error(
        "{}: another process keeps records there, expected a folder of our own",
        folder.display()
    )]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// A file of the record cannot be encoded.
    #[error("{file} of a record: {reason}: not kept")]
    Encoding {
        /// The file.
        file: String,
        /// The encoder's answer.
        reason: String,
    },
    /// A file of the record is not what was written.
    #[error("{}: {found}, expected {expected}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Its content.
        found: String,
        /// The content that was written.
        expected: String,
    },
    /// The record was written by a newer program.
    #[error(
        "{}: format {found} is newer than this program supports ({supported}): install a newer \
         medsa-edge",
        path.display()
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// Newest format that this program reads.
        supported: u32,
    },
    /// The record is kept, and cannot be announced.
    #[error("the record is kept but not announced: {0}")]
    NotAnnounced(String),
    /// The thread that keeps records cannot be started.
    #[error(transparent)]
    Thread(#[from] threads::Error),
}
