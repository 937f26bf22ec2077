//! Gain, colour balance, gamma, shading by depth, speckle and blur.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Photometric changes of one image.
pub(super) struct Photometry {
    /// Factor of all pixel values.
    pub(super) gain: f32,
    /// Exponent of values between 0 and 1.
    pub(super) gamma: f32,
    /// Gains at the top, at one third, at two thirds, and at the bottom.
    pub(super) depth: Option<[f32; 4]>,
    /// Standard deviation of the factor of a pixel, and the seed of the noise.
    pub(super) speckle: Option<(f32, u64)>,
    /// Factor of each channel.
    pub(super) colour: [f32; 3],
    /// Standard deviation of the blur in pixels; 0 for none.
    pub(super) blur_px: f32,
}

impl Photometry {
    /// Applies the changes to `rgb`, `[H, width, 3]`.
    pub(super) fn apply(&self, width: usize, rgb: &mut [u8]) {
        let lit = |value: usize| 255.0 * (value as f32 / 255.0).powf(self.gamma) * self.gain;
        let curves: [[f32; 256]; 3] =
            self.colour.map(|factor| std::array::from_fn(|value| lit(value) * factor));
        let height = rgb.len() / (width * 3);
        let mut speckle = self.speckle.map(|(strength, seed)| Speckle::new(width, strength, seed));
        for (y, row) in rgb.chunks_exact_mut(width * 3).enumerate() {
            let shade =
                self.depth.map_or(1.0, |gains| along(gains, y as f32 / (height - 1).max(1) as f32));
            let factors = speckle.as_mut().map(Speckle::row);
            for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
                let factor = factors.map_or(shade, |factors| shade * factors[x]);
                for (value, curve) in pixel.iter_mut().zip(&curves) {
                    // Adding 0.5 rounds, since the cast truncates; it also saturates at 255.
                    let lit = (curve[usize::from(*value)] * factor + 0.5) as u8;
                    // Pixels that are not black stay above 0, because black marks the area outside
                    // the image.
                    *value = lit.max(u8::from(*value > 0));
                }
            }
        }
        if self.blur_px > 0.0 {
            blur(width, rgb, self.blur_px);
        }
    }
}

/// Gaussian blur with a standard deviation of `sigma` pixels. The border pixels are repeated beyond
/// the border.
fn blur(width: usize, rgb: &mut [u8], sigma: f32) {
    let reach = (2.5 * sigma).ceil() as usize;
    let weight = |at: usize| (-0.5 * (at as f32 / sigma).powi(2)).exp();
    let weights: Vec<f32> = (0..=reach).map(weight).collect();
    let sum = weights[0] + 2.0 * weights[1..].iter().sum::<f32>();
    let weights: Vec<f32> = weights.iter().map(|weight| weight / sum).collect();
    let height = rgb.len() / (width * 3);
    let mut rows = vec![0.0f32; rgb.len()];
    for (out, row) in rows.chunks_exact_mut(width * 3).zip(rgb.chunks_exact(width * 3)) {
        for (i, out) in out.iter_mut().enumerate() {
            let (x, channel) = (i / 3, i % 3);
            let at = |x: usize| f32::from(row[x.min(width - 1) * 3 + channel]);
            let both = |step: usize| at(x.saturating_sub(step)) + at(x + step);
            *out = weights[0] * at(x)
                + (1..=reach).map(|step| weights[step] * both(step)).sum::<f32>();
        }
    }
    let row = |y: usize| &rows[y.min(height - 1) * width * 3..][..width * 3];
    for (y, out) in rgb.chunks_exact_mut(width * 3).enumerate() {
        let mut sums: Vec<f32> = row(y).iter().map(|value| weights[0] * value + 0.5).collect();
        for (step, weight) in weights.iter().enumerate().skip(1) {
            let (above, below) = (row(y.saturating_sub(step)), row(y + step));
            for (sum, (above, below)) in sums.iter_mut().zip(above.iter().zip(below)) {
                *sum += weight * (above + below);
            }
        }
        out.iter_mut().zip(&sums).for_each(|(value, &sum)| *value = sum as u8);
    }
}

/// Cosine interpolation of four equally spaced values; `at` is from 0 to 1.
fn along(values: [f32; 4], at: f32) -> f32 {
    let position = at * 3.0;
    let first = (position as usize).min(2);
    let way = (1.0 - ((position - first as f32) * std::f32::consts::PI).cos()) / 2.0;
    values[first] + (values[first + 1] - values[first]) * way
}

/// Speckle: random factors around 1, drawn row by row. Grains are three pixels wide, since speckle
/// is coarser across the beam than along it.
struct Speckle {
    rng: ChaCha8Rng,
    scale: f32,
    noise: Vec<f32>,
    factors: Vec<f32>,
    bytes: Vec<u8>,
}

impl Speckle {
    fn new(width: usize, strength: f32, seed: u64) -> Self {
        // Variance of the sum of 3 x 4 uniform bytes, each of which has variance (256^2 - 1) / 12.
        let scale = strength / (65535.0f32).sqrt();
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            scale,
            noise: vec![0.0; width + 2],
            factors: vec![0.0; width],
            bytes: vec![0; (width + 2) * 4],
        }
    }

    fn row(&mut self) -> &[f32] {
        self.rng.fill_bytes(&mut self.bytes);
        for (noise, bytes) in self.noise.iter_mut().zip(self.bytes.chunks_exact(4)) {
            *noise = bytes.iter().map(|&byte| f32::from(byte) - 127.5).sum();
        }
        for (factor, near) in self.factors.iter_mut().zip(self.noise.windows(3)) {
            *factor = (1.0 + self.scale * near.iter().sum::<f32>()).max(0.0);
        }
        &self.factors
    }
}
