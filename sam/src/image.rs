//! From a frame to the network's input and back: resizing, normalization, padding, and the frame's
//! geometry in the input.

use ndarray::{Array2, Array4, ArrayView2, s};
use serde::{Deserialize, Serialize};

pub use crate::resize::resize_bilinear_u8;
pub use crate::rgb::RgbView;

/// Normalization of 8-bit values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalization {
    /// `(x - min) / (max - min)` over the resized frame (LiteMedSAM).
    MinMax,
    /// ImageNet mean and standard deviation per channel (SAM, MobileSAM).
    MeanStd,
    /// `x / 255` (the released Med-SA code).
    Unit,
}

/// Fitting of a frame into the square input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// The longest side fills the input, and zeros pad the bottom and right (SAM).
    #[default]
    Pad,
    /// Both sides fill the input, without keeping the aspect ratio (the released Med-SA code).
    Stretch,
}

/// Preprocessing: resizing to the input size (bilinear with antialiasing), normalization and
/// padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// Side of the square network input, in pixels.
    pub input_size: usize,
    /// Normalization of pixel values.
    pub normalization: Normalization,
    /// Fitting of the frame into the input.
    #[serde(default)]
    pub fit: Fit,
}

impl Preprocess {
    /// Network input `[1, 3, S, S]` of a frame, and the geometry of the frame in it.
    pub fn run(&self, frame: RgbView) -> (Array4<f32>, Geometry) {
        let geometry = self.geometry(frame.size());
        let (width, height) = geometry.resized;
        let resized = resize_bilinear_u8(frame, width, height);
        let mut image = Array4::zeros((1, 3, self.input_size, self.input_size));
        let affine = self.normalization.affine(&resized);
        for (channel, (scale, shift)) in affine.into_iter().enumerate() {
            let mut plane = image.slice_mut(s![0, channel, ..height, ..width]);
            let values = resized.iter().skip(channel).step_by(3);
            for (out, &value) in plane.iter_mut().zip(values) {
                *out = (f32::from(value) - shift) / scale;
            }
        }
        (image, geometry)
    }

    /// Geometry of a frame of `frame` = (width, height) pixels in the network input.
    pub fn geometry(&self, frame: (usize, usize)) -> Geometry {
        let input_size = self.input_size;
        match self.fit {
            Fit::Pad => Geometry::new(frame, input_size),
            Fit::Stretch => Geometry { frame, resized: (input_size, input_size), input_size },
        }
    }
}

impl Normalization {
    /// Divisor and subtrahend for each channel.
    fn affine(self, pixels: &[u8]) -> [(f32, f32); 3] {
        match self {
            Self::MinMax => {
                let min = f32::from(pixels.iter().copied().min().unwrap_or(0));
                let max = f32::from(pixels.iter().copied().max().unwrap_or(0));
                // A frame of one grey level becomes all zeros.
                [((max - min).max(1e-8), min); 3]
            }
            Self::MeanStd => [(58.395, 123.675), (57.12, 116.28), (57.375, 103.53)],
            Self::Unit => [(255.0, 0.0); 3],
        }
    }
}

/// Geometry of a frame in the network's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Width and height of the frame, in its own pixels.
    pub frame: (usize, usize),
    /// Width and height of the frame after resizing, in input pixels.
    pub resized: (usize, usize),
    /// Side of the network input, in pixels.
    pub input_size: usize,
}

impl Geometry {
    /// Geometry of a frame of `frame` = (width, height) pixels whose longest side fills an input of
    /// side `input_size` px.
    pub fn new(frame: (usize, usize), input_size: usize) -> Self {
        let longest = frame.0.max(frame.1) as f64;
        let scale = input_size as f64 / longest;
        let side = |length: usize| ((length as f64 * scale + 0.5) as usize).clamp(1, input_size);
        Self { frame, resized: (side(frame.0), side(frame.1)), input_size }
    }

    /// Converts a point from frame pixels to input pixels.
    pub fn to_input(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        [
            x * self.resized.0 as f32 / self.frame.0 as f32,
            y * self.resized.1 as f32 / self.frame.1 as f32,
        ]
    }

    /// Width and height of the part of a mask of `size` = (width, height) that covers the frame
    /// without the padding.
    pub fn mask_size(&self, size: (usize, usize)) -> (usize, usize) {
        let part = |resized: usize, side: usize| (resized * side).div_ceil(self.input_size);
        (part(self.resized.0, size.0), part(self.resized.1, size.1))
    }

    /// Mask of the frame, `[H, W]` in frame pixels: [`Geometry::logits_in_frame`] `> 0`.
    pub fn mask_in_frame(&self, logits: ArrayView2<f32>) -> Array2<bool> {
        self.logits_in_frame(logits).mapv(|logit| logit > 0.0)
    }

    /// Converts a position from frame pixels to cells of a mask of `size` = (width, height). Both
    /// coordinates are 0 at the centre of the first pixel or cell.
    pub fn to_cell(&self, [x, y]: [f32; 2], size: (usize, usize)) -> [f32; 2] {
        let [along, down] = self.cells_per_pixel(size);
        [(x + 0.5) * along - 0.5, (y + 0.5) * down - 0.5]
    }

