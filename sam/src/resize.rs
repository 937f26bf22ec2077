//! Bilinear resizing with antialiasing, equal bit for bit to Pillow's `Image.BILINEAR`, with which
//! the reference tensors and most training pipelines were made.
//!
//! The resizing has two passes, first horizontal, then vertical. Each works on 8-bit values with
//! 22-bit fixed-point weights of a triangle filter whose width grows with the reduction.

use crate::rgb::RgbView;

const PRECISION_BITS: u32 = 22;

/// Resizes a frame to `width` x `height`, both at least 1; the result is `[height, width, 3]`.
pub fn resize_bilinear_u8(frame: RgbView, width: usize, height: usize) -> Vec<u8> {
    let (frame_w, frame_h) = frame.size();
    let columns = filter(frame_w, width);
    let mut wide = vec![0u8; frame_h * width * 3];
    let rows = frame.data().chunks_exact(frame_w * 3).zip(wide.chunks_exact_mut(width * 3));
    for (source, target) in rows {
        for (tap, pixel) in columns.iter().zip(target.chunks_exact_mut(3)) {
            for (channel, out) in pixel.iter_mut().enumerate() {
                let values = source[tap.first * 3 + channel..].iter().step_by(3);
                *out = tap.apply(values.copied());
            }
        }
    }
    let stride = width * 3;
    let mut resized = vec![0u8; height * stride];
    for (tap, target) in filter(frame_h, height).iter().zip(resized.chunks_exact_mut(stride)) {
        for (x, out) in target.iter_mut().enumerate() {
            let values = wide[tap.first * stride + x..].iter().step_by(stride);
            *out = tap.apply(values.copied());
        }
    }
    resized
}

/// Source values and weights of one output value.
struct Tap {
    first: usize,
    /// Fixed-point weights that sum to about `1 << PRECISION_BITS`.
    weights: Vec<i32>,
}

impl Tap {
    fn apply(&self, values: impl Iterator<Item = u8>) -> u8 {
        let half = 1i32 << (PRECISION_BITS - 1);
        let sum = self
            .weights
            .iter()
            .zip(values)
            .fold(half, |sum, (&weight, value)| sum + weight * i32::from(value));
        (sum >> PRECISION_BITS).clamp(0, 255) as u8
    }
}

fn filter(source: usize, target: usize) -> Vec<Tap> {
    let scale = source as f64 / target as f64;
    let support = scale.max(1.0);
    (0..target)
        .map(|position| {
            let center = (position as f64 + 0.5) * scale;
            let first = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(source);
            let weights: Vec<f64> = (first..end)
                .map(|x| (1.0 - ((x as f64 - center + 0.5) / support).abs()).max(0.0))
                .collect();
            let sum: f64 = weights.iter().sum();
            let fixed = |w: &f64| (w / sum * f64::from(1 << PRECISION_BITS)).round() as i32;
            Tap { first, weights: weights.iter().map(fixed).collect() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resizing_to_the_same_size_changes_nothing() {
        let pixels: Vec<u8> = (0..5 * 4 * 3).map(|v| (v * 37 % 256) as u8).collect();
        let frame = RgbView::new(5, 4, &pixels).unwrap();
        assert_eq!(resize_bilinear_u8(frame, 5, 4), pixels);
    }

    #[test]
    fn halving_averages_with_a_triangle() {
        // Weights 1 3 3 1 over four neighbours, cut off and renormalized at the border.
        let pixels: Vec<u8> = [0u8, 0, 80, 80].iter().flat_map(|&v| [v; 3]).collect();
        let frame = RgbView::new(4, 1, &pixels).unwrap();
        assert_eq!(resize_bilinear_u8(frame, 2, 1), [11, 11, 11, 69, 69, 69]);
    }
}
