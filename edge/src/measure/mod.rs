//! Measurements of a mask: area, diameters, centroid, contour.
//!
//! Positions are in frame pixels, as those of prompts: (0, 0) is the centre of the first pixel at
//! the top left. A structure that fills the frame extends from -0.5 to width - 0.5.

mod contour;
mod diameter;

use medsa_frames::PixelSpacing;
use medsa_sam::mask::{Parts, Ring, Side, outer_ring};
use ndarray::ArrayView2;

/// Measurements of a structure on one frame. They refer to the largest part of the mask (pixels
/// that touch by their sides); [`Measured::parts`] counts all parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Number of parts of the mask, at least 1.
    pub parts: u32,
    /// Area in pixels.
    pub area_px: u32,
    /// Centroid `[x, y]`.
    pub centroid_px: [f32; 2],
    /// Largest Feret diameter: longest distance between two points of the contour.
    pub longest_px: f32,
    /// Smallest Feret diameter: smallest distance between two parallel lines that enclose the
    /// contour.
    pub shortest_px: f32,
    /// The same in mm, if all of the largest part has one known pixel spacing.
    pub physical: Option<Physical>,
    /// Outer contour as a polygon of `[x, y]`, clockwise on the screen; the first point is not
    /// repeated. It is simplified to within a quarter of a pixel, or more coarsely if it would exceed
    /// [`MAX_CONTOUR_POINTS`](medsa_wire::MAX_CONTOUR_POINTS).
    pub contour_px: Ring,
}

/// Lengths and area of a structure in mm and mm².
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Physical {
    /// Pixel spacing of the structure, `[down the rows, along a row]`.
    pub pixel_spacing_mm: [f32; 2],
    /// Area.
    pub area_mm2: f32,
    /// Largest Feret diameter.
    pub longest_mm: f32,
    /// Smallest Feret diameter.
    pub shortest_mm: f32,
}

impl Measured {
    /// Measures the pixels of `logits` `[H, W]`, in frame pixels, that are above zero; `None` if
    /// there are none. The contour passes between pixels at the interpolated zero of the logits.
    pub fn of(logits: ArrayView2<f32>, spacing: Option<&PixelSpacing>) -> Option<Self> {
        let parts = Parts::of(logits, Side::Inside);
        let part = parts.largest()?;
        let largest = parts.all()[part];
        let outline = outer_ring(logits, &largest);
        let (longest_px, shortest_px) = diameter::feret(&outline);
        let area_px = largest.area;
        let rows = parts.rows(part).map(|(y, columns)| {
            // Sides of frames are at most 4096 px.
            (y as u32, columns.start as u32..columns.end as u32)
        });
        let spacing_mm = spacing.and_then(|spacing| spacing.of_structure(rows));
        let physical = spacing_mm.map(|[down, along]| {
            let scaled: Vec<_> = outline.iter().map(|[x, y]| [x * along, y * down]).collect();
            let (longest_mm, shortest_mm) = diameter::feret(&scaled);
            let area_mm2 = (area_px as f64 * f64::from(down) * f64::from(along)) as f32;
            Physical { pixel_spacing_mm: [down, along], area_mm2, longest_mm, shortest_mm }
        });
        Some(Self {
            parts: parts.all().len() as u32,
            area_px,
            centroid_px: largest.centroid(),
            longest_px,
            shortest_px,
            physical,
            contour_px: contour::contour(&outline),
        })
    }
}

#[cfg(test)]
mod tests {
    use medsa_frames::ScaledRegion;
    use ndarray::{Array2, array};

    use super::*;

    /// Logits of an ellipse with half axes `a` and `b`, rotated by `angle`.
    fn ellipse(centre: [f32; 2], [a, b]: [f32; 2], angle: f32) -> Array2<f32> {
        Array2::from_shape_fn((120, 160), |(y, x)| {
            let (dx, dy) = (x as f32 - centre[0], y as f32 - centre[1]);
            let (u, v) = (dx * angle.cos() + dy * angle.sin(), dy * angle.cos() - dx * angle.sin());
            1.0 - ((u / a).powi(2) + (v / b).powi(2)).sqrt()
        })
    }

    fn close(found: f32, expected: f32, tolerance: f32) {
        assert!((found - expected).abs() <= tolerance, "{found}, expected {expected}");
    }

