//! Boxes around a mask: tight ones, and random ones with a given overlap.

use medsa_sam::prompt::BoxXyxy;
use ndarray::ArrayView2;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::region::extent;

/// The smallest box `[x0, y0, x1, y1]` that contains the mask, with edges between pixels; `None`
/// for an empty mask.
pub fn tight_box(mask: ArrayView2<bool>) -> Option<BoxXyxy> {
    let (rows, columns) = extent(mask)?;
    Some([columns.start, rows.start, columns.end, rows.end].map(|edge| edge as f32))
}

/// A random box inside the image whose IoU with the tight box is at least `min_iou`; `None` for an
/// empty mask.
///
/// The box is drawn in two steps, so that boxes of the whole range of IoU occur. First an IoU is
/// drawn, uniformly between `min_iou` and 1. Then the directions of the four edges are drawn, each
/// uniformly in proportion to the side, and the edges move together until the box has that IoU. If
/// the border of the image prevents this, other directions are drawn, up to eight times.
///
/// # Panics
/// If `min_iou` is not above 0 and at most 1.
pub fn jittered_box(rng: &mut ChaCha8Rng, mask: ArrayView2<bool>, min_iou: f64) -> Option<BoxXyxy> {
    assert!(min_iou > 0.0 && min_iou <= 1.0, "IoU {min_iou}, expected above 0 and at most 1");
    let tight = tight_box(mask)?;
    let (height, width) = mask.dim();
    let wanted = rng.random_range(min_iou..=1.0);
    let mut best = tight;
    for _ in 0..8 {
        let jitter = Jitter::draw(rng, tight, (width as f32, height as f32));
        let found = jitter.farthest(wanted);
        if iou(found, tight) < iou(best, tight) {
            best = found;
        }
        if iou(best, tight) <= wanted + 0.01 {
            break;
        }
    }
    Some(best)
}

/// A box with moving edges.
struct Jitter {
    tight: BoxXyxy,
    /// Movement of each edge per unit, in pixels; the fastest edge moves by a whole side.
    step: [f64; 4],
    /// Width and height of the image.
    limit: (f32, f32),
}

impl Jitter {
    fn draw(rng: &mut ChaCha8Rng, tight: BoxXyxy, limit: (f32, f32)) -> Self {
        let directions: [f64; 4] = std::array::from_fn(|_| rng.random_range(-1.0..=1.0));
        let longest = directions.iter().fold(1e-3f64, |most, d| most.max(d.abs()));
        let [x0, y0, x1, y1] = tight.map(f64::from);
        let (w, h) = (x1 - x0, y1 - y0);
        let [a, b, c, d] = directions.map(|d| d / longest);
        Self { tight, step: [a * w, b * h, c * w, d * h], limit }
    }

    /// The box after a movement of `way` units, clipped to the image.
    fn at(&self, way: f64) -> BoxXyxy {
        std::array::from_fn(|edge| {
            let limit = if edge % 2 == 0 { self.limit.0 } else { self.limit.1 };
            (self.tight[edge] + (way * self.step[edge]) as f32).clamp(0.0, limit)
        })
    }

    /// The farthest box whose IoU is at least `wanted`. The IoU decreases monotonically with the
    /// movement, because both the lost and the added area grow relative to the kept area.
    fn farthest(&self, wanted: f64) -> BoxXyxy {
        // One edge moves by a whole side per unit, so the IoU here is at most 1 / (1 + way).
        let (mut near, mut far) = (0.0, 1.0 / wanted);
        for _ in 0..40 {
            let way = (near + far) / 2.0;
            if iou(self.at(way), self.tight) >= wanted {
                near = way;
            } else {
                far = way;
            }
        }
        self.at(near)
    }
}

/// IoU of two boxes; 0 for an inverted box.
fn iou(a: BoxXyxy, b: BoxXyxy) -> f64 {
    let area = |[x0, y0, x1, y1]: [f64; 4]| (x1 - x0).max(0.0) * (y1 - y0).max(0.0);
    let (a, b) = (a.map(f64::from), b.map(f64::from));
    if a[2] <= a[0] || a[3] <= a[1] {
        return 0.0;
    }
    let both = area([a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
    both / (area(a) + area(b) - both)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn tight_box_has_its_edges_between_pixels() {
        let mask = Array2::from_shape_fn((20, 30), |(y, x)| (4..9).contains(&y) && x == 7);
        assert_eq!(tight_box(mask.view()), Some([7.0, 4.0, 8.0, 9.0]));
        let empty = Array2::from_elem((20, 30), false);
        assert_eq!(tight_box(empty.view()), None);
        assert_eq!(jittered_box(&mut ChaCha8Rng::seed_from_u64(0), empty.view(), 0.5), None);
    }

    /// Random rectangles in random images, including single pixels and whole images.
    #[test]
    fn jittered_boxes_overlap_enough_and_stay_inside() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for round in 0..3000 {
            let (height, width) = (rng.random_range(1..50), rng.random_range(1..50));
            let (y0, x0) = (rng.random_range(0..height), rng.random_range(0..width));
            let (y1, x1) = (rng.random_range(y0..height), rng.random_range(x0..width));
            let mask = Array2::from_shape_fn((height, width), |(y, x)| {
                round % 10 == 0 || ((y0..=y1).contains(&y) && (x0..=x1).contains(&x))
            });
            let min_iou = [0.5, 0.75, 1.0, 0.1][round % 4];
            let tight = tight_box(mask.view()).unwrap();
            let found = jittered_box(&mut rng, mask.view(), min_iou).unwrap();
            assert!(iou(found, tight) >= min_iou, "{found:?} around {tight:?}");
            let prompt = medsa_sam::prompt::Prompt::new(vec![], Some(found), (width, height));
            assert!(prompt.is_ok(), "{found:?} in {width} x {height}");
        }
    }

    #[test]
    fn jittered_boxes_spread_over_the_allowed_range() {
        let mask = Array2::from_shape_fn((200, 300), |(y, x)| {
            (80..120).contains(&y) && (100..180).contains(&x)
        });
        let tight = tight_box(mask.view()).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut fifths = [0; 5];
        let (mut larger, mut smaller) = (0, 0);
        for _ in 0..2000 {
            let found = jittered_box(&mut rng, mask.view(), 0.5).unwrap();
            fifths[(((iou(found, tight) - 0.5) * 10.0) as usize).min(4)] += 1;
            larger += usize::from(found[2] - found[0] > 80.0);
            smaller += usize::from(found[2] - found[0] < 80.0);
        }
        // 400 are expected in each fifth; four standard deviations are 72.
        assert!(fifths.iter().all(|count| (328..472).contains(count)), "{fifths:?}");
        assert!(larger > 500 && smaller > 500, "{larger} wider, {smaller} narrower");
    }

    #[test]
    fn mask_that_fills_the_image_still_gets_loose_boxes() {
        let mask = Array2::from_elem((40, 40), true);
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let loose = (0..200)
            .filter_map(|_| jittered_box(&mut rng, mask.view(), 0.5))
            .filter(|found| iou(*found, [0.0, 0.0, 40.0, 40.0]) < 0.75);
        assert!(loose.count() > 60);
    }
}
