//! Sequence of Ultrasound Regions: places of a frame and their scales (PS3.3 C.8.5.5).

use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::header::{Header, float, integer};
use crate::spacing::usable;
use crate::{PixelSpacing, ScaledRegion};

/// Largest number of regions; scanners write a handful.
const MAX_REGIONS: usize = 64;

/// Value of PhysicalUnitsXDirection for centimetres.
const CENTIMETRES: i64 = 3;

/// Values of RegionSpatialFormat whose axes are time, velocity or amplitude: M-mode, spectral and
/// wave form.
const NOT_SPATIAL: [i64; 3] = [2, 3, 4];

/// Pixel spacing by place. A region that extends beyond the frame shows that the image was scaled or
/// cropped without updating the regions. Then none is used, because a wrong scale is worse than none.
pub(super) fn spacing_mm(
    items: &[InMemDicomObject],
    header: &Header,
    warnings: &mut Vec<String>,
) -> Option<PixelSpacing> {
    let mut none = |reason: String| {
        warnings.push(format!("{reason}; the pixel spacing is not known"));
        None
    };
    if items.len() > MAX_REGIONS {
        let found = items.len();
        return none(format!(
            "SequenceOfUltrasoundRegions has {found} items, expected at most {MAX_REGIONS}"
        ));
    }
    let (columns, rows) = (i64::from(header.columns), i64::from(header.rows));
    let mut regions = Vec::with_capacity(items.len());
    for item in items {
        let Some([x0, y0, x1, y1]) = corners(item) else { continue };
        if x0 < 0 || y0 < 0 || x1 > columns || y1 > rows {
            return none(format!(
                "an ultrasound region from ({x0}, {y0}) to ({x1}, {y1}) extends beyond the frame of \
                 {columns} x {rows} px"
            ));
        }
        // Corners belong to the region, but some writers store the first pixel after it.
        let after = |last: i64, side: i64| (last + 1).min(side) as u32;
        regions.push(ScaledRegion {
            x0: x0 as u32,
            y0: y0 as u32,
            x1: after(x1, columns),
            y1: after(y1, rows),
            mm: region_spacing_mm(item),
        });
    }
    PixelSpacing::of_regions(regions, (header.columns, header.rows))
}

/// Corners of a region as `[x0, y0, x1, y1]`; `None` if it states none, or is empty.
fn corners(region: &InMemDicomObject) -> Option<[i64; 4]> {
    let x0 = integer(region, tags::REGION_LOCATION_MIN_X0)?;
    let y0 = integer(region, tags::REGION_LOCATION_MIN_Y0)?;
    let x1 = integer(region, tags::REGION_LOCATION_MAX_X1)?;
    let y1 = integer(region, tags::REGION_LOCATION_MAX_Y1)?;
    (x0 < x1 && y0 < y1).then_some([x0, y0, x1, y1])
}

/// Pixel spacing of a region; `None` unless both axes are lengths.
fn region_spacing_mm(region: &InMemDicomObject) -> Option<[f32; 2]> {
    let in_centimetres = |tag| integer(region, tag) == Some(CENTIMETRES);
    let format = integer(region, tags::REGION_SPATIAL_FORMAT);
    if format.is_some_and(|format| NOT_SPATIAL.contains(&format))
        || !in_centimetres(tags::PHYSICAL_UNITS_X_DIRECTION)
        || !in_centimetres(tags::PHYSICAL_UNITS_Y_DIRECTION)
    {
        return None;
    }
    let mm = |tag| float(region, tag).map(|cm| cm.abs() * 10.0);
    usable([mm(tags::PHYSICAL_DELTA_Y)?, mm(tags::PHYSICAL_DELTA_X)?])
}
