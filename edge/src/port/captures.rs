//! Captures: records of frames that a user wants to keep.

use serde::{Deserialize, Serialize};

use super::announcements::Upload;
use super::refusal::Refusal;

/// Storage of captures.
pub trait Captures: Send + Sync {
    /// Queues a frame with its masks for the disk; the log and the counters report the result.
    ///
    /// # Errors
    /// The frame or a mask is no longer kept, the source delivers no frames, or too many captures
    /// wait.
    fn capture(&self, subject: &Subject, trigger: Trigger) -> Result<(), Refusal>;

    /// Code of the reason why the last accepted capture could not be stored.
    fn refused_because(&self) -> Option<&'static str>;

    /// The newest records, at most `limit`, newest first.
    ///
    /// # Errors
    /// The folder cannot be read.
    fn list(&self, limit: usize) -> Result<Vec<CaptureSummary>, String>;

    /// The frame of a record as PNG; `None` if there is no such record.
    ///
    /// # Errors
    /// The record is damaged or cannot be read.
    fn frame_png(&self, id: &str) -> Result<Option<Vec<u8>>, String>;
}

/// What is to be captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The newest frame with its masks, as a page shows it.
    Newest,
    /// What a page shows.
    Shown {
        /// Number of the frame.
        frame_id: u64,
        /// Revisions of the masks.
        masks: Vec<u64>,
    },
}

/// Origin of a request for a capture.
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
    /// Description of the record, or why it cannot be read.
    #[serde(flatten)]
    pub described: Described,
}

/// Description of a record.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Described {
    /// The record is readable.
    Whole {
        /// Time of capture in microseconds since 1970-01-01 00:00 UTC.
        captured_us: u64,
        /// Delivery state of its announcement.
        upload: Upload,
        /// Number of the frame.
        frame_id: u64,
        /// Objects, by ascending number.
        objects: Vec<DescribedObject>,
    },
    /// The record cannot be read.
    Damaged {
        /// Reason.
        error: String,
    },
}

/// Object of a record.
#[derive(Clone, Debug, Serialize)]
pub struct DescribedObject {
    /// Number of the object.
    pub object: u8,
    /// Name of the structure.
    pub label: String,
    /// IoU that the network predicts for the mask.
    pub score: f32,
    /// Area of the mask in pixels.
    pub area_px: u32,
}
