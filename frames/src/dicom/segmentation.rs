//! DICOM Segmentation: masks of one image, one bit per pixel and one frame per segment (PS3.3 A.51,
//! C.8.20).

use std::path::Path;

use dicom_dictionary_std::{tags, uids};
use dicom_object::{InMemDicomObject, Tag};

use super::data_set::DataSet;
use super::header::{frames, one_of, required};
use super::pixels::native_bytes;
use super::syntax::{EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN};
use super::{DicomProblem, check_limits, read_data_set};
use crate::FramesError;

/// Masks of the segments of an image.
#[derive(Debug)]
pub struct Segmentation {
    width: u32,
    height: u32,
    /// Segment number of each frame.
    segments: Vec<u16>,
    /// One bit per pixel, the first in the lowest bit, without gaps between rows or frames (PS3.5
    /// 8.2).
    bits: Vec<u8>,
}

impl Segmentation {
    /// Opens a binary, uncompressed Segmentation of a single image.
    ///
    /// # Errors
    /// The file cannot be read, exceeds the limits of this crate, is damaged, or is of another
    /// kind.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FramesError> {
        let path = path.as_ref();
        let problem = |source| FramesError::Dicom { path: path.to_owned(), source };
        let data = read_data_set(path)?;
        let object = &data.object;
        check_kind(&data).map_err(problem)?;
        let side = |tag, attribute| required::<u32>(object, tag, attribute).map_err(problem);
        let (width, height) = (side(tags::COLUMNS, "Columns")?, side(tags::ROWS, "Rows")?);
        let frames = frames(object).map_err(problem)?;
        check_limits(path, (width, height), frames)?;
        let segments = segments(object, frames).map_err(problem)?;
        let pixels = u64::from(width) * u64::from(height) * frames;
        let bits = native_bytes(&data, pixels.div_ceil(8)).map_err(problem)?;
        Ok(Self { width, height, segments, bits })
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Mask `[H, W]` of segment `number`; `None` if there is no such segment.
    pub fn mask(&self, number: u16) -> Option<Vec<bool>> {
        let frame = self.segments.iter().position(|&segment| segment == number)?;
        let pixels = self.width as usize * self.height as usize;
        let bit = |i: usize| self.bits[i / 8] >> (i % 8) & 1 == 1;
        Some((frame * pixels..(frame + 1) * pixels).map(bit).collect())
    }
}

/// Refuses files of another kind, and masks in a form that this crate cannot read.
fn check_kind(data: &DataSet) -> Result<(), DicomProblem> {
    let object = &data.object;
    let text = |tag: Tag, attribute| {
        let text = object.get(tag).and_then(|element| element.to_str().ok());
        // UIDs may be padded with a zero byte.
        let text = text.map(|text| text.trim_matches(['\0', ' ']).to_owned());
        text.ok_or(DicomProblem::Missing { attribute })
    };
    let unsupported =
        |attribute, found, expected| Err(DicomProblem::Unsupported { attribute, found, expected });
    let class = text(tags::SOP_CLASS_UID, "SOPClassUID")?;
    if class != uids::SEGMENTATION_STORAGE {
        let expected = "1.2.840.10008.5.1.4.1.1.66.4, a Segmentation";
        return unsupported("SOPClassUID", class, expected);
    }
    let kind = text(tags::SEGMENTATION_TYPE, "SegmentationType")?;
    if kind != "BINARY" {
        return unsupported("SegmentationType", kind, "BINARY");
    }
    if ![IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN].contains(&data.syntax.uid) {
        let found = format!("{} ({})", data.syntax.name, data.syntax.uid);
        return unsupported("TransferSyntaxUID", found, "uncompressed little endian");
    }
    one_of(object, tags::BITS_ALLOCATED, "BitsAllocated", &[1], "1 for a binary segmentation")?;
    Ok(())
}

/// Segment number of each frame; all are different.
fn segments(object: &InMemDicomObject, frames: u64) -> Result<Vec<u16>, DicomProblem> {
    let unsupported = |attribute, found: String, expected| {
        Err(DicomProblem::Unsupported { attribute, found, expected })
    };
    let attribute = "PerFrameFunctionalGroupsSequence";
    let groups = object.get(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
    let groups =
        groups.and_then(|groups| groups.items()).ok_or(DicomProblem::Missing { attribute })?;
    if groups.len() as u64 != frames {
        let found = format!("of {} items", groups.len());
        return unsupported(attribute, found, "of one item for each frame");
    }
    let attribute = "ReferencedSegmentNumber";
    let mut segments = Vec::with_capacity(groups.len());
    for group in groups {
        let identified = group.get(tags::SEGMENT_IDENTIFICATION_SEQUENCE);
        let segment = identified
            .and_then(|sequence| sequence.items()?.first())
            .ok_or(DicomProblem::Missing { attribute })?;
        let number = required(segment, tags::REFERENCED_SEGMENT_NUMBER, attribute)?;
        if segments.contains(&number) {
            let expected = "another number for each frame, because the image has one frame";
            return unsupported(attribute, format!("{number} twice"), expected);
        }
        segments.push(number);
    }
    Ok(segments)
}
