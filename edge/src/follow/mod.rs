//! Following of structures from frame to frame at the rate of the camera, without the network.
//!
//! Points on the structure are found again by optical flow; the motion is fitted to those that
//! agree.

mod flow;
mod motion;
mod pyramid;
mod trail;

pub use motion::{Motion, Pair};
pub use pyramid::{Patch, Pyramid};
pub use trail::Trail;

/// Number of points followed per structure: enough to outvote outliers.
pub const POINTS: usize = 64;

/// Smallest share of the points that must agree on a motion.
const AGREEING: f32 = 0.35;

/// Smallest number of points that must agree.
const FEWEST: usize = 6;

/// Largest distance of an agreeing point from the fitted motion, as a share of the structure's
/// size; soft tissue deforms.
const BEND: f32 = 0.06;

/// Lower limit of that distance, in frame pixels, for small structures.
const BEND_PX: f32 = 2.0;

/// Rounds of fitting; each weighs the points by their residuals in the previous round.
const ROUNDS: usize = 6;

/// Motion of the structure under `points`, in frame pixels, from one frame to another; `None` if
/// too few points are found again or agree. `guess` is the expected motion.
pub fn follow(from: &Pyramid, to: &Pyramid, points: &[[f32; 2]], guess: &Motion) -> Option<Motion> {
    let found = |&point: &[f32; 2]| {
        flow::find(from, to, point, guess.apply(point)).map(|there| (point, there))
    };
    let pairs: Vec<_> = points.iter().filter_map(found).collect();
    let needed = FEWEST.max((AGREEING * points.len() as f32).ceil() as usize);
    if pairs.len() < needed {
        return None;
    }
    let bend_px = BEND_PX.max(BEND * spread_px(points));
    // The median shift is right as long as more than half of the points are.
    let middle = [0, 1].map(|axis| {
        let mut shifts: Vec<_> = pairs.iter().map(|(p, q)| q[axis] - p[axis]).collect();
        let middle = shifts.len() / 2;
        *shifts.select_nth_unstable_by(middle, f32::total_cmp).1
    });
    let mut motion = Motion::shift(middle);
    let astray = |motion: &Motion, (p, q): &Pair| {
        let [x, y] = motion.apply(*p);
        (x - q[0]).hypot(y - q[1])
    };
    for _ in 0..ROUNDS {
        let weight = |pair| 1.0 / (1.0 + (astray(&motion, pair) / bend_px).powi(2)).powi(2);
        let weights: Vec<_> = pairs.iter().map(weight).collect();
        motion = Motion::fit(&pairs, &weights)?;
    }
    let agreeing = pairs.iter().filter(|pair| astray(&motion, pair) <= bend_px).count();
    (agreeing >= needed).then_some(motion)
}

/// Motion of the whole image from one frame to another; `None` if it changed completely.
pub fn follow_image(from: &Pyramid, to: &Pyramid) -> Option<Motion> {
    let [width, height] = from.frame_size();
    let share = |i: usize, count: usize| (i as f32 + 0.5) / count as f32;
    let [columns, rows] = GRID;
    let points: Vec<_> = (0..columns * rows)
        .map(|i| [width * share(i % columns, columns), height * share(i / columns, rows)])
        .collect();
    follow(from, to, &points, &Motion::NONE)
}

/// Columns and rows of the points by which a whole image is followed.
const GRID: [usize; 2] = [12, 9];

