//! Objects of a capture in the order and numbering of its record.

use super::capture::CapturedObject;
use super::dicom;

/// An object of a checked capture, with its area and segment.
pub(super) struct Outlined<'a> {
    pub object: &'a CapturedObject,
    pub area_px: u32,
    /// Segment in the DICOM Segmentation; `None` for an empty mask.
    pub segment: Option<Segment>,
}

/// Segment of an object in the DICOM Segmentation.
pub(super) struct Segment {
    /// Segment number, from 1.
    pub number: u16,
    pub tracking_uid: String,
}

/// Objects by ascending number; those with pixels get segment numbers in that order.
pub(super) fn outlined(objects: &[CapturedObject]) -> Vec<Outlined<'_>> {
    let mut objects: Vec<&CapturedObject> = objects.iter().collect();
    objects.sort_by_key(|object| object.object);
    let mut numbers = 1..;
    let outlined = objects.into_iter().map(|object| {
        let area_px = object.mask.iter().map(|&inside| u32::from(inside)).sum();
        let number = if area_px > 0 { numbers.next() } else { None };
        let segment = number.map(|number| Segment { number, tracking_uid: dicom::new_uid() });
        Outlined { object, area_px, segment }
    });
    outlined.collect()
}
