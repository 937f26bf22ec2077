//! Announcements of records, which must arrive.

use medsa_wire::RecordMessage;
use serde::Serialize;

/// Messages about records that wait until the broker confirms them.
pub trait Announcements: Send + Sync {
    /// Keeps an announcement; it is on the disk when this returns.
    ///
    /// # Errors
    /// Why it cannot be kept, for people.
    fn announce(&self, record: &RecordMessage) -> Result<(), String>;

    /// Delivery of the announcement of the record `id`.
    fn upload(&self, id: &str) -> Upload;

    /// Number of messages that wait; `None` when the file cannot be read.
    fn waiting(&self) -> Option<u64>;
}

/// Delivery of an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Upload {
    /// There is no announcement.
    None,
    /// It waits for the broker.
    Waiting,
    /// The broker has confirmed it.
    Delivered,
    /// The outbox cannot be read.
    Unknown,
}
