//! Masks as DICOM Segmentation of a frame or of a clip: one bit per pixel, one segment per object, one
//! frame per mask (PS3.3 A.51).

use dicom_core::Tag;
use dicom_core::value::PrimitiveValue;
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;
use ndarray::{Array2, Zip};

use super::geometry::{
    common_spacing_mm, frame_of_reference, mask_spacing_mm, plane_position, shared,
};
use super::modules::{Series, common};
use super::{
    DicomUids, InstanceUids, SEGMENTATION_FILE, code, element, encode, item, long_string, new_uid,
    pixel_data, sequence,
};
use crate::port::BuildIdentity;
use crate::records::bits::Bits;
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

/// A segmentation before it is encoded.
pub(in crate::records) struct Segmentation<'a> {
    pub file: &'static str,
    pub uids: &'a InstanceUids,
    /// Image that was segmented.
    pub source: Source<'a>,
    /// Segments with object number and label, by ascending segment number.
    pub segments: Vec<(&'a Segment, u8, String)>,
    /// One for each mask.
    pub frames: Vec<SegmentedFrame>,
    /// True if a pixel of a frame belongs to two objects.
    pub overlap: bool,
    /// Pixel spacing that all masks have, `[down the rows, along a row]`.
    pub spacing_mm: Option<[f32; 2]>,
    /// The masks, in the order of `frames`.
    pub masks: Bits,
}

/// Image that was segmented.
pub(in crate::records) struct Source<'a> {
    pub class: &'static str,
    pub uids: &'a InstanceUids,
}

/// Frame of a segmentation: one mask.
pub(in crate::records) struct SegmentedFrame {
    /// Number of its segment.
    pub segment: u16,
    /// Number of the source's frame, from 1; `None` for a source without frames.
    pub source: Option<u32>,
}

/// The masks of the captured frame; `None` without any, because a segmentation needs at least one
/// segment.
pub(in crate::records) fn of_frame<'a>(
    capture: &Capture,
    outlined: &'a [Outlined],
    uids: &'a DicomUids,
) -> Option<Segmentation<'a>> {
    let own = uids.segmentation.as_ref()?;
    let with_segment = |outlined: &'a Outlined| Some((outlined.segment.as_ref()?, outlined.object));
    let segments: Vec<(&Segment, &CapturedObject)> =
        outlined.iter().filter_map(with_segment).collect();
    let mut masks = Bits::default();
    segments.iter().for_each(|(_, object)| masks.extend(object.mask.iter().copied()));
    let arrays: Vec<&Array2<bool>> = segments.iter().map(|(_, object)| &object.mask).collect();
    let frame =
        |(segment, _): &(&Segment, _)| SegmentedFrame { segment: segment.number, source: None };
    let described = |(segment, object): &(&'a Segment, &CapturedObject)| {
        (*segment, object.object.get(), object.label.clone())
    };
    Some(Segmentation {
        file: SEGMENTATION_FILE,
        uids: own,
        source: Source { class: uids::SECONDARY_CAPTURE_IMAGE_STORAGE, uids: &uids.frame },
        segments: segments.iter().map(described).collect(),
        frames: segments.iter().map(frame).collect(),
        overlap: overlap(&arrays),
        spacing_mm: common_spacing_mm(
            arrays
                .iter()
                .map(|mask| mask_spacing_mm(capture.frame.pixel_spacing_mm.as_ref(), mask)),
        ),
        masks,
    })
}

