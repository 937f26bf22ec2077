//! Outlines of masks: closed polygons through the zeros of the logits, between pixels.

use ndarray::ArrayView2;

use super::parts::{Part, Parts, Side};

/// A closed polygon `[x, y]`, in pixels; (0, 0) is the centre of the top left pixel, and the first
/// point is not repeated.
pub type Ring = Vec<[f32; 2]>;

/// Outward directions of a pixel's sides, clockwise on the screen, starting at the top.
const OUTWARD: [[isize; 2]; 4] = [[0, -1], [1, 0], [0, 1], [-1, 0]];

/// Outlines of all parts of `logits` `[H, W]`, clockwise, and of their holes, counterclockwise.
pub fn rings(logits: ArrayView2<f32>) -> Vec<Ring> {
    let parts = Parts::of(logits, Side::Inside);
    let mut rings: Vec<Ring> = parts.all().iter().map(|part| outer_ring(logits, part)).collect();
    let outside = Parts::of(logits, Side::Outside);
    // The cell above the first of a hole is inside; its lower side is on the outline.
    let holes = outside.all().iter().filter(|part| !part.at_border).map(|hole| hole.first);
    rings.extend(holes.map(|[x, y]| trace(logits, [x, y - 1], 2)));
    rings
}

/// Outer outline of one part of `logits` `[H, W]`, clockwise.
pub fn outer_ring(logits: ArrayView2<f32>, part: &Part) -> Ring {
    trace(logits, part.first, 0)
}

/// Follows an outline with the part to its right. It begins at side `side` of pixel `first`, and
/// has one point for every side that an inside pixel shares with an outside one: the interpolated
/// zero of the logits between their centres. Beyond the frame, the logit is that of the border
/// pixel with opposite sign.
fn trace(logits: ArrayView2<f32>, first: [usize; 2], side: usize) -> Ring {
    let at = |[x, y]: [isize; 2]| {
        let [x, y] = [usize::try_from(x).ok()?, usize::try_from(y).ok()?];
        logits.get([y, x]).copied()
    };
    let inside = |pixel| at(pixel).is_some_and(|logit| logit > 0.0);
    let start = (first.map(|side| side as isize), side);
    let mut outline = Vec::new();
    let (mut pixel, mut side) = start;
    loop {
        let outward = OUTWARD[side];
        // A logit that is not finite counts as far outside.
        let share = match (at(pixel), at(add(pixel, outward))) {
            (Some(inner), Some(outer)) if outer.is_finite() && inner.is_finite() => {
                inner / (inner - outer)
            }
            (_, Some(_)) => 0.0,
            _ => 0.5,
        };
        outline.push([0, 1].map(|axis| pixel[axis] as f32 + outward[axis] as f32 * share));
        let ahead = add(pixel, OUTWARD[(side + 1) % 4]);
        let beside = add(ahead, outward);
        (pixel, side) = match (inside(ahead), inside(beside)) {
            (true, true) => (beside, (side + 3) % 4),
            (true, false) => (ahead, side),
            (false, _) => (pixel, (side + 1) % 4),
        };
        if (pixel, side) == start {
            return outline;
        }
    }
}

/// Simplifies a closed polygon; no point of it is farther than `tolerance` from the result (Douglas
/// and Peucker, 1973).
pub fn simplified(ring: &[[f32; 2]], tolerance: f32) -> Ring {
    let Some(&start) = ring.first() else { return Vec::new() };
    // Cuts the ring at its first point and the one farthest from it.
    let distances = ring.iter().map(|&point| length(sub(point, start)));
    let (opposite, _) = farthest(distances);
    let mut kept = vec![false; ring.len()];
    kept[0] = true;
    kept[opposite] = true;
    let mut open = vec![(0, opposite), (opposite, ring.len())];
    while let Some((from, to)) = open.pop() {
        let ends = [ring[from], ring[to % ring.len()]];
        let between = ring.get(from + 1..to).unwrap_or_default();
        let (index, distance) = farthest(between.iter().map(|&point| to_segment(point, ends)));
        if distance > tolerance {
            let middle = from + 1 + index;
            kept[middle] = true;
            open.extend([(from, middle), (middle, to)]);
        }
    }
    ring.iter().zip(kept).filter_map(|(&point, kept)| kept.then_some(point)).collect()
}

/// Index and distance of the farthest point; (0, 0) if there are none.
fn farthest(distances: impl Iterator<Item = f32>) -> (usize, f32) {
    distances.enumerate().fold((0, 0.0), |a, b| if b.1 > a.1 { b } else { a })
}

/// Distance of a point from the segment between two others.
pub fn to_segment(point: [f32; 2], [a, b]: [[f32; 2]; 2]) -> f32 {
    let (along, to_point) = (sub(b, a), sub(point, a));
    let dot = |u: [f32; 2], v: [f32; 2]| u[0] * v[0] + u[1] * v[1];
    let share = (dot(to_point, along) / dot(along, along).max(f32::MIN_POSITIVE)).clamp(0.0, 1.0);
    length(sub(to_point, along.map(|side| side * share)))
}

