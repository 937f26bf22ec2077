//! Announcements of records and of their deletion, which must arrive.

use medsa_wire::{RecordDeleted, RecordMessage};
use serde::Serialize;

/// Storage of announcements until the broker confirms them.
pub trait Announcements: Send + Sync {
    /// Stores an announcement; it is on the disk when this returns.
    ///
    /// # Errors
    /// The reason why it cannot be stored, for people.
    fn announce(&self, record: &RecordMessage) -> Result<(), String>;

    /// Replaces the announcement of a record, if it still waits, by that of its deletion, which is on
    /// the disk when this returns.
    ///
    /// # Errors
    /// As [`Announcements::announce`].
    fn withdraw(&self, record: &RecordDeleted) -> Result<(), String>;

    /// True while the announcement of the record `id` is on its way to the broker.
    fn is_sending(&self, id: &str) -> bool;

    /// Delivery state of the announcement of the record `id`.
    fn upload(&self, id: &str) -> Upload;

    /// Number of waiting messages; `None` if the file cannot be read.
    fn waiting(&self) -> Option<u64>;
}

/// Delivery state of an announcement.
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
