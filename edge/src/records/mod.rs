//! Captures on the disk: one folder per record, with the frame, the masks, and a description of
//! both.
//!
//! | file | holds |
//! |---|---|
//! | `frame.dcm` | the frame, as DICOM Secondary Capture |
//! | `segmentation.dcm` | the masks, if any, as DICOM Segmentation: a segment per object |
//! | `frame.png`, `mask-N.png` | the same as ordinary images; N is the number of the object |
//! | `clip.dcm`, `clip-segmentation.dcm`, `clip.gif` | with a clip: its frames as multi-frame Secondary Capture, the masks on them, and both as a small animation |
//! | `record.json` | prompts, measurements, versions, and hashes of the other files |
//!
//! **Architecture invariants:** the folder of a record exists completely or not at all, even after
//! a kill or a power cut. [`Records::keep`] returns once the record would survive one, and
//! [`Records::delete`] once it would not be there any more. No record is deleted except by a user;
//! to make room, new ones are refused. `.study.json` in the folder of records holds the open study. A copy on a stick exists completely or not at all, too. Frames that are not deidentified are refused.

mod announced;
mod bits;
mod budget;
mod capture;
mod clip;
mod contents;
mod dicom;
mod error;
mod id;
mod outlined;
mod record;
mod recorder;
mod stick;
mod storage;
mod store;
mod study;

pub use budget::Shortage;
pub use capture::{Capture, CapturedObject, ObjectState};
pub use dicom::{ClipUids, DicomUids, InstanceUids};
pub use error::Error;
pub use id::RecordId;
pub use record::{
    FileEntry, Record, RecordedBuild, RecordedClip, RecordedDevice, RecordedFrame,
    RecordedMeasures, RecordedObject, RecordedPoint, RecordedPrompt, RecordedRegion,
};
pub use recorder::{OpenCaptures, Recorder, RecorderOptions};
pub use storage::Deletion;
pub(crate) use storage::check;
pub use store::{Kept, Records};
