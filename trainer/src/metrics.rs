//! How good a mask is, and how sure a mean is.

use ndarray::{Array2, ArrayView2};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::region::squared_distance;

/// Scores of one mask against the truth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// `2 |A and B| / (|A| + |B|)`; 1 for two empty masks.
    pub dice: f64,
    /// `|A and B| / |A or B|`; 1 for two empty masks.
    pub iou: f64,
    /// 95th percentile of the distances between the two outlines, in pixels; 0 for two empty
    /// masks, the picture's diagonal if only one is empty.
    pub hd95_px: f64,
}

impl Scores {
    /// Compares `found` with `truth`, both `[H, W]`.
    ///
    /// # Panics
    /// If the shapes differ.
    pub fn new(found: ArrayView2<bool>, truth: ArrayView2<bool>) -> Self {
        assert_eq!(found.dim(), truth.dim(), "masks of one picture");
        let count = |mask: ArrayView2<bool>| mask.iter().filter(|&&p| p).count() as f64;
        let (a, b) = (count(found), count(truth));
        let both = found.iter().zip(truth).filter(|&(&a, &b)| a && b).count() as f64;
        if a + b == 0.0 {
            return Self { dice: 1.0, iou: 1.0, hd95_px: 0.0 };
        }
        let (dice, iou) = (2.0 * both / (a + b), both / (a + b - both));
        let hd95_px = if a == 0.0 || b == 0.0 {
            let (height, width) = found.dim();
            (height as f64).hypot(width as f64)
        } else {
            hd95(found, truth)
        };
        Self { dice, iou, hd95_px }
    }
}

/// A mean with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Values.
    pub count: usize,
}

impl Mean {
    /// The mean of `values` with a percentile bootstrap interval of 1,000 resamples, the same
    /// every time.
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

fn hd95(a: ArrayView2<bool>, b: ArrayView2<bool>) -> f64 {
    let (a, b) = (outline(a), outline(b));
    let directed = |from: &Array2<bool>, to: &Array2<bool>| -> Vec<f64> {
        let squared = squared_distance(to.view());
        let pixels = from.iter().zip(&squared).filter(|(on, _)| **on);
        pixels.map(|(_, &squared)| f64::from(squared).sqrt()).collect()
    };
    let mut distances = directed(&a, &b);
    distances.extend(directed(&b, &a));
    distances.sort_by(f64::total_cmp);
    percentile(&distances, 0.95)
}

/// Pixels of the mask with a neighbour (of four) outside it, or at the border.
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

/// Linear interpolation between the two nearest of `sorted`.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let position = share * (sorted.len() - 1) as f64;
    let below = position.floor();
    let (low, high) = (sorted[below as usize], sorted[position.ceil() as usize]);
    low + (high - low) * (position - below)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(at: usize, side: usize) -> Array2<bool> {
        let range = at..at + side;
        Array2::from_shape_fn((32, 32), |(y, x)| range.contains(&y) && range.contains(&x))
    }

    #[test]
    fn a_shifted_square_has_the_overlap_one_can_count() {
        let scores = Scores::new(square(4, 10).view(), square(6, 10).view());
        assert_eq!(scores.dice, 2.0 * 64.0 / 200.0);
        assert_eq!(scores.iou, 64.0 / 136.0);
        assert!(scores.hd95_px >= 2.0 && scores.hd95_px <= 8f64.sqrt(), "{scores:?}");
    }

    #[test]
    fn empty_masks_have_a_meaning() {
        let (empty, full) = (square(0, 0), square(0, 32));
        let both = Scores::new(empty.view(), empty.view());
        assert_eq!(both, Scores { dice: 1.0, iou: 1.0, hd95_px: 0.0 });
        let one = Scores::new(empty.view(), full.view());
        assert_eq!(one, Scores { dice: 0.0, iou: 0.0, hd95_px: 32f64.hypot(32.0) });
    }

    #[test]
    fn the_interval_holds_the_mean_and_shrinks_with_more_values() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i * 37 % 100) / 100.0).collect();
        let (few, many) = (Mean::bootstrap(&values[..25]), Mean::bootstrap(&values));
        assert!(many.low < many.mean && many.mean < many.high);
        assert!(many.high - many.low < (few.high - few.low) / 2.0);
        assert_eq!(many, Mean::bootstrap(&values));
    }
}
