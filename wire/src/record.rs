//! Records on the device: topics `record`, when one was stored, and `record/deleted`.

use heapless::{String, Vec};
use serde::{Deserialize, Serialize};

use crate::message::{Checked, check_finite, check_range};
use crate::{MAX_OBJECT, Message, WireError};

/// Longest name of a record, in bytes.
pub const MAX_RECORD_ID_LEN: usize = 48;

/// Largest number of objects in one record: each object number once.
pub const MAX_RECORD_OBJECTS: usize = MAX_OBJECT as usize + 1;

/// Announces a record that is already stored on the device's disk. The message contains no pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecordMessage {
    /// Name of the record, unique on its device; not empty.
    #[cfg_attr(feature = "schema", schemars(with = "str", length(min = 1, max = MAX_RECORD_ID_LEN)))]
    pub id: String<MAX_RECORD_ID_LEN>,
    /// Capture time of the frame, in microseconds since 1970-01-01 00:00 UTC.
    pub captured_us: u64,
    /// Number of the frame, counted by the device from its start.
    pub frame_id: u64,
    /// Width of the frame in pixels, at least 1.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub frame_width_px: u16,
    /// Height of the frame in pixels, at least 1.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub frame_height_px: u16,
    /// Outlined objects, by ascending object number.
    #[cfg_attr(feature = "schema", schemars(with = "[RecordObject]", length(max = MAX_RECORD_OBJECTS)))]
    pub objects: Vec<RecordObject, MAX_RECORD_OBJECTS>,
    /// SHA-256 of `record.json`, which contains the hashes of the record's other files.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Sha256"))]
    pub record_sha256: [u8; 32],
}

/// One object of a record.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecordObject {
    /// Object number, 0 to 7.
    #[cfg_attr(feature = "schema", schemars(range(max = MAX_OBJECT)))]
    pub object: u8,
    /// Intersection over union predicted by the network for the object's mask; about 0 to 1,
    /// finite.
    pub score: f32,
    /// Area of the object's mask in frame pixels, at most the whole frame.
    pub area_px: u32,
}

impl Message for RecordMessage {
    const NAME: &'static str = "record";
    /// Version; text with one length byte; two varint(u64); two varint(u16); object count and
    /// objects of number, f32 and varint(u32); hash.
    const MAX_ENCODED_LEN: usize = 1
        + (1 + MAX_RECORD_ID_LEN)
        + (10 + 10)
        + (3 + 3)
        + (1 + MAX_RECORD_OBJECTS * (1 + 4 + 5))
        + 32;
}

impl Checked for RecordMessage {
    fn check(&self) -> Result<(), WireError> {
        check_range("record.id length", self.id.len() as u64, 1u8, MAX_RECORD_ID_LEN as u64)?;
        check_range("record.frame_width_px", self.frame_width_px, 1u8, u16::MAX)?;
        check_range("record.frame_height_px", self.frame_height_px, 1u8, u16::MAX)?;
        let frame_area_px = u64::from(self.frame_width_px) * u64::from(self.frame_height_px);
        let mut lowest = 0;
        for object in &self.objects {
            check_range("record.objects.object", object.object, lowest, MAX_OBJECT)?;
            check_finite("record.objects.score", object.score)?;
            check_range("record.objects.area_px", object.area_px, 0u8, frame_area_px)?;
            lowest = object.object + 1;
        }
        Ok(())
    }
}

/// Announces that a user has deleted a record from the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecordDeleted {
    /// Name of the record; not empty.
    #[cfg_attr(feature = "schema", schemars(with = "str", length(min = 1, max = MAX_RECORD_ID_LEN)))]
    pub id: String<MAX_RECORD_ID_LEN>,
    /// Time of deletion, in microseconds since 1970-01-01 00:00 UTC.
    pub deleted_us: u64,
    /// Reason that the user chose.
    pub reason: DeletionReason,
}

/// Reason for the deletion of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum DeletionReason {
    /// Another structure was outlined than the intended one.
    WrongStructure,
    /// The record is of another patient than the intended one.
    WrongPatient,
    /// The image is poor.
    PoorImage,
    /// The record was a test.
    Test,
    /// Another reason.
    Other,
}

impl DeletionReason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 5] =
        [Self::WrongStructure, Self::WrongPatient, Self::PoorImage, Self::Test, Self::Other];
}

impl Message for RecordDeleted {
    const NAME: &'static str = "record deleted";
    /// Version; text with one length byte; varint(u64); variant.
    const MAX_ENCODED_LEN: usize = 1 + (1 + MAX_RECORD_ID_LEN) + 10 + 1;
}

impl Checked for RecordDeleted {
    fn check(&self) -> Result<(), WireError> {
        check_range("deleted.id length", self.id.len() as u64, 1u8, MAX_RECORD_ID_LEN as u64)
    }
}
