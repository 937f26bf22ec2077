//! `record.json`: description of a record, without pixels. The field names are part of the file
//! format and do not change with types elsewhere.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use dicom_dictionary_std::uids;
use medsa_bundle::sha256_hex;
use medsa_frames::{PixelSpacing, ScaledRegion};
use medsa_sam::prompt::{Point, Prompt};
use medsa_wire::topic::ObjectId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::capture::{Capture, ObjectState};
use super::clip::CLIP_GIF;
use super::dicom::{DicomUids, InstanceUids};
use super::error::Error;
use super::id::RecordId;
use super::outlined::Outlined;
use super::storage::NewFile;
use crate::config::UserName;
use crate::files;
use crate::measure::Measured;
use crate::port::{CineFrame, Study, StudySeries, Trigger};

/// Content of `record.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Version of the file's format, see [`Record::FORMAT`].
    pub format: u32,
    /// Name of the record.
    pub id: String,
    /// Time of capture, in microseconds since 1970-01-01 00:00 UTC.
    pub captured_us: u64,
    /// Origin of the request.
    pub trigger: Trigger,
    /// Name of the user who made the capture, if one was signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// Patient and examination; `None` if no study was open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub study: Option<Study>,
    /// The frame.
    pub frame: RecordedFrame,
    /// The device.
    pub device: RecordedDevice,
    /// Build that segmented the frame.
    pub build: RecordedBuild,
    /// Objects, by ascending number.
    pub objects: Vec<RecordedObject>,
    /// Clip, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<RecordedClip>,
    /// UIDs of the DICOM files.
    pub dicom: DicomUids,
    /// Other files of the record, by name.
    pub files: BTreeMap<String, FileEntry>,
}

/// Frame, without its pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedFrame {
    /// Number of the frame since the start of the service.
    pub id: u64,
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
    /// Distance between neighbouring pixels in mm, `[down the rows, along a row]`; `None` if it is
    /// not known, or differs by place.
    pub pixel_spacing_mm: Option<[f32; 2]>,
    /// Parts of the frame with scales of their own, the topmost first. Outside of them, the spacing
    /// is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<RecordedRegion>,
}

/// Part of a frame from `(x0, y0)` up to, but not including, `(x1, y1)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedRegion {
    /// First column.
    pub x0: u32,
    /// First row.
    pub y0: u32,
    /// Column after the last.
    pub x1: u32,
    /// Row after the last.
    pub y1: u32,
    /// Distance between neighbouring pixels in mm, `[down the rows, along a row]`; `None` if an axis
    /// is not a length.
    pub pixel_spacing_mm: Option<[f32; 2]>,
}

/// Clip, without its pixels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedClip {
    /// Number of frames.
    pub frames: usize,
    /// Time of capture of the first frame, in microseconds since 1970-01-01 00:00 UTC.
    pub first_us: u64,
    /// Time of capture of the last frame.
    pub last_us: u64,
}

/// Device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedDevice {
    /// Name of the device.
    pub id: String,
    /// Name of the board.
    pub board: String,
    /// Version of medsa-edge.
    pub edge_version: String,
}

/// Build that segmented the frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedBuild {
    /// Name of the build.
    pub name: String,
    /// Version of the build.
    pub version: String,
    /// SHA-256 of the build file, in hex.
    pub sha256: String,
    /// Names of the structures that it was trained on.
    pub classes: Vec<String>,
}

/// Object, without its pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedObject {
    /// Number of the object.
    pub object: u8,
    /// Name of the structure.
    pub label: String,
    /// Number of the frame that the mask was made for.
    pub frame_id: u64,
    /// Origin of the mask.
    pub state: ObjectState,
    /// Intersection over union that the network predicts for the mask.
    pub score: f32,
    /// Area of the mask in pixels.
    pub area_px: u32,
    /// Prompt of the user.
    pub prompt: RecordedPrompt,
    /// Measurements of the mask.
    pub measured: Option<RecordedMeasures>,
    /// File of the mask, white on black. `None` for an empty mask, as are the next two.
    pub mask: Option<String>,
    /// Segment number in the DICOM Segmentation, from 1.
    pub segment: Option<u16>,
    /// Tracking UID of the segment.
    pub tracking_uid: Option<String>,
}

