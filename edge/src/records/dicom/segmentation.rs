//! The masks as DICOM Segmentation of the frame: one bit per pixel, one segment and one frame per
//! object (PS3.3 A.51).

use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;
use ndarray::{Array2, Zip};

use super::modules::{Series, common};
use super::{
    DicomUids, InstanceUids, SEGMENTATION_FILE, code, element, encode, item, long_string, new_uid,
    pixel_data, sequence,
};
use crate::port::BuildIdentity;
use crate::records::capture::{Capture, CapturedObject};
use crate::records::error::Error;
use crate::records::id::RecordId;
use crate::records::outlined::{Outlined, Segment};

/// Category and type of every segment. Builds do not state SNOMED CT codes of their classes;
/// "Tissue" holds for everything outlined in a body, and claims no finding.
const TISSUE: (&str, &str, &str) = ("85756007", "SCT", "Tissue");

const SEGMENTATION: (&str, &str, &str) = ("113076", "DCM", "Segmentation");

const SOURCE_IMAGE: (&str, &str, &str) =
    ("121322", "DCM", "Source image for image processing operation");

const ARTIFICIAL_INTELLIGENCE: (&str, &str, &str) = ("123110", "DCM", "Artificial Intelligence");

/// Encodes the masks; `None` without any, because a Segmentation needs at least one segment.
pub(in crate::records) fn segmentation(
    id: &RecordId,
    capture: &Capture,
    outlined: &[Outlined],
    instances: &DicomUids,
) -> Result<Option<Vec<u8>>, Error> {
    let Some(own) = &instances.segmentation else { return Ok(None) };
    let segments: Vec<(&Segment, &CapturedObject)> = outlined
        .iter()
        .filter_map(|outlined| Some((outlined.segment.as_ref()?, outlined.object)))
        .collect();
    let masks: Vec<&Array2<bool>> = segments.iter().map(|(_, object)| &object.mask).collect();
    let BuildIdentity { name, version, .. } = &capture.build;
    let description = format!("Segmentation by {name} {version}");
    let series = Series { number: "2", modality: "SEG", description };
    let class = uids::SEGMENTATION_STORAGE;
    let mut elements = common(class, own, &instances.study, &series, id, capture);
    elements.extend(segmentation_image(capture, &masks));
    elements.push(sequence(
        tags::SEGMENT_SEQUENCE,
        segments
            .iter()
            .map(|(segment, object)| described(id, segment, object, &capture.build))
            .collect(),
    ));
    elements.extend(dimensions());
    elements.extend([
        // Multi-frame Functional Groups.
        element(tags::NUMBER_OF_FRAMES, segments.len().to_string()),
        // Nothing is shared. The grid is that of the frame, whose file states the spacing; pixel
        // measures of its own would require a slice thickness, which a 2D image does not have.
        sequence(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![item([])]),
        sequence(
            tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE,
            segments.iter().map(|(segment, _)| frame_groups(segment, &instances.frame)).collect(),
        ),
        // Common Instance Reference.
        sequence(
            tags::REFERENCED_SERIES_SEQUENCE,
            vec![item([
                element(tags::SERIES_INSTANCE_UID, instances.frame.series.as_str()),
                sequence(
                    tags::REFERENCED_INSTANCE_SEQUENCE,
                    vec![item(reference_to_frame(&instances.frame))],
                ),
            ])],
        ),
        pixel_data(packed(&masks)),
    ]);
    encode(SEGMENTATION_FILE, elements).map(Some)
}

/// General Image, Image Pixel and Segmentation Image, without the segments.
fn segmentation_image(capture: &Capture, masks: &[&Array2<bool>]) -> Vec<InMemElement> {
    vec![
        element(tags::IMAGE_TYPE, "DERIVED\\PRIMARY"),
        element(tags::PATIENT_ORIENTATION, ""),
        element(tags::CONTENT_LABEL, "SEGMENTATION"),
        element(tags::CONTENT_DESCRIPTION, "Objects outlined on the captured frame"),
        element(tags::CONTENT_CREATOR_NAME, ""),
        element(tags::SAMPLES_PER_PIXEL, 1_u16),
        element(tags::PHOTOMETRIC_INTERPRETATION, "MONOCHROME2"),
        // Checked: sides are at most 4096.
        element(tags::ROWS, capture.frame.height as u16),
        element(tags::COLUMNS, capture.frame.width as u16),
        element(tags::BITS_ALLOCATED, 1_u16),
        element(tags::BITS_STORED, 1_u16),
        element(tags::HIGH_BIT, 0_u16),
        element(tags::PIXEL_REPRESENTATION, 0_u16),
        // Applies to the masks; earlier compression of the frame is unknown.
        element(tags::LOSSY_IMAGE_COMPRESSION, "00"),
        element(tags::SEGMENTATION_TYPE, "BINARY"),
        element(tags::SEGMENTS_OVERLAP, if overlap(masks) { "YES" } else { "NO" }),
    ]
}

