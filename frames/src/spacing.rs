//! Scale of a frame: the distance between its pixels, which may differ by place.

use std::ops::Range;
use std::sync::Arc;

/// Distance between the centres of neighbouring pixels in mm, `[down the rows, along a row]`.
#[derive(Clone, Debug, PartialEq)]
pub enum PixelSpacing {
    /// The same everywhere on the frame.
    Uniform([f32; 2]),
    /// Different by place, as in an ultrasound image with several regions.
    Regions(ScaledRegions),
}

/// Regions of a frame, in the order in which they lie on each other, the topmost first. Where there
/// is none, the scale is not known.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaledRegions(Arc<[ScaledRegion]>);

/// Part of a frame from `(x0, y0)` up to, but not including, `(x1, y1)`, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScaledRegion {
    /// First column.
    pub x0: u32,
    /// First row.
    pub y0: u32,
    /// Column after the last.
    pub x1: u32,
    /// Row after the last.
    pub y1: u32,
    /// Pixel spacing, `[down the rows, along a row]`; `None` where an axis is not a length, such as
    /// the time of M-mode and Doppler.
    pub mm: Option<[f32; 2]>,
}

impl ScaledRegions {
    /// The regions, the topmost first.
    pub fn all(&self) -> &[ScaledRegion] {
        &self.0
    }
}

impl ScaledRegion {
    fn area(&self) -> u64 {
        u64::from(self.x1.saturating_sub(self.x0)) * u64::from(self.y1.saturating_sub(self.y0))
    }

    fn holds(&self, x: u32, y: u32) -> bool {
        (self.x0..self.x1).contains(&x) && (self.y0..self.y1).contains(&y)
    }

    /// The part within `(x, y)` up to, but not including, `end`, in pixels of that rectangle.
    fn within(&self, (x, y): (u32, u32), end: (u32, u32)) -> Option<Self> {
        let [x0, x1] = [self.x0, self.x1].map(|side| side.clamp(x, end.0) - x);
        let [y0, y1] = [self.y0, self.y1].map(|side| side.clamp(y, end.1) - y);
        (x0 < x1 && y0 < y1).then_some(Self { x0, y0, x1, y1, mm: self.mm })
    }
}

impl PixelSpacing {
    /// Scale of a frame of `(width, height)` with these regions. A smaller region lies on a larger
    /// one, because insets do; the first of equally large ones is on top. `None` if no region has a
    /// scale.
    pub fn of_regions(mut regions: Vec<ScaledRegion>, (width, height): (u32, u32)) -> Option<Self> {
        regions.sort_by_key(ScaledRegion::area);
        Self::of_sorted(&regions, (0, 0), (width, height))
    }

    /// Scale of the part of the frame from `(x, y)` on that has this width and height.
    pub fn cropped(&self, (x, y): (u32, u32), (width, height): (u32, u32)) -> Option<Self> {
        match self {
            Self::Uniform(mm) => Some(Self::Uniform(*mm)),
            Self::Regions(regions) => {
                let end = (x.saturating_add(width), y.saturating_add(height));
                Self::of_sorted(regions.all(), (x, y), end)
            }
        }
    }

    /// Scale of a rectangle, from its regions from top to bottom.
    fn of_sorted(regions: &[ScaledRegion], start: (u32, u32), end: (u32, u32)) -> Option<Self> {
        let mut seen: Vec<_> = regions.iter().filter_map(|r| r.within(start, end)).collect();
        let (width, height) = (end.0 - start.0, end.1 - start.1);
        let covers = |region: &ScaledRegion| region.area() == u64::from(width) * u64::from(height);
        if let Some(bottom) = seen.iter().position(covers) {
            // It hides all below it.
            seen.truncate(bottom + 1);
            let mm = seen[bottom].mm;
            if seen.iter().all(|region| region.mm == mm) {
                return mm.map(Self::Uniform);
            }
        }
        let is_known = seen.iter().any(|region| region.mm.is_some());
        is_known.then(|| Self::Regions(ScaledRegions(seen.into())))
    }

    /// Pixel spacing of the whole frame; `None` if it differs by place.
    pub fn uniform(&self) -> Option<[f32; 2]> {
        match self {
            Self::Uniform(mm) => Some(*mm),
            Self::Regions(_) => None,
        }
    }

    /// Regions, the topmost first; none if the spacing is the same everywhere.
    pub fn regions(&self) -> &[ScaledRegion] {
        match self {
            Self::Uniform(_) => &[],
            Self::Regions(regions) => regions.all(),
        }
    }

    /// Pixel spacing at a pixel: that of the topmost region there; `None` if it is not known.
    pub fn at(&self, x: u32, y: u32) -> Option<[f32; 2]> {
        match self {
            Self::Uniform(mm) => Some(*mm),
            Self::Regions(regions) => {
                regions.all().iter().find(|region| region.holds(x, y)).and_then(|region| region.mm)
            }
        }
    }