/// Clicks and box, in frame pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedPrompt {
    /// Clicks.
    pub points: Vec<RecordedPoint>,
    /// Box: left, top, right, bottom.
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
    /// True for a click on the structure, false for one outside it.
    pub positive: bool,
}

/// Measurements of a mask; see [`Measured`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedMeasures {
    /// Number of parts of the mask; the other fields refer to the largest.
    pub parts: u32,
    /// Area in pixels.
    pub area_px: u32,
    /// Centroid `[x, y]`.
    pub centroid_px: [f32; 2],
    /// Largest Feret diameter in pixels.
    pub longest_px: f32,
    /// Smallest Feret diameter in pixels.
    pub shortest_px: f32,
    /// Pixel spacing of the object in mm, `[down the rows, along a row]`; `None` if it is not known, or
    /// differs within the object. Older records lack it.
    #[serde(default)]
    pub pixel_spacing_mm: Option<[f32; 2]>,
    /// Area in mm², if the object has a pixel spacing.
    pub area_mm2: Option<f32>,
    /// Largest Feret diameter in mm, likewise.
    pub longest_mm: Option<f32>,
    /// Smallest Feret diameter in mm, likewise.
    pub shortest_mm: Option<f32>,
    /// Contour as a polygon of `[x, y]`.
    pub contour_px: Vec<[f32; 2]>,
}

/// Entry for a file of the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 in hex.
    pub sha256: String,
}

/// The part of `record.json` that all format versions share.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// File of the frame as PNG.
pub(super) const FRAME_PNG: &str = "frame.png";

/// File of an object's mask as PNG.
pub(super) fn mask_file(object: ObjectId) -> String {
    format!("mask-{}.png", object.get())
}

impl Record {
    /// Format version that this program writes, and the newest that it reads. Fields that older
    /// programs can ignore are added without a new version.
    ///
    /// | format | new |
    /// |---|---|
    /// | 2 | the state `uncertain` of objects, and their `frame_id` |
    pub const FORMAT: u32 = 2;

