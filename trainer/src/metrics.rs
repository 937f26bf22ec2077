//! Metrics of masks, and confidence intervals of their means.

use ndarray::{Array2, ArrayView2, Zip};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::region::{crop, extent, squared_distance};

/// Scores of a mask against the ground truth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// `2 |A and B| / (|A| + |B|)`; 1 for two empty masks.
    pub dice: f64,
    /// `|A and B| / |A or B|`; 1 for two empty masks.
    pub iou: f64,
    /// 95th percentile of the distances from each outline to the other, both directions together,
    /// in pixels (like MedPy's `hd95`). 0 for two empty masks; the image's diagonal if only one is
    /// empty.
    pub hd95_px: f64,
    /// Normalized surface Dice at a tolerance of 2 px (Nikolov et al. 2018, arXiv:1809.04430):
    /// share of the pixels of both outlines that lie within 2 px of the other outline. 1 for two
    /// empty masks; 0 if only one is empty.
    pub nsd_2px: f64,
}

/// Tolerance of the normalized surface Dice, in pixels.
const TOLERANCE_PX: f32 = 2.0;

impl Scores {
    /// Compares the mask `found` with `truth`, both `[H, W]`.
    ///
    /// # Panics
    /// If the shapes differ.
    pub fn new(found: ArrayView2<bool>, truth: ArrayView2<bool>) -> Self {
        let [a, b, both] = areas(found, truth);
        if a + b == 0.0 {
            return Self { dice: 1.0, iou: 1.0, hd95_px: 0.0, nsd_2px: 1.0 };
        }
        let (dice, iou) = (2.0 * both / (a + b), both / (a + b - both));
        if a == 0.0 || b == 0.0 {
            let (height, width) = found.dim();
            let hd95_px = (height as f64).hypot(width as f64);
            return Self { dice, iou, hd95_px, nsd_2px: 0.0 };
        }
        let mut squared = outline_distances(found, truth);
        let near = squared.iter().filter(|&&d| d <= TOLERANCE_PX * TOLERANCE_PX).count();
        let nsd_2px = near as f64 / squared.len() as f64;
        Self { dice, iou, hd95_px: hd95(&mut squared), nsd_2px }
    }
}

/// Intersection over union of two masks `[H, W]`; 1 for two empty ones.
///
/// # Panics
/// If the shapes differ.
pub fn iou(first: ArrayView2<bool>, second: ArrayView2<bool>) -> f64 {
    let [a, b, both] = areas(first, second);
    if a + b == 0.0 { 1.0 } else { both / (a + b - both) }
}

/// Areas of two masks and of their intersection, in pixels.
fn areas(first: ArrayView2<bool>, second: ArrayView2<bool>) -> [f64; 3] {
    assert_eq!(first.dim(), second.dim(), "masks of one image");
    let mut areas = [0u64; 3];
    Zip::from(first).and(second).for_each(|&first, &second| {
        areas[0] += u64::from(first);
        areas[1] += u64::from(second);
        areas[2] += u64::from(first && second);
    });
    areas.map(|area| area as f64)
}

/// A mean with its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Number of values.
    pub count: usize,
}

impl Mean {
    /// Mean of `values` with a percentile bootstrap interval from 1,000 resamples. The same values
    /// give the same interval.
    ///
    /// # Panics
    /// If there are no values.
    pub fn bootstrap(values: &[f64]) -> Self {
        const RESAMPLES: usize = 1000;
        assert!(!values.is_empty(), "a mean of nothing");
        let count = values.len();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut means: Vec<f64> = (0..RESAMPLES)
            .map(|_| {
                let sum: f64 = (0..count).map(|_| values[rng.random_range(0..count)]).sum();
                sum / count as f64
            })
            .collect();
        means.sort_by(f64::total_cmp);
        Self {
            mean: values.iter().sum::<f64>() / count as f64,
            low: percentile(&means, 0.025),
            high: percentile(&means, 0.975),
            count,
        }
    }
}

/// Squared distances of the pixels of each outline to the other outline, both directions together.
/// Neither mask may be empty.
fn outline_distances(a: ArrayView2<bool>, b: ArrayView2<bool>) -> Vec<f32> {
    // Cropping to the part that contains both masks does not change the distances.
    let either = Zip::from(a).and(b).map_collect(|&a, &b| a || b);
    let (rows, columns) = extent(either.view()).expect("the caller compares masks with pixels");
    let a = outline(crop(a, rows.clone(), columns.clone()));
    let b = outline(crop(b, rows, columns));
    let mut squared = Vec::new();
    for (from, to) in [(&a, &b), (&b, &a)] {
        let distance = squared_distance(to.view());
        squared.extend(from.iter().zip(&distance).filter(|(on, _)| **on).map(|(_, &d)| d));
    }
    squared
}

/// HD95 from the squared distances of the outlines, which it reorders.
fn hd95(squared: &mut [f32]) -> f64 {
    // Only the two values around the percentile have to be in order.
    let (below, share) = position(squared.len(), 0.95);
    let (_, low, above) = squared.select_nth_unstable_by(below, f32::total_cmp);
    let low = f64::from(*low).sqrt();
    let next = above.iter().copied().min_by(f32::total_cmp).map_or(low, |d| f64::from(d).sqrt());
    low + (next - low) * share
}

