//! Objects of a capture, as a record numbers them.

use super::capture::CapturedObject;
use super::dicom;

/// An object of a checked capture, as its record counts it.
pub(super) struct Outlined<'a> {
    pub object: &'a CapturedObject,
    pub area_px: u32,
    /// Of the DICOM Segmentation; none for an empty mask.
    pub segment: Option<Segment>,
}

/// Where the DICOM Segmentation has an object.
pub(super) struct Segment {
    /// From 1.
    pub number: u16,
    pub tracking_uid: String,
}

/// By ascending number; those with pixels become segments in that order.
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
