//! `record.json`: everything about a record but its pixels. Its names are those of the file and
//! stay when types elsewhere change.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use medsa_bundle::sha256_hex;
use medsa_sam::prompt::{Point, Prompt};
use medsa_wire::topic::ObjectId;
use serde::{Deserialize, Serialize};

use super::capture::{Capture, ObjectState};
use super::dicom::DicomUids;
use super::error::Error;
use super::id::RecordId;
use super::outlined::Outlined;
use super::storage::NewFile;
use crate::files;
use crate::measure::Measured;
use crate::port::Trigger;

/// What `record.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this format, see [`Record::FORMAT`].
    pub format: u32,
    /// Name of the record.
    pub id: String,
    /// When the frame was captured: microseconds since 1970-01-01 00:00 UTC.
    pub captured_us: u64,
    /// How the person asked for it.
    pub trigger: Trigger,
    /// The frame.
    pub frame: RecordedFrame,
    /// The device.
    pub device: RecordedDevice,
    /// The build that segmented.
    pub build: RecordedBuild,
    /// What was outlined, by ascending number.
    pub objects: Vec<RecordedObject>,
    /// Identifiers of the DICOM files.
    pub dicom: DicomUids,
    /// The record's other files.
    pub files: BTreeMap<String, FileEntry>,
}

/// The frame, but its pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedFrame {
    /// Number of the frame, counted by the device from its start.
    pub id: u64,
    /// Width.
    pub width_px: u32,
    /// Height.
    pub height_px: u32,
    /// Distance between the middles of neighbouring pixels: down the rows, along a row.
    pub pixel_spacing_mm: Option<[f32; 2]>,
}

/// The device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedDevice {
    /// Its name.
    pub id: String,
    /// Name of its board.
    pub board: String,
    /// Version of its service.
    pub edge_version: String,
}

/// The build that segmented.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedBuild {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its file, in hex.
    pub sha256: String,
    /// Names of the structures that it was trained on.
    pub classes: Vec<String>,
}

/// One object, but its pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedObject {
    /// Its number.
    pub object: u8,
    /// What it is.
    pub label: String,
    /// How its mask came about.
    pub state: ObjectState,
    /// Intersection over union that the network predicts for its mask.
    pub score: f32,
    /// Pixels of its mask.
    pub area_px: u32,
    /// What the person pointed at.
    pub prompt: RecordedPrompt,
    /// What was measured of its mask.
    pub measured: Option<RecordedMeasures>,
    /// File of its mask: white on black. None for an empty mask, as the two that follow.
    pub mask: Option<String>,
    /// Its segment in the DICOM Segmentation, from 1.
    pub segment: Option<u16>,
    /// The segment's tracking UID.
    pub tracking_uid: Option<String>,
}

/// Clicks and box, in frame pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedPrompt {
    /// The clicks.
    pub points: Vec<RecordedPoint>,
    /// The box: left, top, right, bottom.
    #[serde(rename = "box")]
    pub bbox: Option<[f32; 4]>,
}

/// A click.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedPoint {
    /// Column.
    pub x: f32,
    /// Row.
    pub y: f32,
    /// Whether it is on the structure, or beside it.
    pub positive: bool,
}

/// What was measured of a mask; see [`Measured`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedMeasures {
    /// Parts of the mask; all below is about the largest.
    pub parts: u32,
    /// Its pixels.
    pub area_px: u32,
    /// Its pixels' mean position, x and y.
    pub centroid_px: [f32; 2],
    /// Its largest Feret diameter.
    pub longest_px: f32,
    /// Its smallest Feret diameter.
    pub shortest_px: f32,
    /// Its area, where the frame has a pixel spacing.
    pub area_mm2: Option<f32>,
    /// Its largest Feret diameter, likewise.
    pub longest_mm: Option<f32>,
    /// Its smallest Feret diameter, likewise.
    pub shortest_mm: Option<f32>,
    /// Its outline as a polygon, x and y.
    pub contour_px: Vec<[f32; 2]>,
}

/// A file of the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, in hex.
    pub sha256: String,
}

/// The part of `record.json` that all formats have.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// The frame as a picture.
pub(super) const FRAME_PNG: &str = "frame.png";

/// The mask of an object as a picture.
pub(super) fn mask_file(object: ObjectId) -> String {
    format!("mask-{}.png", object.get())
}

impl Record {
    /// The format that this program writes, and the newest that it reads. Fields that older programs
    /// can ignore are added without a new number.
    pub const FORMAT: u32 = 1;

    /// Its file.
    pub const FILE: &'static str = "record.json";

    pub(super) fn new(
        id: &RecordId,
        capture: &Capture,
        outlined: &[Outlined],
        dicom: DicomUids,
        files: &[NewFile],
    ) -> Self {
        let Capture { frame, build, .. } = capture;
        let entry = |file: &NewFile| (file.name.clone(), FileEntry::of(&file.bytes));
        Self {
            format: Self::FORMAT,
            id: id.to_string(),
            captured_us: capture.captured_us,
            trigger: capture.trigger,
            frame: RecordedFrame {
                id: capture.frame_id,
                width_px: frame.width,
                height_px: frame.height,
                pixel_spacing_mm: frame.pixel_spacing_mm,
            },
            device: RecordedDevice {
                id: capture.device.to_string(),
                board: capture.board.clone(),
                edge_version: capture.edge_version.clone(),
            },
            build: RecordedBuild {
                name: build.name.clone(),
                version: build.version.clone(),
                sha256: hex::encode(build.sha256),
                classes: build.classes.clone(),
            },
            objects: outlined.iter().map(RecordedObject::from).collect(),
            dicom,
            files: files.iter().map(entry).collect(),
        }
    }

