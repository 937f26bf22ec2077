//! Flip, rotation, scale and translation in one affine map.

use ndarray::Array2;

use crate::data::TrainingImage;

/// Map from pixels of the result to source pixels: `source = step_x * x + step_y * y + origin`.
pub(super) struct Affine {
    step_x: [f32; 2],
    step_y: [f32; 2],
    origin: [f32; 2],
}

impl Affine {
    /// Inverse of: flip, rotate and scale about the centre, then translate by `shift`, in fractions
    /// of the sides.
    pub(super) fn new(
        image: &TrainingImage,
        flip: bool,
        rotation_rad: f32,
        scale: f32,
        shift: [f32; 2],
    ) -> Self {
        let (width, height) = (image.width as f32, image.height as f32);
        let middle = [(width - 1.0) / 2.0, (height - 1.0) / 2.0];
        let mirror = if flip { -1.0 } else { 1.0 };
        let (sin, cos) = (rotation_rad.sin() / scale, rotation_rad.cos() / scale);
        let step_x = [mirror * cos, -sin];
        let step_y = [mirror * sin, cos];
        let target = [middle[0] + shift[0] * width, middle[1] + shift[1] * height];
        let origin = std::array::from_fn(|axis| {
            middle[axis] - step_x[axis] * target[0] - step_y[axis] * target[1]
        });
        Self { step_x, step_y, origin }
    }

    /// Warps an image: colours bilinearly, classes from the nearest pixel, 0 outside the source.
    pub(super) fn apply(&self, image: &TrainingImage) -> TrainingImage {
        let (width, height) = (image.width, image.height);
        let source_classes = image.classes.as_standard_layout();
        let source_classes = source_classes.as_slice().expect("made contiguous");
        let mut rgb = vec![0; image.rgb.len()];
        let mut classes = vec![0; width * height];
        let [step_x, step_y] = self.step_x.map(fixed);
        let (end_x, end_y) = ((width as i64) << BITS, (height as i64) << BITS);
        let rows = rgb.chunks_exact_mut(width * 3).zip(classes.chunks_exact_mut(width));
        for (y, (colours, classes)) in rows.enumerate() {
            // Half a pixel more, so that truncation finds the nearest pixel.
            let [mut sx, mut sy] =
                [0, 1].map(|axis| fixed(self.step_y[axis] * y as f32 + self.origin[axis] + 0.5));
            for (colour, class) in colours.chunks_exact_mut(3).zip(classes) {
                if (0..end_x).contains(&sx) && (0..end_y).contains(&sy) {
                    *class = source_classes[(sy >> BITS) as usize * width + (sx >> BITS) as usize];
                    colour.copy_from_slice(&bilinear(image, sx - HALF, sy - HALF));
                }
                sx += step_x;
                sy += step_y;
            }
        }
        let classes = Array2::from_shape_vec((height, width), classes);
        TrainingImage { width, height, rgb, classes: classes.expect("a class for each pixel") }
    }
}

/// Fractional bits of fixed-point coordinates, which are several times faster here than float
/// coordinates converted to indices.
const BITS: u32 = 24;

/// Half a pixel, in fixed point.
const HALF: i64 = 1 << (BITS - 1);

fn fixed(value: f32) -> i64 {
    (f64::from(value) * f64::from(1u32 << BITS)).round() as i64
}

/// Interpolated colour at a fixed-point position, which may lie up to half a pixel outside the
/// image.
fn bilinear(image: &TrainingImage, x: i64, y: i64) -> [u8; 3] {
    let (width, height) = (image.width, image.height);
    let (x, y) = (x.max(0), y.max(0));
    let (x0, y0) = ((x >> BITS) as usize, (y >> BITS) as usize);
    // Eight-bit weights; a whole-number position gives exactly its pixel.
    let weight = |at: i64| ((at >> (BITS - 8)) & 255) as u32;
    let (fx, fy) = (weight(x), weight(y));
    let right = if x0 + 1 < width { 3 } else { 0 };
    let below = if y0 + 1 < height { width * 3 } else { 0 };
    let at = (y0 * width + x0) * 3;
    let top = &image.rgb[at..at + right + 3];
    let bottom = &image.rgb[at + below..at + below + right + 3];
    std::array::from_fn(|channel| {
        let mix = |row: &[u8]| {
            u32::from(row[channel]) * (256 - fx) + u32::from(row[right + channel]) * fx
        };
        ((mix(top) * (256 - fy) + mix(bottom) * fy + (1 << 15)) >> 16) as u8
    })
}
