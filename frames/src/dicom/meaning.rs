//! Pixel spacing and frame interval.

use dicom_dictionary_std::tags;
use dicom_object::{InMemDicomObject, Tag};

use super::header::{Header, float, floats, integer};

/// Distance between pixels in mm, as (down the rows, along a row).
///
/// Ultrasound files state it per region (PS3.3 C.8.5.5); the largest region is used. A region that
/// extends beyond the frame shows that the image was scaled or cropped without updating the region.
/// Such a region is ignored, because a wrong scale is worse than none. Other files have one spacing
/// for the whole frame.
pub(super) fn pixel_spacing_mm(object: &InMemDicomObject, header: &Header) -> Option<[f32; 2]> {
    if let Some(regions) = object.get(tags::SEQUENCE_OF_ULTRASOUND_REGIONS) {
        return region_spacing_mm(regions.items()?, header);
    }
    row_column_spacing_mm(object).or_else(|| two_spacings_mm(object, tags::IMAGER_PIXEL_SPACING))
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

/// Value of PhysicalUnitsXDirection for centimetres.
const CENTIMETRES: i64 = 3;

fn region_spacing_mm(regions: &[InMemDicomObject], header: &Header) -> Option<[f32; 2]> {
    regions
        .iter()
        .filter_map(|region| Some((area_px(region, header)?, centimetre_spacing_mm(region)?)))
        // The first of equally large regions; `max_by_key` would return the last.
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, spacing)| spacing)
}

/// Area of a region, in pixels; `None` if it is not within the frame.
fn area_px(region: &InMemDicomObject, header: &Header) -> Option<i64> {
    // Corners belong to the region, but some writers store the first pixel after it.
    let side = |low, high, frame_side: u32| {
        let (low, high) = (integer(region, low)?, integer(region, high)?);
        (0 <= low && low < high && high <= i64::from(frame_side)).then(|| high - low)
    };
    let width = side(tags::REGION_LOCATION_MIN_X0, tags::REGION_LOCATION_MAX_X1, header.columns)?;
    let height = side(tags::REGION_LOCATION_MIN_Y0, tags::REGION_LOCATION_MAX_Y1, header.rows)?;
    Some(width * height)
}

fn centimetre_spacing_mm(region: &InMemDicomObject) -> Option<[f32; 2]> {
    let in_centimetres = |tag| integer(region, tag) == Some(CENTIMETRES);
    if !in_centimetres(tags::PHYSICAL_UNITS_X_DIRECTION)
        || !in_centimetres(tags::PHYSICAL_UNITS_Y_DIRECTION)
    {
        return None;
    }
    let mm = |tag| float(region, tag).map(|cm| cm.abs() * 10.0);
    usable([mm(tags::PHYSICAL_DELTA_Y)?, mm(tags::PHYSICAL_DELTA_X)?])
}

/// PixelSpacing of an image or of a functional group.
pub(super) fn row_column_spacing_mm(object: &InMemDicomObject) -> Option<[f32; 2]> {
    two_spacings_mm(object, tags::PIXEL_SPACING)
}

fn two_spacings_mm(object: &InMemDicomObject, tag: Tag) -> Option<[f32; 2]> {
    let values = floats(object, tag)?;
    usable([*values.first()?, *values.get(1)?])
}

fn usable(spacing_mm: [f64; 2]) -> Option<[f32; 2]> {
    let spacing_mm = spacing_mm.map(|mm| mm as f32);
    spacing_mm.iter().all(|mm| mm.is_finite() && *mm > 0.0).then_some(spacing_mm)
}