/// Pixels of the mask at the image's border or with one of four neighbours outside the mask.
fn outline(mask: ArrayView2<bool>) -> Array2<bool> {
    let (height, width) = mask.dim();
    let inside = |y: Option<usize>, x: Option<usize>| {
        let (Some(y), Some(x)) = (y, x) else { return false };
        y < height && x < width && mask[(y, x)]
    };
    Array2::from_shape_fn((height, width), |(y, x)| {
        mask[(y, x)]
            && !(inside(y.checked_sub(1), Some(x))
                && inside(Some(y + 1), Some(x))
                && inside(Some(y), x.checked_sub(1))
                && inside(Some(y), Some(x + 1)))
    })
}

/// Percentile of `sorted` by linear interpolation between the two nearest values.
fn percentile(sorted: &[f64], at: f64) -> f64 {
    let (below, share) = position(sorted.len(), at);
    let low = sorted[below];
    low + (sorted[(below + 1).min(sorted.len() - 1)] - low) * share
}

/// Position of percentile `at` in `count` values: the index below it, and the fraction towards the
/// next.
fn position(count: usize, at: f64) -> (usize, f64) {
    let position = at * (count - 1) as f64;
    (position as usize, position.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(at: usize, side: usize) -> Array2<bool> {
        let range = at..at + side;
        Array2::from_shape_fn((32, 32), |(y, x)| range.contains(&y) && range.contains(&x))
    }

    #[test]
    fn shifted_square_has_the_counted_overlap() {
        let scores = Scores::new(square(4, 10).view(), square(6, 10).view());
        assert_eq!(scores.dice, 2.0 * 64.0 / 200.0);
        assert_eq!(scores.iou, 64.0 / 136.0);
        assert!(scores.hd95_px >= 2.0 && scores.hd95_px <= 8f64.sqrt(), "{scores:?}");
    }

    #[test]
    fn empty_masks_have_defined_scores() {
        let (empty, full) = (square(0, 0), square(0, 32));
        let both = Scores::new(empty.view(), empty.view());
        assert_eq!(both, Scores { dice: 1.0, iou: 1.0, hd95_px: 0.0, nsd_2px: 1.0 });
        let one = Scores::new(empty.view(), full.view());
        let hd95_px = 32f64.hypot(32.0);
        assert_eq!(one, Scores { dice: 0.0, iou: 0.0, hd95_px, nsd_2px: 0.0 });
    }

    #[test]
    fn outline_scores_equal_their_definitions_at_any_position() {
        let disc = |cy: i32, cx: i32, radius: i32| {
            Array2::from_shape_fn((60, 70), |(y, x)| {
                (y as i32 - cy).pow(2) + (x as i32 - cx).pow(2) <= radius * radius
            })
        };
        for (a, b) in [
            (disc(20, 20, 9), disc(24, 29, 12)),
            (disc(0, 0, 7), disc(59, 69, 5)),
            (disc(30, 35, 60), disc(30, 35, 3)),
            (disc(30, 35, 20), disc(31, 34, 21)),
            (disc(52, 3, 9), disc(50, 2, 11)),
        ] {
            let found = Scores::new(a.view(), b.view());
            let distances = distances_by_definition(&a, &b);
            assert_eq!(found.hd95_px, percentile(&distances, 0.95));
            let near = distances.iter().filter(|&&px| px <= 2.0).count();
            assert_eq!(found.nsd_2px, near as f64 / distances.len() as f64);
        }
    }

    #[test]
    fn outline_within_two_pixels_counts_as_equal() {
        let moved =
            |by: usize| Scores::new(square(4, 10).view(), square(4 + by, 10).view()).nsd_2px;
        assert_eq!((moved(0), moved(1)), (1.0, 1.0));
        // Two pixels down and right: of each outline's 36 pixels, a corner is 2.8 px away, and its
        // two neighbours are 2.2 px away.
        assert_eq!(moved(2), 66.0 / 72.0);
        assert!(moved(3) < 0.5, "{}", moved(3));
    }

    #[test]
    fn interval_contains_the_mean_and_shrinks_with_more_values() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i * 37 % 100) / 100.0).collect();
        let (few, many) = (Mean::bootstrap(&values[..25]), Mean::bootstrap(&values));
        assert!(many.low < many.mean && many.mean < many.high);
        assert!(many.high - many.low < (few.high - few.low) / 2.0);
        assert_eq!(many, Mean::bootstrap(&values));
    }

    /// Distances of each outline's pixels to the other outline, sorted.
    fn distances_by_definition(a: &Array2<bool>, b: &Array2<bool>) -> Vec<f64> {
        let points = |mask: &Array2<bool>| -> Vec<(usize, usize)> {
            let on = outline(mask.view());
            on.indexed_iter().filter(|(_, on)| **on).map(|(at, _)| at).collect()
        };
        let (a, b) = (points(a), points(b));
        let nearest = |from: &[(usize, usize)], to: &[(usize, usize)]| -> Vec<f64> {
            let squared = |p: &(usize, usize), q: &(usize, usize)| {
                p.0.abs_diff(q.0).pow(2) + p.1.abs_diff(q.1).pow(2)
            };
            from.iter().map(|p| to.iter().map(|q| squared(p, q)).min().unwrap() as f64).collect()
        };
        let mut distances = [nearest(&a, &b), nearest(&b, &a)].concat();
        distances.iter_mut().for_each(|squared| *squared = squared.sqrt());
        distances.sort_by(f64::total_cmp);
        distances
    }
}
