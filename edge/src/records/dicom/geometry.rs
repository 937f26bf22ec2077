//! Place of masks in space (PS3.3 C.7.6.16.2): all lie in one plane, whose origin is the centre of the
//! first pixel.
//!
//! 3D Slicer and other readers of segmentations need it even for images without a place in the
//! patient.

use std::ops::Range;

use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;
use medsa_frames::PixelSpacing;
use ndarray::Array2;

use super::modules::spacing;
use super::{element, item, sequence};

/// Thickness of the plane in mm. A 2D image has none, but Pixel Measures and its readers need one.
const THICKNESS_MM: &str = "1";

/// Frame of Reference.
pub(super) fn frame_of_reference(uid: &str) -> [InMemElement; 2] {
    [element(tags::FRAME_OF_REFERENCE_UID, uid), element(tags::POSITION_REFERENCE_INDICATOR, "")]
}

/// Functional groups of all masks: Plane Orientation, and Pixel Measures if the spacing is known.
pub(super) fn shared(spacing_mm: Option<[f32; 2]>) -> InMemDicomObject {
    let along_rows_and_columns = element(tags::IMAGE_ORIENTATION_PATIENT, "1\\0\\0\\0\\1\\0");
    let orientation =
        sequence(tags::PLANE_ORIENTATION_SEQUENCE, vec![item([along_rows_and_columns])]);
    let measures = spacing_mm.map(|spacing_mm| {
        let measures = item([
            element(tags::PIXEL_SPACING, spacing(spacing_mm)),
            element(tags::SLICE_THICKNESS, THICKNESS_MM),
            element(tags::SPACING_BETWEEN_SLICES, THICKNESS_MM),
        ]);
        sequence(tags::PIXEL_MEASURES_SEQUENCE, vec![measures])
    });
    item([orientation].into_iter().chain(measures))
}

/// Functional group of each mask: Plane Position.
pub(super) fn plane_position() -> InMemElement {
    let origin = item([element(tags::IMAGE_POSITION_PATIENT, "0\\0\\0")]);
    sequence(tags::PLANE_POSITION_SEQUENCE, vec![origin])
}

/// Pixel spacing of a mask; `None` if it is not known, or differs within the mask.
pub(in crate::records) fn mask_spacing_mm(
    spacing: Option<&PixelSpacing>,
    mask: &Array2<bool>,
) -> Option<[f32; 2]> {
    let rows = mask.rows().into_iter().zip(0..);
    spacing?.of_structure(rows.flat_map(|(row, y)| runs(row.to_vec()).map(move |run| (y, run))))
}

/// Pixel spacing that all masks have; `None` if one has no spacing or another one.
pub(super) fn common_spacing_mm(
    spacings: impl IntoIterator<Item = Option<[f32; 2]>>,
) -> Option<[f32; 2]> {
    let mut spacings = spacings.into_iter();
    let first = spacings.next()?;
    if spacings.all(|other| other == first) { first } else { None }
}

/// Runs of pixels that are inside.
fn runs(row: Vec<bool>) -> impl Iterator<Item = Range<u32>> {
    let mut x = 0;
    std::iter::from_fn(move || {
        let start = x + row.get(x..)?.iter().position(|&inside| inside)?;
        let end = row[start..].iter().position(|&inside| !inside);
        let end = end.map_or(row.len(), |length| start + length);
        x = end;
        Some(start as u32..end as u32)
    })
}

#[cfg(test)]
mod tests {
    use medsa_frames::ScaledRegion;
    use ndarray::arr2;

    use super::*;

    #[test]
    fn runs_are_the_pixels_inside() {
        let found: Vec<_> = runs(vec![true, true, false, true, false, false, true]).collect();
        assert_eq!(found, [0..2, 3..4, 6..7]);
        assert_eq!(runs(vec![false; 3]).count(), 0);
        assert_eq!(runs(vec![]).count(), 0);
    }

    #[test]
    fn masks_have_a_spacing_in_common_or_none() {
        let region = |x0, x1, mm| ScaledRegion { x0, y0: 0, x1, y1: 2, mm: Some([mm, mm]) };
        let regions = vec![region(0, 2, 0.2), region(2, 3, 0.5)];
        let spacing = PixelSpacing::of_regions(regions, (3, 2)).unwrap();
        let of = |mask: [[bool; 3]; 2]| mask_spacing_mm(Some(&spacing), &arr2(&mask));
        let left = of([[true, false, false], [true, true, false]]);
        let right = of([[false, false, true], [false, false, false]]);
        let both = of([[true, false, true], [false, false, false]]);
        assert_eq!((left, right, both), (Some([0.2, 0.2]), Some([0.5, 0.5]), None));
        assert_eq!(mask_spacing_mm(None, &arr2(&[[true]])), None);
        assert_eq!(common_spacing_mm([left, left]), left);
        assert_eq!(common_spacing_mm([left, right]), None);
        assert_eq!(common_spacing_mm([left, both]), None);
        assert_eq!(common_spacing_mm([]), None);
    }
}