    /// Converts a position from cells of a mask of `size` = (width, height) to frame pixels.
    pub fn from_cell(&self, [x, y]: [f32; 2], size: (usize, usize)) -> [f32; 2] {
        let [along, down] = self.cells_per_pixel(size);
        [(x + 0.5) / along - 0.5, (y + 0.5) / down - 0.5]
    }

    fn cells_per_pixel(&self, (width, height): (usize, usize)) -> [f32; 2] {
        let scale = |resized: usize, frame: usize, low: usize| {
            resized as f32 / frame as f32 * low as f32 / self.input_size as f32
        };
        [scale(self.resized.0, self.frame.0, width), scale(self.resized.1, self.frame.1, height)]
    }

    /// Low-resolution logits `[h, w]` interpolated bilinearly to the frame's pixels `[H, W]`. Pixel
    /// centres are aligned, and the padding is left out.
    pub fn logits_in_frame(&self, logits: ArrayView2<f32>) -> Array2<f32> {
        let (low_h, low_w) = logits.dim();
        let (part_w, part_h) = self.mask_size((low_w, low_h));
        let [along, down] = self.cells_per_pixel((low_w, low_h));
        let columns = taps(self.frame.0, along, part_w);
        let rows = taps(self.frame.1, down, part_h);
        Array2::from_shape_fn((self.frame.1, self.frame.0), |(y, x)| {
            let (y0, y1, fy) = rows[y];
            let (x0, x1, fx) = columns[x];
            let top = logits[[y0, x0]] * (1.0 - fx) + logits[[y0, x1]] * fx;
            let bottom = logits[[y1, x0]] * (1.0 - fx) + logits[[y1, x1]] * fx;
            top * (1.0 - fy) + bottom * fy
        })
    }
}

/// For each of `frame` output positions: the two source positions, below `part`, and the weight of
/// the second.
fn taps(frame: usize, scale: f32, part: usize) -> Vec<(usize, usize, f32)> {
    (0..frame)
        .map(|position| {
            let source = ((position as f32 + 0.5) * scale - 0.5).max(0.0);
            let first = (source as usize).min(part - 1);
            (first, (first + 1).min(part - 1), source - first as f32)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_side_fills_the_input_and_the_rest_is_zero() {
        let pixels = vec![200u8; 40 * 20 * 3];
        let frame = RgbView::new(40, 20, &pixels).unwrap();
        let (normalization, fit) = (Normalization::MeanStd, Fit::Pad);
        let preprocess = Preprocess { input_size: 16, normalization, fit };
        let (image, geometry) = preprocess.run(frame);
        assert_eq!(geometry.resized, (16, 8));
        assert!(image.slice(s![.., .., 8.., ..]).iter().all(|&v| v == 0.0));
        assert!(image.slice(s![0, 0, ..8, ..]).iter().all(|&v| v == (200.0 - 123.675) / 58.395));
    }

    #[test]
    fn stretched_frame_fills_the_input_and_its_masks_keep_the_frame_aspect_ratio() {
        let pixels = vec![51u8; 40 * 20 * 3];
        let (normalization, fit) = (Normalization::Unit, Fit::Stretch);
        let preprocess = Preprocess { input_size: 16, normalization, fit };
        let (image, geometry) = preprocess.run(RgbView::new(40, 20, &pixels).unwrap());
        assert!(image.iter().all(|&v| v == 0.2));
        assert_eq!(geometry.to_input([20.0, 5.0]), [8.0, 4.0]);
        let upper = Array2::from_shape_fn((16, 16), |(y, _)| if y < 8 { 1.0 } else { -1.0 });
        let mask = geometry.mask_in_frame(upper.view());
        assert_eq!(mask.dim(), (20, 40));
        assert_eq!(mask.iter().filter(|&&inside| inside).count(), 10 * 40);
    }

    #[test]
    fn points_and_masks_use_the_same_geometry() {
        let geometry = Geometry::new((320, 240), 256);
        assert_eq!(geometry.resized, (256, 192));
        assert_eq!(geometry.to_input([160.0, 120.0]), [128.0, 96.0]);
        // A left half in the input is a left half in the frame.
        let logits = Array2::from_shape_fn((256, 256), |(_, x)| if x < 128 { 1.0 } else { -1.0 });
        let mask = geometry.mask_in_frame(logits.view());
        assert_eq!(mask.dim(), (240, 320));
        assert_eq!(mask.iter().filter(|&&inside| inside).count(), 240 * 160);
        assert!(mask[[0, 159]] && !mask[[0, 160]]);
        // The middle of the frame is the middle of its part of a mask.
        assert_eq!(geometry.to_cell([159.5, 119.5], (64, 64)), [31.5, 23.5]);
        assert_eq!(geometry.from_cell([31.5, 23.5], (64, 64)), [159.5, 119.5]);
    }
}
