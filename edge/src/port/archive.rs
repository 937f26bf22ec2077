//! Sending of records to an archive.

use serde::{Deserialize, Serialize};

/// Archive to which records are sent.
pub trait Archive: Send + Sync {
    /// A record was stored on this device.
    fn stored(&self);

    /// Progress of the record `id`.
    fn progress(&self, id: &str) -> Progress;
}

/// Progress of a record to the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Progress {
    /// It waits for the archive.
    Waiting,
    /// The archive has stored it.
    Sent,
    /// The archive has stored it, and was asked to keep it (storage commitment).
    Asked {
        /// UID of the request.
        transaction: String,
        /// Time of the request in seconds since 1970-01-01 00:00 UTC.
        at_s: u64,
    },
    /// The archive keeps it: storage commitment.
    Kept,
    /// The archive does not take it, or it is damaged; it is not sent again.
    Refused {
        /// Reason, for people.
        reason: String,
    },
}