/// Longer side of the bounding box of the points.
fn spread_px(points: &[[f32; 2]]) -> f32 {
    let side = |axis: usize| {
        let values = points.iter().map(|point| point[axis]);
        values.clone().fold(f32::MIN, f32::max) - values.fold(f32::MAX, f32::min)
    };
    side(0).max(side(1))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use medsa_sam::image::RgbView;

    use super::*;

    const SIDE: usize = 200;

    /// A fixed pattern of waves after `motion`.
    fn image(motion: Motion, gain: f32) -> Pyramid {
        let back = motion.inverse();
        let rgb: Vec<u8> = (0..SIDE * SIDE)
            .flat_map(|i| {
                let [x, y] = back.apply([(i % SIDE) as f32, (i / SIDE) as f32]);
                let wave = (x * 0.31).sin() * (y * 0.23).cos() + (x * 0.11 + y * 0.17).sin();
                [((128.0 + 50.0 * wave) * gain) as u8; 3]
            })
            .collect();
        Pyramid::new(RgbView::new(SIDE, SIDE, &rgb).unwrap())
    }

    fn points() -> Vec<[f32; 2]> {
        (0..POINTS).map(|i| [60.0 + (i % 8 * 10) as f32, 60.0 + (i / 8 * 10) as f32]).collect()
    }

    fn turned_by(angle: f32, scale: f32, shift: [f32; 2]) -> Motion {
        let corners = [[0.0, 0.0], [200.0, 0.0], [0.0, 200.0]];
        let pairs = corners.map(|[x, y]| {
            let (u, v) = (x - 100.0, y - 100.0);
            let turned = [u * angle.cos() - v * angle.sin(), u * angle.sin() + v * angle.cos()];
            ([x, y], [100.0 + scale * turned[0] + shift[0], 100.0 + scale * turned[1] + shift[1]])
        });
        Motion::fit(&pairs, &[1.0; 3]).unwrap()
    }

    #[test]
    fn shift_rotation_and_scale_are_found_within_half_a_pixel() {
        let still = image(Motion::NONE, 1.0);
        for (angle, scale, shift) in
            [(0.0, 1.0, [4.0, -2.5]), (0.06, 1.0, [0.0, 1.0]), (-0.03, 1.04, [2.0, 3.0])]
        {
            let expected = turned_by(angle, scale, shift);
            // Brighter, too.
            let moved = image(expected, 1.1);
            let found = follow(&still, &moved, &points(), &Motion::NONE).unwrap();
            for point in points() {
                let ([x, y], [u, v]) = (found.apply(point), expected.apply(point));
                assert!((x - u).hypot(y - v) < 0.5, "{point:?}: {x} {y}, expected {u} {v}");
            }
        }
    }

    #[test]
    fn trail_follows_points_back_through_kept_frames() {
        let trail = Trail::default();
        let at = |frame: u64| Motion::shift([3.0 * frame as f32, 0.0]);
        for frame in 0..8 {
            trail.push(10 * frame, Arc::new(image(at(frame), 1.0)));
        }
        let steps = trail.back(70, 40, &points()).unwrap();
        assert_eq!(steps.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [50, 60, 70]);
        for (_, step) in steps {
            let [x, y] = step.apply([100.0, 100.0]);
            assert!((x - 103.0).abs() < 0.2 && (y - 100.0).abs() < 0.2, "{x} {y}");
        }
        assert_eq!(trail.back(30, 30, &points()), Some(Vec::new()));
        assert_eq!(trail.back(70, 45, &points()), None);
    }

    #[test]
    fn unrelated_image_is_not_followed() {
        let still = image(Motion::NONE, 1.0);
        let rgb: Vec<u8> = (0..SIDE * SIDE * 3).map(|i| (i * i / 7 % 251) as u8).collect();
        let other = Pyramid::new(RgbView::new(SIDE, SIDE, &rgb).unwrap());
        assert_eq!(follow(&still, &other, &points(), &Motion::NONE), None);
        let flat = vec![90; SIDE * SIDE * 3];
        let flat = Pyramid::new(RgbView::new(SIDE, SIDE, &flat).unwrap());
        assert_eq!(follow(&flat, &flat, &points(), &Motion::NONE), None);
    }

    #[test]
    fn structure_that_leaves_the_frame_is_not_followed() {
        let still = image(Motion::NONE, 1.0);
        let gone = image(Motion::shift([150.0, 0.0]), 1.0);
        assert_eq!(follow(&still, &gone, &points(), &Motion::shift([150.0, 0.0])), None);
    }
}