    #[test]
    fn ellipse_is_measured_exactly() {
        for angle in [0.0, 0.4, 1.3] {
            let logits = ellipse([70.3, 55.8], [40.0, 22.0], angle);
            let measured = Measured::of(logits.view(), None).unwrap();
            close(measured.area_px as f32, std::f32::consts::PI * 40.0 * 22.0, 20.0);
            close(measured.longest_px, 80.0, 0.2);
            close(measured.shortest_px, 44.0, 0.2);
            close(measured.centroid_px[0], 70.3, 0.05);
            close(measured.centroid_px[1], 55.8, 0.05);
            assert_eq!((measured.parts, measured.physical), (1, None));
        }
    }

    #[test]
    fn lengths_in_mm_use_the_spacing_of_each_axis() {
        let logits = ellipse([80.0, 60.0], [40.0, 22.0], 0.0);
        let spacing = PixelSpacing::Uniform([0.5, 0.1]);
        let measured = Measured::of(logits.view(), Some(&spacing)).unwrap();
        let physical = measured.physical.unwrap();
        assert_eq!(physical.pixel_spacing_mm, [0.5, 0.1]);
        // In mm the structure is higher than wide.
        close(physical.longest_mm, 22.0, 0.1);
        close(physical.shortest_mm, 8.0, 0.1);
        close(physical.area_mm2, std::f32::consts::PI * 40.0 * 22.0 * 0.05, 1.0);
    }

    #[test]
    fn structure_is_measured_with_the_scale_of_its_region() {
        let region = |x0, x1, mm| ScaledRegion { x0, y0: 0, x1, y1: 120, mm };
        let regions = vec![
            region(0, 80, Some([0.2, 0.2])),
            region(80, 150, Some([0.5, 0.5])),
            region(150, 160, None),
        ];
        let spacing = PixelSpacing::of_regions(regions, (160, 120)).unwrap();
        let physical = |x| {
            let logits = ellipse([x, 60.0], [20.0, 10.0], 0.0);
            Measured::of(logits.view(), Some(&spacing)).unwrap().physical
        };
        close(physical(40.0).unwrap().longest_mm, 8.0, 0.05);
        close(physical(110.0).unwrap().longest_mm, 20.0, 0.1);
        close(physical(110.0).unwrap().area_mm2, std::f32::consts::PI * 200.0 * 0.25, 4.0);
        // Two scales, and a part without one.
        assert_eq!((physical(75.0), physical(140.0)), (None, None));
        // Other parts are not measured.
        let small = ellipse([140.0, 20.0], [5.0, 5.0], 0.0);
        let large = ellipse([40.0, 60.0], [20.0, 10.0], 0.0);
        let both = ndarray::Zip::from(&small).and(&large).map_collect(|a, b| a.max(*b));
        let measured = Measured::of(both.view(), Some(&spacing)).unwrap();
        assert_eq!(measured.physical, physical(40.0));
    }

    #[test]
    fn largest_part_is_measured_and_all_are_counted() {
        let small = ellipse([20.0, 20.0], [5.0, 5.0], 0.0);
        let large = ellipse([100.0, 70.0], [20.0, 30.0], 0.0);
        let both = ndarray::Zip::from(&small).and(&large).map_collect(|a, b| a.max(*b));
        let measured = Measured::of(both.view(), None).unwrap();
        assert_eq!(measured.parts, 2);
        let alone = Measured::of(large.view(), None).unwrap();
        assert_eq!(Measured { parts: 2, ..alone }, measured);
    }

    #[test]
    fn empty_full_and_single_pixel_masks_are_measured() {
        assert_eq!(Measured::of(Array2::from_elem((9, 7), -1.0).view(), None), None);
        let everything = Measured::of(Array2::ones((9, 7)).view(), None).unwrap();
        assert_eq!(everything.area_px, 63);
        close(everything.longest_px, (9f32 * 9.0 + 49.0).sqrt(), 1.0);
        close(everything.shortest_px, 7.0, 1e-5);
        let pixel = Measured::of(array![[1.0f32]].view(), None).unwrap();
        assert_eq!((pixel.area_px, pixel.centroid_px), (1, [0.0, 0.0]));
        close(pixel.longest_px, 1.0, 1e-5);
        // Pixels that touch only by corners are separate parts.
        let corners = Measured::of(array![[1.0f32, -1.0], [-1.0, 1.0]].view(), None).unwrap();
        assert_eq!((corners.parts, corners.area_px), (2, 1));
    }
}