/// Item of the segment sequence.
fn described(
    id: &RecordId,
    segment: &Segment,
    object: &CapturedObject,
    build: &BuildIdentity,
) -> InMemDicomObject {
    let number = object.object.get();
    let mut label = long_string(&object.label);
    if label.is_empty() {
        label = format!("Object {number}");
    }
    item([
        element(tags::SEGMENT_NUMBER, segment.number),
        element(tags::SEGMENT_LABEL, label),
        element(tags::TRACKING_ID, format!("{id}-object-{number}")),
        element(tags::TRACKING_UID, segment.tracking_uid.as_str()),
        code(tags::SEGMENTED_PROPERTY_CATEGORY_CODE_SEQUENCE, TISSUE),
        code(tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE, TISSUE),
        element(tags::SEGMENT_ALGORITHM_TYPE, "SEMIAUTOMATIC"),
        element(
            tags::SEGMENT_ALGORITHM_NAME,
            long_string(&format!("{} {}", build.name, build.version)),
        ),
        // Name and version again, here each in full.
        sequence(
            tags::SEGMENTATION_ALGORITHM_IDENTIFICATION_SEQUENCE,
            vec![item([
                code(tags::ALGORITHM_FAMILY_CODE_SEQUENCE, ARTIFICIAL_INTELLIGENCE),
                element(tags::ALGORITHM_NAME, long_string(&build.name)),
                element(tags::ALGORITHM_VERSION, long_string(&build.version)),
            ])],
        ),
    ])
}

/// Multi-frame Dimension: frames are distinguished by their segment.
fn dimensions() -> [InMemElement; 2] {
    let organization = new_uid();
    [
        sequence(
            tags::DIMENSION_ORGANIZATION_SEQUENCE,
            vec![item([element(tags::DIMENSION_ORGANIZATION_UID, organization.as_str())])],
        ),
        sequence(
            tags::DIMENSION_INDEX_SEQUENCE,
            vec![item([
                element(tags::DIMENSION_ORGANIZATION_UID, organization.as_str()),
                element(tags::DIMENSION_INDEX_POINTER, tags::REFERENCED_SEGMENT_NUMBER),
                element(tags::FUNCTIONAL_GROUP_POINTER, tags::SEGMENT_IDENTIFICATION_SEQUENCE),
                element(tags::DIMENSION_DESCRIPTION_LABEL, "Segment number"),
            ])],
        ),
    ]
}

/// Functional groups of the frame of one segment.
fn frame_groups(segment: &Segment, frame: &InstanceUids) -> InMemDicomObject {
    let mut source = reference_to_frame(frame);
    source.extend([
        element(tags::SPATIAL_LOCATIONS_PRESERVED, "YES"),
        code(tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE, SOURCE_IMAGE),
    ]);
    let derivation = item([
        code(tags::DERIVATION_CODE_SEQUENCE, SEGMENTATION),
        sequence(tags::SOURCE_IMAGE_SEQUENCE, vec![item(source)]),
    ]);
    let content = item([element(tags::DIMENSION_INDEX_VALUES, u32::from(segment.number))]);
    let segment = item([element(tags::REFERENCED_SEGMENT_NUMBER, segment.number)]);
    item([
        sequence(tags::DERIVATION_IMAGE_SEQUENCE, vec![derivation]),
        sequence(tags::FRAME_CONTENT_SEQUENCE, vec![content]),
        sequence(tags::SEGMENT_IDENTIFICATION_SEQUENCE, vec![segment]),
    ])
}

fn reference_to_frame(frame: &InstanceUids) -> Vec<InMemElement> {
    vec![
        element(tags::REFERENCED_SOP_CLASS_UID, uids::SECONDARY_CAPTURE_IMAGE_STORAGE),
        element(tags::REFERENCED_SOP_INSTANCE_UID, frame.instance.as_str()),
    ]
}

/// True if a pixel belongs to two objects.
fn overlap(masks: &[&Array2<bool>]) -> bool {
    let Some((first, others)) = masks.split_first() else { return false };
    let mut taken = (*first).clone();
    others.iter().any(|mask| {
        let mut overlaps = false;
        Zip::from(&mut taken).and(*mask).for_each(|taken, &inside| {
            overlaps |= *taken && inside;
            *taken |= inside;
        });
        overlaps
    })
}

/// One bit per pixel, the first in the lowest bit, without gaps between rows or frames (PS3.5 8.2,
/// annex D).
fn packed(masks: &[&Array2<bool>]) -> Vec<u8> {
    let pixels: usize = masks.iter().map(|mask| mask.len()).sum();
    let mut bytes = vec![0; pixels.div_ceil(8)];
    for (i, &inside) in masks.iter().flat_map(|mask| mask.iter()).enumerate() {
        bytes[i / 8] |= u8::from(inside) << (i % 8);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    #[test]
    fn frames_are_packed_without_gaps() {
        let first = arr2(&[[true, false, false], [false, false, true]]);
        let second = arr2(&[[true, true, false], [false, false, true]]);
        // 100001 110001, the lowest bit first.
        assert_eq!(packed(&[&first, &second]), [0b1110_0001, 0b1000]);
    }

    #[test]
    fn masks_overlap_if_a_pixel_is_in_two() {
        let left = arr2(&[[true, true, false]]);
        let right = arr2(&[[false, false, true]]);
        let middle = arr2(&[[false, true, false]]);
        assert!(!overlap(&[]) && !overlap(&[&left, &right]));
        assert!(overlap(&[&right, &left, &middle]) && overlap(&[&left, &left]));
    }
}
