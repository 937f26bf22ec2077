//! Captures: records of frames that a person wants kept.

use serde::{Deserialize, Serialize};

use super::announcements::Upload;

/// Keeps captures on the disk.
pub trait Captures: Send + Sync {
    /// Keeps the newest segmented frame as soon as the disk has time; the log and the counters
    /// report the outcome.
    ///
    /// # Errors
    /// When there is no frame yet, or too many captures wait.
    fn capture(&self, trigger: Trigger) -> Result<(), String>;

    /// The newest records, at most `limit`, newest first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    fn list(&self, limit: usize) -> Result<Vec<CaptureSummary>, String>;

    /// The frame of a record as PNG; `None` when there is no such record.
    ///
    /// # Errors
    /// When the record is damaged or cannot be read.
    fn frame_png(&self, id: &str) -> Result<Option<Vec<u8>>, String>;
}

/// Way on which a request for a capture came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// A button of the device.
    Touch,
    /// An MQTT message.
    Mqtt,
    /// An HTTP request.
    Http,
}

/// Entry of a list of records.
#[derive(Clone, Debug, Serialize)]
pub struct CaptureSummary {
    /// Name of the record.
    pub id: String,
    /// Its description, or why it cannot be read.
    #[serde(flatten)]
    pub described: Described,
}

/// Description of a record.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Described {
    /// The record is whole.
    Whole {
        /// Time of capture in microseconds since 1970-01-01 00:00 UTC.
        captured_us: u64,
        /// Delivery of its announcement.
        upload: Upload,
        /// Number of the frame.
        frame_id: u64,
        /// Objects, by ascending number.
        objects: Vec<DescribedObject>,
    },
    /// The record cannot be read.
    Damaged {
        /// Why.
        error: String,
    },
}

/// Object of a record.
#[derive(Clone, Debug, Serialize)]
pub struct DescribedObject {
    /// Its number.
    pub object: u8,
    /// Its label.
    pub label: String,
    /// IoU that the network predicts for its mask.
    pub score: f32,
    /// Pixels of its mask.
    pub area_px: u32,
}