    /// Its text, which can be read again: JSON has no word for what is not a finite number.
    pub(super) fn to_json(&self) -> Result<Vec<u8>, Error> {
        let written = serde_json::to_vec_pretty(self)
            .and_then(|json| serde_json::from_slice::<Self>(&json).map(|_| json));
        written.map_err(|e| Error::Encoding { file: Self::FILE.to_owned(), reason: e.to_string() })
    }

    /// Reads what the record in `folder` says of itself.
    pub(super) fn describe(folder: &Path, id: &RecordId) -> Result<Self, Error> {
        let path = folder.join(Self::FILE);
        let damaged = |found: String, expected: &str| Error::Damaged {
            path: path.clone(),
            found,
            expected: expected.to_owned(),
        };
        let json = fs::read(&path).map_err(files::Error::io(&path))?;
        let no_record =
            |error: serde_json::Error| damaged(error.to_string(), "the record's description");
        // Of a newer format, nothing else is known.
        let Format { format } = serde_json::from_slice(&json).map_err(no_record)?;
        if format > Self::FORMAT {
            return Err(Error::NewerFormat { path, found: format, supported: Self::FORMAT });
        }
        let record: Self = serde_json::from_slice(&json).map_err(no_record)?;
        if record.id != id.to_string() {
            return Err(damaged(format!("id {:?}", record.id), "the name of its folder"));
        }
        Ok(record)
    }

    /// Reads the record in `folder` and holds its files to their hashes.
    pub(super) fn read(folder: &Path, id: &RecordId) -> Result<Self, Error> {
        let record = Self::describe(folder, id)?;
        for (name, expected) in &record.files {
            let path = folder.join(name);
            if path.file_name() != Some(name.as_ref()) {
                let (found, expected) = (format!("a file named {name:?}"), "a plain name".into());
                let path = folder.join(Self::FILE);
                return Err(Error::Damaged { path, found, expected });
            }
            expected.read(&path)?;
        }
        Ok(record)
    }

    /// The frame of the record in `folder`, held to its hash.
    pub(super) fn frame_png(folder: &Path, id: &RecordId) -> Result<Vec<u8>, Error> {
        let record = Self::describe(folder, id)?;
        let entry = record.files.get(FRAME_PNG).ok_or_else(|| Error::Damaged {
            path: folder.join(Self::FILE),
            found: "no frame".into(),
            expected: format!("a file {FRAME_PNG}"),
        })?;
        entry.read(&folder.join(FRAME_PNG))
    }
}

impl FileEntry {
    /// Reads the file, which has to be this one.
    fn read(&self, path: &Path) -> Result<Vec<u8>, Error> {
        let bytes = fs::read(path).map_err(files::Error::io(path))?;
        let found = Self::of(&bytes);
        if found == *self {
            return Ok(bytes);
        }
        let text = |entry: &Self| format!("{} bytes, {}", entry.bytes, entry.sha256);
        let (found, expected) = (text(&found), text(self));
        Err(Error::Damaged { path: path.to_owned(), found, expected })
    }

    fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, sha256: sha256_hex(bytes) }
    }
}

impl From<&Outlined<'_>> for RecordedObject {
    fn from(Outlined { object, area_px, segment }: &Outlined) -> Self {
        Self {
            object: object.object.get(),
            label: object.label.clone(),
            state: object.state,
            score: object.score,
            area_px: *area_px,
            prompt: RecordedPrompt::from(&object.prompt),
            measured: object.measured.as_ref().map(RecordedMeasures::from),
            mask: segment.as_ref().map(|_| mask_file(object.object)),
            segment: segment.as_ref().map(|segment| segment.number),
            tracking_uid: segment.as_ref().map(|segment| segment.tracking_uid.clone()),
        }
    }
}

impl From<&Prompt> for RecordedPrompt {
    fn from(prompt: &Prompt) -> Self {
        let point = |&Point { x, y, positive }: &Point| RecordedPoint { x, y, positive };
        Self { points: prompt.points().iter().map(point).collect(), bbox: prompt.bbox() }
    }
}

impl From<&Measured> for RecordedMeasures {
    fn from(measured: &Measured) -> Self {
        let physical = measured.physical;
        Self {
            parts: measured.parts,
            area_px: measured.area_px,
            centroid_px: measured.centroid_px,
            longest_px: measured.longest_px,
            shortest_px: measured.shortest_px,
            area_mm2: physical.map(|physical| physical.area_mm2),
            longest_mm: physical.map(|physical| physical.longest_mm),
            shortest_mm: physical.map(|physical| physical.shortest_mm),
            contour_px: measured.contour_px.clone(),
        }
    }
}