impl Segmentation<'_> {
    /// Encodes the file.
    pub(in crate::records) fn encode(
        self,
        id: &RecordId,
        capture: &Capture,
        uids: &DicomUids,
    ) -> Result<Vec<u8>, Error> {
        let BuildIdentity { name, version, .. } = &capture.build;
        let description = format!("Segmentation by {name} {version}");
        let series = Series { number: "2", modality: "SEG", description };
        let class = uids::SEGMENTATION_STORAGE;
        let mut elements = common(class, self.uids, &uids.study, &series, id, capture);
        elements.extend(uids.frame_of_reference.iter().flat_map(|uid| frame_of_reference(uid)));
        elements.extend(self.image(capture));
        let described = self
            .segments
            .iter()
            .map(|(segment, object, label)| described(id, segment, *object, label, &capture.build));
        elements.push(sequence(tags::SEGMENT_SEQUENCE, described.collect()));
        elements.extend(self.dimensions());
        elements.extend([
            // Multi-frame Functional Groups.
            element(tags::NUMBER_OF_FRAMES, self.frames.len().to_string()),
            sequence(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![shared(self.spacing_mm)]),
            sequence(
                tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE,
                self.frames.iter().map(|frame| self.source.groups(frame)).collect(),
            ),
            // Common Instance Reference.
            sequence(
                tags::REFERENCED_SERIES_SEQUENCE,
                vec![item([
                    element(tags::SERIES_INSTANCE_UID, self.source.uids.series.as_str()),
                    sequence(
                        tags::REFERENCED_INSTANCE_SEQUENCE,
                        vec![item(self.source.reference())],
                    ),
                ])],
            ),
            pixel_data(self.masks.into_bytes()),
        ]);
        encode(self.file, elements, uids::EXPLICIT_VR_LITTLE_ENDIAN)
    }

    /// General Image, Image Pixel and Segmentation Image, without the segments.
    fn image(&self, capture: &Capture) -> Vec<InMemElement> {
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
            element(tags::SEGMENTS_OVERLAP, if self.overlap { "YES" } else { "NO" }),
        ]
    }

    /// Multi-frame Dimension: frames are distinguished by their segment, and in a clip by time.
    fn dimensions(&self) -> [InMemElement; 2] {
        let organization = new_uid();
        let dimension = |pointer: Tag, group: Tag, label: &str| {
            item([
                element(tags::DIMENSION_ORGANIZATION_UID, organization.as_str()),
                element(tags::DIMENSION_INDEX_POINTER, pointer),
                element(tags::FUNCTIONAL_GROUP_POINTER, group),
                element(tags::DIMENSION_DESCRIPTION_LABEL, label),
            ])
        };
        let mut dimensions = vec![dimension(
            tags::REFERENCED_SEGMENT_NUMBER,
            tags::SEGMENT_IDENTIFICATION_SEQUENCE,
            "Segment number",
        )];
        if self.frames.iter().any(|frame| frame.source.is_some()) {
            dimensions.push(dimension(
                tags::TEMPORAL_POSITION_INDEX,
                tags::FRAME_CONTENT_SEQUENCE,
                "Frame of the clip",
            ));
        }
        [
            sequence(
                tags::DIMENSION_ORGANIZATION_SEQUENCE,
                vec![item([element(tags::DIMENSION_ORGANIZATION_UID, organization.as_str())])],
            ),
            sequence(tags::DIMENSION_INDEX_SEQUENCE, dimensions),
        ]
    }
}

/// Item of the segment sequence.
fn described(
    id: &RecordId,
    segment: &Segment,
    number: u8,
    label: &str,
    build: &BuildIdentity,
) -> InMemDicomObject {
    let mut label = long_string(label);
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

impl Source<'_> {
    /// Functional groups of a mask.
    fn groups(&self, frame: &SegmentedFrame) -> InMemDicomObject {
        let mut source = self.reference();
        let segment = element(tags::REFERENCED_SEGMENT_NUMBER, frame.segment);
        let mut place = vec![u32::from(frame.segment)];
        let mut content = Vec::new();
        if let Some(number) = frame.source {
            source.push(element(tags::REFERENCED_FRAME_NUMBER, number.to_string()));
            content.push(element(tags::TEMPORAL_POSITION_INDEX, number));
            place.push(number);
        }
        source.extend([
            element(tags::SPATIAL_LOCATIONS_PRESERVED, "YES"),
            code(tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE, SOURCE_IMAGE),
        ]);
        content.push(element(tags::DIMENSION_INDEX_VALUES, PrimitiveValue::U32(place.into())));
        let derivation = item([
            code(tags::DERIVATION_CODE_SEQUENCE, SEGMENTATION),
            sequence(tags::SOURCE_IMAGE_SEQUENCE, vec![item(source)]),
        ]);
        item([
            sequence(tags::DERIVATION_IMAGE_SEQUENCE, vec![derivation]),
            sequence(tags::FRAME_CONTENT_SEQUENCE, vec![item(content)]),
            plane_position(),
            sequence(tags::SEGMENT_IDENTIFICATION_SEQUENCE, vec![item([segment])]),
        ])
    }

    fn reference(&self) -> Vec<InMemElement> {
        vec![
            element(tags::REFERENCED_SOP_CLASS_UID, self.class),
            element(tags::REFERENCED_SOP_INSTANCE_UID, self.uids.instance.as_str()),
        ]
    }
}

/// True if a pixel belongs to two objects.
pub(in crate::records) fn overlap(masks: &[&Array2<bool>]) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    #[test]
    fn masks_overlap_if_a_pixel_is_in_two() {
        let left = arr2(&[[true, true, false]]);
        let right = arr2(&[[false, false, true]]);
        let middle = arr2(&[[false, true, false]]);
        assert!(!overlap(&[]) && !overlap(&[&left, &right]));
        assert!(overlap(&[&right, &left, &middle]) && overlap(&[&left, &left]));
    }
}
