//! What people capture and what is kept of it: one folder per record, with the frame, the masks,
//! and all that is known about them.
//!
//! | file | holds |
//! |---|---|
//! | `frame.dcm` | the frame, as DICOM Secondary Capture |
//! | `segmentation.dcm` | the masks, if any, as DICOM Segmentation: a segment per object |
//! | `frame.png`, `mask-N.png` | the same for people: N is the object's number |
//! | `record.json` | prompts, measurements, versions, and the hashes of the other files |
//!
//! **Architecture invariants:** a record's folder is there whole or not at all, whatever is killed
//! or cut. [`Records::keep`] returns once it would survive that. No record is ever dropped for
//! another: without room, new ones are refused. Frames that were not de-identified are refused.

mod budget;
mod capture;
mod contents;
mod dicom;
mod error;
mod id;
mod outlined;
mod record;
mod recorder;
mod storage;
mod store;

pub use budget::Shortage;
pub use capture::{Capture, CapturedObject, ObjectState};
pub use dicom::{DicomUids, InstanceUids};
pub use error::Error;
pub use id::RecordId;
pub use record::{
    FileEntry, Record, RecordedBuild, RecordedDevice, RecordedFrame, RecordedMeasures,
    RecordedObject, RecordedPoint, RecordedPrompt,
};
pub use recorder::{OpenCaptures, Recorder, RecorderOptions};
pub use store::{Kept, Records};
