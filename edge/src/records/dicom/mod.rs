//! DICOM files of a capture, written with `dicom-object`. PS3.3 defines the modules of each kind
//! of file; those that several files share are in `modules`.
//!
//! All files except the clip are explicit VR little endian, uncompressed: lossless, and read by every
//! reader.

mod clip;
mod geometry;
mod modules;
mod secondary_capture;
mod segmentation;

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::value::{DataSetSequence, PrimitiveValue};
use dicom_core::{DataElement, Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags};
use dicom_object::mem::InMemElement;
use dicom_object::meta::FileMetaTableBuilder;
use dicom_object::{InMemDicomObject, WriteError};
use serde::{Deserialize, Serialize};

use crate::port::Study;
use crate::records::error::Error;

pub(super) use clip::{clip, clip_segmentation};
pub(super) use geometry::mask_spacing_mm;
pub(super) use secondary_capture::secondary_capture;
pub(super) use segmentation::{of_frame, overlap};

/// File of the frame (Secondary Capture).
pub(super) const FRAME_FILE: &str = "frame.dcm";

/// File of the masks (Segmentation).
pub(super) const SEGMENTATION_FILE: &str = "segmentation.dcm";

/// File of the clip (Multi-frame Secondary Capture).
pub(super) const CLIP_FILE: &str = "clip.dcm";

/// File of the masks on the frames of the clip (Segmentation).
pub(super) const CLIP_SEGMENTATION_FILE: &str = "clip-segmentation.dcm";

/// UIDs of a record's DICOM files. Without an open study, the record is a study of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DicomUids {
    /// Study of all files.
    pub study: String,
    /// Frame of reference of the segmentations, whose origin is the first pixel of the frame. Older
    /// records have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_of_reference: Option<String>,
    /// Frame.
    pub frame: InstanceUids,
    /// Masks, if there are any.
    pub segmentation: Option<InstanceUids>,
    /// Clip, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<ClipUids>,
}

/// UIDs of the files of a clip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClipUids {
    /// Frames.
    pub frames: InstanceUids,
    /// Masks, if there are any.
    pub segmentation: Option<InstanceUids>,
}

/// UIDs of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceUids {
    /// Series.
    pub series: String,
    /// SOP instance.
    pub instance: String,
}

impl DicomUids {
    /// Creates UIDs for a frame in a study and, if `segmented`, for a segmentation.
    pub(super) fn new(study: Option<&Study>, segmented: bool) -> Self {
        Self {
            study: study.map_or_else(new_uid, |study| study.uid.clone()),
            frame_of_reference: Some(new_uid()),
            frame: InstanceUids::new(),
            segmentation: segmented.then(InstanceUids::new),
            clip: None,
        }
    }
}

impl ClipUids {
    /// Creates UIDs for frames and, if `segmented`, for a segmentation.
    pub(super) fn new(segmented: bool) -> Self {
        Self { frames: InstanceUids::new(), segmentation: segmented.then(InstanceUids::new) }
    }
}

impl InstanceUids {
    fn new() -> Self {
        Self { series: new_uid(), instance: new_uid() }
    }
}

/// A UID derived from a random UUID (PS3.5 B.2).
pub(super) fn new_uid() -> String {
    format!("2.25.{}", uuid::Uuid::new_v4().as_u128())
}

/// Encodes a file.
fn encode(
    file: &'static str,
    elements: Vec<InMemElement>,
    transfer_syntax: &str,
) -> Result<Vec<u8>, Error> {
    let failed = |reason: String| Error::Encoding { file: file.to_owned(), reason };
    let meta = FileMetaTableBuilder::new().transfer_syntax(transfer_syntax);
    let object = item(elements).with_meta(meta).map_err(|error| failed(error.to_string()))?;
    let mut bytes = Vec::new();
    object.write_all(&mut bytes).map_err(|error: WriteError| failed(error.to_string()))?;
    Ok(bytes)
}

/// An element with the VR that the dictionary lists for its tag.
fn element(tag: Tag, value: impl Into<PrimitiveValue>) -> InMemElement {
    let vr = StandardDataDictionary.by_tag(tag).map_or(VR::UN, |entry| entry.vr().relaxed());
    DataElement::new(tag, vr, value.into())
}

fn sequence(tag: Tag, items: Vec<InMemDicomObject>) -> InMemElement {
    DataElement::new(tag, VR::SQ, DataSetSequence::from(items))
}

fn item(elements: impl IntoIterator<Item = InMemElement>) -> InMemDicomObject {
    InMemDicomObject::from_element_iter(elements)
}

/// A sequence of one coded concept.
fn code(tag: Tag, (value, scheme, meaning): (&str, &str, &str)) -> InMemElement {
    let code = item([
        element(tags::CODE_VALUE, value),
        element(tags::CODING_SCHEME_DESIGNATOR, scheme),
        element(tags::CODE_MEANING, meaning),
    ]);
    sequence(tag, vec![code])
}

/// Pixel data of at most 8 bits per sample, padded to an even length.
fn pixel_data(mut bytes: Vec<u8>) -> InMemElement {
    if bytes.len() % 2 == 1 {
        bytes.push(0);
    }
    DataElement::new(tags::PIXEL_DATA, VR::OB, PrimitiveValue::from(bytes))
}

/// Converts a text to a single LO value: at most 64 characters, without control characters and
/// backslashes, which would separate values.
fn long_string(text: &str) -> String {
    let replaced = text.chars().map(|c| if c.is_control() || c == '\\' { '_' } else { c });
    replaced.take(64).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_valid() {
        for _ in 0..100 {
            let uid = new_uid();
            let number = uid.strip_prefix("2.25.").unwrap();
            assert!(uid.len() <= 64 && number.chars().all(|c| c.is_ascii_digit()), "{uid}");
            assert!(!number.starts_with('0'), "{uid}");
        }
    }

    #[test]
    fn texts_become_one_value_of_at_most_64_characters() {
        assert_eq!(long_string(" a\\b\nc "), "a_b_c");
        assert_eq!(long_string(&"é".repeat(100)), "é".repeat(64));
    }
}
