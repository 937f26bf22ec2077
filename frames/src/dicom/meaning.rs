//! Pixel spacing and frame interval.

use dicom_dictionary_std::tags;
use dicom_object::{InMemDicomObject, Tag};

use super::header::{Header, float, floats};
use super::regions;
use crate::PixelSpacing;
use crate::spacing::usable;

/// Distance between pixels in mm. Ultrasound files state it for each region (PS3.3 C.8.5.5), other
/// files for the whole frame.
pub(super) fn pixel_spacing_mm(
    object: &InMemDicomObject,
    header: &Header,
    warnings: &mut Vec<String>,
) -> Option<PixelSpacing> {
    let regions = object.get(tags::SEQUENCE_OF_ULTRASOUND_REGIONS);
    match regions.and_then(|regions| regions.items()) {
        Some(regions) if !regions.is_empty() => regions::spacing_mm(regions, header, warnings),
        _ => row_column_spacing_mm(object)
            .or_else(|| two_spacings_mm(object, tags::IMAGER_PIXEL_SPACING))
            .map(PixelSpacing::Uniform),
    }
}

/// Time between frames in ms, from FrameTime, CineRate, RecommendedDisplayFrameRate, or the first
/// entry of FrameTimeVector that is not 0 (its first entry is the delay before the first frame).
pub(super) fn frame_interval_ms(object: &InMemDicomObject) -> Option<f64> {
    let positive = |tag| float(object, tag).filter(|value| *value > 0.0);
    positive(tags::FRAME_TIME)
        .or_else(|| positive(tags::CINE_RATE).map(|per_s| 1000.0 / per_s))
        .or_else(|| positive(tags::RECOMMENDED_DISPLAY_FRAME_RATE).map(|per_s| 1000.0 / per_s))
        .or_else(|| {
            floats(object, tags::FRAME_TIME_VECTOR)?.into_iter().find(|interval| *interval > 0.0)
        })
}

/// PixelSpacing of an image or of a functional group.
pub(super) fn row_column_spacing_mm(object: &InMemDicomObject) -> Option<[f32; 2]> {
    two_spacings_mm(object, tags::PIXEL_SPACING)
}

fn two_spacings_mm(object: &InMemDicomObject, tag: Tag) -> Option<[f32; 2]> {
    let values = floats(object, tag)?;
    usable([*values.first()?, *values.get(1)?])
}
