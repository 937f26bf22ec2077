//! The contour of a mask, simplified for messages.

use medsa_sam::mask::{Ring, simplified};
use medsa_wire::MAX_CONTOUR_POINTS;

/// Largest distance of the simplified contour from the outline, in pixels.
const TOLERANCE_PX: f32 = 0.25;

/// Simplifies an outline to within a quarter of a pixel, or more coarsely if it would not fit the
/// message.
pub(super) fn contour(outline: &[[f32; 2]]) -> Ring {
    let mut tolerance = TOLERANCE_PX;
    loop {
        let simple = simplified(outline, tolerance);
        if simple.len() <= MAX_CONTOUR_POINTS {
            return simple;
        }
        tolerance *= 1.5;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points on a circle at radii that alternate by `ragged`.
    fn circle(count: u16, radius: f32, ragged: f32) -> Ring {
        let point = |i: u16| {
            let angle = f32::from(i) / f32::from(count) * std::f32::consts::TAU;
            let radius = radius + if i.is_multiple_of(2) { ragged } else { 0.0 };
            [radius * angle.cos(), radius * angle.sin()]
        };
        (0..count).map(point).collect()
    }

    #[test]
    fn contour_is_within_a_quarter_of_a_pixel_or_fits_the_message() {
        let simple = contour(&circle(2000, 100.0, 0.0));
        assert_eq!(simple, simplified(&circle(2000, 100.0, 0.0), TOLERANCE_PX));
        assert!((16..100).contains(&simple.len()), "{}", simple.len());
        let simple = contour(&circle(6000, 400.0, 100.0));
        assert!((3..=MAX_CONTOUR_POINTS).contains(&simple.len()), "{}", simple.len());
    }
}