fn sub(a: [f32; 2], b: [f32; 2]) -> [f32; 2] {
    [a[0] - b[0], a[1] - b[1]]
}

fn length([x, y]: [f32; 2]) -> f32 {
    x.hypot(y)
}

fn add(a: [isize; 2], b: [isize; 2]) -> [isize; 2] {
    [a[0] + b[0], a[1] + b[1]]
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use rand::{Rng, SeedableRng};

    use super::*;

    /// True if `polygon` contains the point: a ray to the right crosses the contour an odd number
    /// of times.
    fn holds(polygon: &[[f32; 2]], [x, y]: [f32; 2]) -> bool {
        let edges = polygon.iter().zip(polygon.iter().cycle().skip(1));
        let crossed = edges.filter(|&(a, b)| {
            (a[1] > y) != (b[1] > y) && x < a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0])
        });
        crossed.count() % 2 == 1
    }

    #[test]
    fn outlines_contain_the_centres_of_their_pixels() {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        for share in [0.45, 0.6, 0.9] {
            for _ in 0..30 {
                let (height, width) = (random.random_range(1..24), random.random_range(1..24));
                let logits = Array2::from_shape_fn((height, width), |_| {
                    share - random.random_range(0.0f32..1.0)
                });
                for part in Parts::of(logits.view(), Side::Inside).all() {
                    let outline = outer_ring(logits.view(), part);
                    // Holes are inside; pixels of other parts and of the outside are not.
                    let reached = reached_from_outside(&logits, part.first);
                    for ((y, x), &outside) in reached.indexed_iter() {
                        let held = holds(&outline, [x as f32, y as f32 + 1e-4]);
                        assert_eq!(held, !outside, "({x}, {y}) of {logits}");
                    }
                }
                // An odd number of outlines is around every pixel inside.
                let rings = rings(logits.view());
                for ((y, x), &logit) in logits.indexed_iter() {
                    let around =
                        rings.iter().filter(|ring| holds(ring, [x as f32, y as f32 + 1e-4]));
                    assert_eq!(around.count() % 2 == 1, logit > 0.0, "({x}, {y}) of {logits}");
                }
            }
        }
    }

    /// Pixels reachable from outside the frame without entering the part at `first`. Steps over
    /// corners are allowed, because pixels of a part touch by their sides.
    fn reached_from_outside(logits: &Array2<f32>, first: [usize; 2]) -> Array2<bool> {
        let mut part = Array2::from_elem(logits.dim(), false);
        let mut open = vec![first];
        while let Some([x, y]) = open.pop() {
            let Some(&logit) = logits.get([y, x]) else { continue };
            if logit > 0.0 && !std::mem::replace(&mut part[[y, x]], true) {
                open.extend([[x + 1, y], [x, y + 1]]);
                open.extend([[x.wrapping_sub(1), y], [x, y.wrapping_sub(1)]]);
            }
        }
        let (height, width) = logits.dim();
        let mut reached = Array2::from_elem((height + 2, width + 2), false);
        let mut open = vec![[0usize, 0]];
        while let Some([x, y]) = open.pop() {
            let blocked = x > 0 && y > 0 && part.get([y - 1, x - 1]) == Some(&true);
            let Some(reached) = reached.get_mut([y, x]) else { continue };
            if !blocked && !std::mem::replace(reached, true) {
                for (dx, dy) in (0..9).map(|i| (i % 3, i / 3)) {
                    open.push([(x + dx).wrapping_sub(1), (y + dy).wrapping_sub(1)]);
                }
            }
        }
        reached.slice(ndarray::s![1..=height, 1..=width]).to_owned()
    }

    #[test]
    fn outline_of_interpolated_disc_is_a_circle() {
        let disc = Array2::from_shape_fn((60, 60), |(y, x)| {
            20.0 - (x as f32 - 29.3).hypot(y as f32 - 30.6)
        });
        let outline = &rings(disc.view())[0];
        for [x, y] in outline {
            let radius = (x - 29.3).hypot(y - 30.6);
            assert!((radius - 20.0).abs() < 0.01, "{radius}");
        }
    }

    #[test]
    fn simplified_polygon_is_within_the_tolerance() {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(6);
        let ring: Ring = (0..600u16)
            .map(|i| {
                let angle = f32::from(i) / 600.0 * std::f32::consts::TAU;
                let radius = random.random_range(98.0f32..100.0);
                [radius * angle.cos(), radius * angle.sin()]
            })
            .collect();
        for tolerance in [0.1, 0.5, 3.0] {
            let simple = simplified(&ring, tolerance);
            assert!(simple.len() < ring.len());
            for &point in &ring {
                let edges = simple.iter().zip(simple.iter().cycle().skip(1));
                let distance = edges.map(|(&a, &b)| to_segment(point, [a, b]));
                let nearest = distance.fold(f32::MAX, f32::min);
                assert!(nearest <= tolerance, "{point:?} is {nearest} px away");
            }
        }
    }
}