    /// Name of the file.
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
            operator: capture.operator.as_ref().map(UserName::to_string),
            study: capture.study.clone(),
            frame: RecordedFrame {
                id: capture.frame_id,
                width_px: frame.width,
                height_px: frame.height,
                pixel_spacing_mm: frame.pixel_spacing_mm.as_ref().and_then(PixelSpacing::uniform),
                regions: frame.pixel_spacing_mm.iter().flat_map(recorded_regions).collect(),
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
            clip: RecordedClip::of(&capture.clip),
            dicom,
            files: files.iter().map(entry).collect(),
        }
    }

    /// Its DICOM files, each of which is a series.
    pub(super) fn series(&self) -> Vec<StudySeries> {
        let operator = self.operator.clone().unwrap_or_default();
        let series = |class: &str, description: &str, uids: &InstanceUids| StudySeries {
            uid: uids.series.clone(),
            description: description.to_owned(),
            operator: operator.clone(),
            class: class.to_owned(),
            instance: uids.instance.clone(),
        };
        let masks = |uids: &Option<InstanceUids>| {
            uids.as_ref().map(|uids| series(uids::SEGMENTATION_STORAGE, "Masks", uids))
        };
        let frame =
            series(uids::SECONDARY_CAPTURE_IMAGE_STORAGE, "Captured frame", &self.dicom.frame);
        let mut all = vec![frame];
        all.extend(masks(&self.dicom.segmentation));
        if let Some(clip) = &self.dicom.clip {
            let class = uids::MULTI_FRAME_TRUE_COLOR_SECONDARY_CAPTURE_IMAGE_STORAGE;
            all.push(series(class, "Captured clip", &clip.frames));
            all.extend(masks(&clip.segmentation));
        }
        all
    }

    /// Serializes the record and checks that it can be read again: JSON cannot represent numbers
    /// that are not finite.
    pub(super) fn to_json(&self) -> Result<Vec<u8>, Error> {
        let written = serde_json::to_vec_pretty(self)
            .and_then(|json| serde_json::from_slice::<Self>(&json).map(|_| json));
        written.map_err(|e| Error::Encoding { file: Self::FILE.to_owned(), reason: e.to_string() })
    }

    /// Reads `record.json` of the record in `folder`.
    pub(super) fn describe(folder: &Path, id: &RecordId) -> Result<Self, Error> {
        let path = folder.join(Self::FILE);
        let damaged = |found: String, expected: &str| Error::Damaged {
            path: path.clone(),
            found,
            expected: expected.to_owned(),
        };
        let json = fs::read(&path).map_err(files::Error::io(&path))?;
        let no_record =
            |error: serde_json::Error| damaged(error.to_string(), "the description of a record");
        // Nothing else is known about a newer format.
        let Format { format } = serde_json::from_slice(&json).map_err(no_record)?;
        if format > Self::FORMAT {
            return Err(Error::NewerFormat { path, found: format, supported: Self::FORMAT });
        }
        let record = if format == 1 {
            serde_json::from_slice(&json)
                .and_then(|json| serde_json::from_value::<Self>(of_format_1(json)))
        } else {
            serde_json::from_slice(&json)
        };
        let record = record.map_err(no_record)?;
        if record.id != id.to_string() {
            return Err(damaged(format!("id {:?}", record.id), "the name of its folder"));
        }
        Ok(record)
    }

    /// Reads the record in `folder` and checks its files against their hashes.
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

    /// An image of the record in `folder`, checked against its hash; `None` if the record lists no such
    /// file.
    pub(super) fn image(
        folder: &Path,
        id: &RecordId,
        name: &str,
    ) -> Result<Option<Vec<u8>>, Error> {
        let record = Self::describe(folder, id)?;
        // A name with a folder could lead out of the record.
        let is_plain = Path::new(name).file_name() == Some(name.as_ref());
        let is_image = name.ends_with(".png") || name == CLIP_GIF;
        let entry = record.files.get(name).filter(|_| is_plain && is_image);
        entry.map(|entry| entry.read(&folder.join(name))).transpose()
    }
}

/// Adds what format 1 lacks: all its masks were made for the frame of the record.
fn of_format_1(mut json: Value) -> Value {
    let frame_id = json.pointer("/frame/id").cloned();
    let objects = json.get_mut("objects").and_then(Value::as_array_mut);
    for object in objects.into_iter().flatten().filter_map(Value::as_object_mut) {
        object.entry("frame_id").or_insert_with(|| frame_id.clone().unwrap_or_default());
    }
    json
}

fn recorded_regions(spacing: &PixelSpacing) -> impl Iterator<Item = RecordedRegion> {
    spacing.regions().iter().map(|&ScaledRegion { x0, y0, x1, y1, mm }| RecordedRegion {
        x0,
        y0,
        x1,
        y1,
        pixel_spacing_mm: mm,
    })
}

impl RecordedClip {
    /// `None` without frames.
    fn of(frames: &[CineFrame]) -> Option<Self> {
        let (first, last) = (frames.first()?, frames.last()?);
        let (first_us, last_us) = (first.captured_us(), last.captured_us());
        Some(Self { frames: frames.len(), first_us, last_us })
    }
}

impl FileEntry {
    /// Reads the file and checks it against this entry.
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
            frame_id: object.frame_id,
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
            pixel_spacing_mm: physical.map(|physical| physical.pixel_spacing_mm),
            area_mm2: physical.map(|physical| physical.area_mm2),
            longest_mm: physical.map(|physical| physical.longest_mm),
            shortest_mm: physical.map(|physical| physical.shortest_mm),
            contour_px: measured.contour_px.clone(),
        }
    }
}
