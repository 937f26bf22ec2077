//! Captures: records of frames that a user wants to keep.

use std::fmt;
use std::path::PathBuf;

use medsa_wire::DeletionReason;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::announcements::Upload;
use super::refusal::Refusal;
use crate::config::UserName;

/// Storage of captures.
pub trait Captures: Send + Sync {
    /// Queues a frame with its masks for the disk; the log and the counters report the result.
    ///
    /// # Errors
    /// The frame or a mask is no longer kept, the source delivers no frames, a clip is wanted of an
    /// image that is not frozen, or too many captures wait.
    fn capture(&self, subject: &Subject, by: &Requester) -> Result<(), Refusal>;

    /// Code of the reason why the last accepted capture could not be stored.
    fn refused_because(&self) -> Option<&'static str>;

    /// The newest records, at most `limit`, newest first.
    ///
    /// # Errors
    /// The folder cannot be read.
    fn list(&self, limit: usize) -> Result<Vec<CaptureSummary>, String>;

    /// Names of all records, newest first.
    ///
    /// # Errors
    /// As [`Captures::list`].
    fn ids(&self) -> Result<Vec<String>, String>;

    /// Content of `record.json`, with the delivery state as `upload` and the progress to the archive
    /// as `archive`; `None` if there is no such record.
    ///
    /// # Errors
    /// The record is damaged or cannot be read.
    fn describe(&self, id: &str) -> Result<Option<Value>, String>;

    /// An image of a record, `frame.png`, `mask-N.png` or `clip.gif`; `None` if there is none.
    ///
    /// # Errors
    /// As [`Captures::describe`].
    fn image(&self, id: &str, name: &str) -> Result<Option<Vec<u8>>, String>;

    /// The DICOM files of a record, checked against their hashes; `None` if there is no such record.
    ///
    /// # Errors
    /// As [`Captures::describe`].
    fn dicom_files(&self, id: &str) -> Result<Option<Vec<PathBuf>>, String>;

    /// Deletes a record and reports the deletion; it would survive a power cut when this returns.
    ///
    /// # Errors
    /// There is no such record, it is being announced, or the disk fails.
    fn delete(&self, id: &str, why: &Deletion) -> Result<(), Refusal>;

    /// True if a stick is there; `None` if this device does not copy records.
    fn stick(&self) -> Option<bool>;

    /// Copies records onto the stick, which can be pulled out when this returns. Those that it has
    /// already are left out.
    ///
    /// # Errors
    /// There is no stick, another copy is being made, there is no such record or it is damaged, or
    /// the stick is full or fails. Records before the one that failed are copied.
    fn copy(&self, ids: &[String]) -> Result<Copied, Refusal>;
}

/// Number of records on a stick after copying.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Copied {
    /// Copied now.
    pub new: usize,
    /// Copied before.
    pub there: usize,
}

/// Request to delete a record.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawDeletion")]
pub struct Deletion {
    reason: DeletionReason,
    note: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDeletion {
    reason: DeletionReason,
    note: Option<String>,
}

/// Longest note on a deletion, in characters.
const MAX_NOTE: usize = 120;

impl TryFrom<RawDeletion> for Deletion {
    type Error = String;

    /// Another reason than those of the list needs a note.
    fn try_from(RawDeletion { reason, note }: RawDeletion) -> Result<Self, String> {
        let Some(text) = &note else {
            let has_all = reason != DeletionReason::Other;
            return if has_all {
                Ok(Self { reason, note })
            } else {
                Err("note is missing, expected words about the reason Other".into())
            };
        };
        if reason != DeletionReason::Other {
            return Err(format!("note is given for {reason:?}, expected only for Other"));
        }
        let length = text.chars().count();
        if text.trim().is_empty() || length > MAX_NOTE || text.contains(char::is_control) {
            return Err(format!(
                "note has {length} characters, expected 1 to {MAX_NOTE} in one line, not all blank"
            ));
        }
        Ok(Self { reason, note })
    }
}

impl Deletion {
    /// Reason from the list.
    pub fn reason(&self) -> DeletionReason {
        self.reason
    }
}

/// The deletion's reason, for the log.
impl fmt::Display for Deletion {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{:?}", self.reason)?;
        self.note.as_ref().map_or(Ok(()), |note| write!(to, ": {note:?}"))
    }
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
        /// UID of the study whose patient is shown, empty if none is; `None` if it is not known.
        study: Option<String>,
        /// True to keep all frames of the cine buffer, too.
        clip: bool,
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

/// Origin of a request, and the user who made it.
#[derive(Clone, Debug)]
pub struct Requester {
    /// Origin of the request.
    pub trigger: Trigger,
    /// User who is signed in at the screen; `None` without users, and for other origins.
    pub user: Option<UserName>,
}

impl From<Trigger> for Requester {
    fn from(trigger: Trigger) -> Self {
        Self { trigger, user: None }
    }
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
        /// Patient; `None` if no study was open.
        patient: Option<DescribedPatient>,
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

/// Patient of a record.
#[derive(Clone, Debug, Serialize)]
pub struct DescribedPatient {
    /// Patient ID.
    pub id: String,
    /// Patient's Name, as DICOM has it.
    pub name: String,
    /// UID of the study.
    pub study: String,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn note_is_required_for_other_reasons_alone() {
        let read = |text: &str| serde_json::from_str::<Deletion>(text);
        let shown = |text: &str| read(text).unwrap().to_string();
        assert_eq!(shown(r#"{"reason": "WrongPatient"}"#), "WrongPatient");
        let other = r#"{"reason": "Other", "note": "a \"second\" copy"}"#;
        assert_eq!(shown(other), r#"Other: "a \"second\" copy""#);
        let long = "x".repeat(MAX_NOTE + 1);
        for (text, expected) in [
            (r#"{"reason": "Other"}"#.to_owned(), "note is missing"),
            (r#"{"reason": "Test", "note": "x"}"#.to_owned(), "note is given for Test"),
            (r#"{"reason": "Other", "note": "  "}"#.to_owned(), "note has 2 characters"),
            (r#"{"reason": "Other", "note": "a\nb"}"#.to_owned(), "note has 3 characters"),
            (format!(r#"{{"reason": "Other", "note": "{long}"}}"#), "note has 121 characters"),
            (r#"{"reason": "Boredom"}"#.to_owned(), "unknown variant `Boredom`"),
            (r#"{"reason": "Test", "patient": "x"}"#.to_owned(), "unknown field `patient`"),
            ("{}".to_owned(), "missing field `reason`"),
        ] {
            let error = read(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
