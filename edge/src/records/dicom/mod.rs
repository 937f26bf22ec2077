//! A capture as DICOM files, written by `dicom-object`. What goes into which module of which kind
//! of file is in PS3.3; the modules that both files have are in `modules`.
//!
//! Both are in explicit VR little endian, uncompressed: what every reader reads, without loss.

mod modules;
mod secondary_capture;
mod segmentation;

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::value::{DataSetSequence, PrimitiveValue};
use dicom_core::{DataElement, Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags, uids};
use dicom_object::mem::InMemElement;
use dicom_object::meta::FileMetaTableBuilder;
use dicom_object::{InMemDicomObject, WriteError};
use serde::{Deserialize, Serialize};

use crate::records::error::Error;

pub(super) use secondary_capture::secondary_capture;
pub(super) use segmentation::segmentation;

/// The frame, as Secondary Capture.
pub(super) const FRAME_FILE: &str = "frame.dcm";

/// The masks, as Segmentation.
pub(super) const SEGMENTATION_FILE: &str = "segmentation.dcm";

/// Identifiers of a record's DICOM files. Every record is a study of its own: nothing tells the
/// device which examination a frame is part of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DicomUids {
    /// The study of both files.
    pub study: String,
    /// The frame.
    pub frame: InstanceUids,
    /// The masks, if there are any.
    pub segmentation: Option<InstanceUids>,
}

/// Identifiers of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceUids {
    /// Its series.
    pub series: String,
    /// The SOP instance.
    pub instance: String,
}

impl DicomUids {
    /// New identifiers of a frame and, if `segmented`, of a segmentation.
    pub(super) fn new(segmented: bool) -> Self {
        Self {
            study: new_uid(),
            frame: InstanceUids::new(),
            segmentation: segmented.then(InstanceUids::new),
        }
    }
}

impl InstanceUids {
    fn new() -> Self {
        Self { series: new_uid(), instance: new_uid() }
    }
}

/// A UID made of a random UUID (PS3.5 B.2).
pub(super) fn new_uid() -> String {
    format!("2.25.{}", uuid::Uuid::new_v4().as_u128())
}

/// The bytes of a file.
fn encode(file: &'static str, elements: Vec<InMemElement>) -> Result<Vec<u8>, Error> {
    let failed = |reason: String| Error::Encoding { file: file.to_owned(), reason };
    let meta = FileMetaTableBuilder::new().transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    let object = item(elements).with_meta(meta).map_err(|error| failed(error.to_string()))?;
    let mut bytes = Vec::new();
    object.write_all(&mut bytes).map_err(|error: WriteError| failed(error.to_string()))?;
    Ok(bytes)
}

/// An element with the type that the dictionary has for its tag.
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

/// Pixels of 8 or fewer bits; a value has an even length.
fn pixel_data(mut bytes: Vec<u8>) -> InMemElement {
    if bytes.len() % 2 == 1 {
        bytes.push(0);
    }
    DataElement::new(tags::PIXEL_DATA, VR::OB, PrimitiveValue::from(bytes))
}

/// A text as a single value of type LO: at most 64 characters, no backslash, which would part it,
/// no control characters.
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
    fn texts_stay_one_value_of_64_characters() {
        assert_eq!(long_string(" a\\b\nc "), "a_b_c");
        assert_eq!(long_string(&"é".repeat(100)), "é".repeat(64));
    }
}