    /// Pixel spacing of a structure, given by its rows and their columns; `None` if it differs
    /// within the structure or is not known for all of it.
    pub fn of_structure(
        &self,
        rows: impl IntoIterator<Item = (u32, Range<u32>)>,
    ) -> Option<[f32; 2]> {
        let mut found = None;
        for (y, columns) in rows {
            // The spacing changes only where a region begins or ends.
            let edges = self.regions().iter().flat_map(|region| [region.x0, region.x1]);
            let edges = edges.filter(|x| columns.contains(x));
            for x in [columns.start].into_iter().chain(edges) {
                let mm = self.at(x, y)?;
                if found.is_some_and(|found| found != mm) {
                    return None;
                }
                found = Some(mm);
            }
        }
        found
    }
}

/// A pixel spacing of finite numbers above zero.
pub(crate) fn usable(spacing_mm: [f64; 2]) -> Option<[f32; 2]> {
    let spacing_mm = spacing_mm.map(|mm| mm as f32);
    spacing_mm.iter().all(|mm| mm.is_finite() && *mm > 0.0).then_some(spacing_mm)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COARSE: Option<[f32; 2]> = Some([0.5, 0.5]);
    const FINE: Option<[f32; 2]> = Some([0.1, 0.2]);

    fn region([x0, y0, x1, y1]: [u32; 4], mm: Option<[f32; 2]>) -> ScaledRegion {
        ScaledRegion { x0, y0, x1, y1, mm }
    }

    /// A frame of 100 x 60 px: an image with a fine inset, and a curve over time on the right.
    fn with_inset() -> PixelSpacing {
        let regions = vec![
            region([0, 0, 70, 60], COARSE),
            region([10, 10, 30, 20], FINE),
            region([70, 0, 100, 50], None),
        ];
        PixelSpacing::of_regions(regions, (100, 60)).unwrap()
    }

    #[test]
    fn smallest_region_at_a_pixel_gives_its_spacing() {
        let spacing = with_inset();
        assert_eq!(spacing.at(9, 10), COARSE);
        assert_eq!(spacing.at(10, 10), FINE);
        assert_eq!(spacing.at(29, 19), FINE);
        assert_eq!(spacing.at(30, 19), COARSE);
        assert_eq!(spacing.at(69, 59), COARSE);
        // A region without a length, and no region.
        assert_eq!(spacing.at(70, 0), None);
        assert_eq!(spacing.at(70, 50), None);
        assert_eq!(spacing.uniform(), None);
    }

    #[test]
    fn structure_has_a_spacing_only_within_one_scale() {
        let spacing = with_inset();
        let of = |rows: &[(u32, Range<u32>)]| spacing.of_structure(rows.iter().cloned());
        assert_eq!(of(&[(12, 12..28), (13, 10..30)]), FINE);
        assert_eq!(of(&[(8, 0..70), (9, 0..70)]), COARSE);
        // Around the inset, and with it.
        assert_eq!(of(&[(9, 5..35), (10, 5..10), (10, 30..35), (20, 5..35)]), COARSE);
        assert_eq!(of(&[(9, 5..35), (10, 5..35)]), None);
        assert_eq!(of(&[(12, 12..31)]), None);
        assert_eq!(of(&[(30, 60..71)]), None);
        assert_eq!(of(&[(55, 80..90)]), None);
        assert_eq!(of(&[]), None);
        let two = vec![region([0, 0, 50, 60], FINE), region([50, 0, 100, 60], FINE)];
        let two = PixelSpacing::of_regions(two, (100, 60)).unwrap();
        assert_eq!(two.of_structure([(3, 40..60)]), FINE);
    }

    #[test]
    fn cropping_shifts_regions_and_keeps_their_order() {
        let spacing = with_inset();
        let cropped = spacing.cropped((20, 5), (60, 40)).unwrap();
        assert_eq!(
            cropped.regions(),
            [
                region([0, 5, 10, 15], FINE),
                region([50, 0, 60, 40], None),
                region([0, 0, 50, 40], COARSE)
            ]
        );
        assert_eq!(spacing.cropped((30, 0), (40, 60)), COARSE.map(PixelSpacing::Uniform));
        assert_eq!(spacing.cropped((12, 12), (8, 8)), FINE.map(PixelSpacing::Uniform));
        assert_eq!(spacing.cropped((72, 0), (8, 60)), None);
        let uniform = PixelSpacing::Uniform([1.0, 2.0]);
        assert_eq!(uniform.cropped((3, 4), (5, 6)), Some(uniform));
    }

    #[test]
    fn order_is_that_of_the_whole_regions_after_cropping() {
        // The larger region is cut to less than the smaller one.
        let regions = vec![region([0, 0, 100, 60], COARSE), region([0, 0, 40, 60], FINE)];
        let spacing = PixelSpacing::of_regions(regions, (100, 60)).unwrap();
        let cropped = spacing.cropped((0, 0), (41, 60)).unwrap();
        assert_eq!((cropped.at(39, 0), cropped.at(40, 0)), (FINE, COARSE));
    }

    #[test]
    fn regions_without_a_scale_are_no_spacing() {
        assert_eq!(PixelSpacing::of_regions(Vec::new(), (4, 4)), None);
        let none = vec![region([0, 0, 2, 2], None), region([0, 0, 4, 4], None)];
        assert_eq!(PixelSpacing::of_regions(none, (4, 4)), None);
        let hidden = vec![region([0, 0, 4, 4], None), region([0, 0, 4, 4], FINE)];
        assert_eq!(PixelSpacing::of_regions(hidden, (4, 4)), None);
    }
}
