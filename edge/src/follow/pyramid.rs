//! Grey-value pyramid of a frame.

use medsa_sam::image::RgbView;
use ndarray::Array2;

/// Longest side of the finest level in pixels. Structures move by a few such pixels from frame to
/// frame; finer levels cost more and add little.
const LONGEST_SIDE_PX: usize = 320;

/// Shortest side of the coarsest level, in pixels.
const SHORTEST_SIDE_PX: usize = 24;

/// Largest number of levels.
const LEVELS: usize = 4;

/// Cells of a patch along each side.
const PATCH: usize = 24;

/// Part of a frame, to compare it with the same part of another.
pub struct Patch(Vec<f32>);

impl Patch {
    /// Brightness and contrast are removed: the mean is 0, and the length 1.
    fn new(mut grey: Vec<f32>) -> Option<Self> {
        let mean = grey.iter().sum::<f32>() / grey.len() as f32;
        grey.iter_mut().for_each(|value| *value -= mean);
        let length = grey.iter().map(|value| value * value).sum::<f32>().sqrt();
        grey.iter_mut().for_each(|value| *value /= length);
        (length > FLAT).then_some(Self(grey))
    }

    /// Correlation, -1 to 1.
    pub fn correlation(&self, other: &Self) -> f32 {
        self.0.iter().zip(&other.0).map(|(a, b)| a * b).sum()
    }
}

/// Length of a patch, in grey values, up to which it is flat.
const FLAT: f32 = PATCH as f32;

/// A frame in grey values 0 to 255; each level is half as wide and high as the previous one.
#[derive(Clone, Debug)]
pub struct Pyramid {
    /// Levels `[H, W]`, finest first; at least one.
    levels: Vec<Array2<u8>>,
    /// Pixels of the finest level per frame pixel.
    scale: f32,
}

impl Pyramid {
    /// Computes the pyramid of a frame.
    pub fn new(frame: RgbView) -> Self {
        let (width, height) = frame.size();
        // Averages whole blocks of pixels, which is fast.
        let block = width.max(height).div_ceil(LONGEST_SIDE_PX);
        let mut levels = vec![grey(frame, block)];
        while levels.len() < LEVELS {
            let last = &levels[levels.len() - 1];
            let (height, width) = last.dim();
            if height.min(width) / 2 < SHORTEST_SIDE_PX {
                break;
            }
            levels.push(halved(last));
        }
        Self { levels, scale: 1.0 / block as f32 }
    }

    /// Levels `[H, W]`, finest first.
    pub(super) fn levels(&self) -> &[Array2<u8>] {
        &self.levels
    }

    /// The picture within a region, `[x0, y0, x1, y1]` in frame pixels; `None` if it is flat.
    pub fn patch(&self, [x0, y0, x1, y1]: [f32; 4]) -> Option<Patch> {
        let step = [x1 - x0, y1 - y0].map(|side| side / PATCH as f32);
        // Cells of the patch are about as large as pixels of the level, so that noise averages out.
        let cell = step[0].min(step[1]) * self.scale;
        let level = (cell.max(1.0).log2().round() as usize).min(self.levels.len() - 1);
        let pixels = &self.levels[level];
        let place = |position: f32, size: usize| {
            let position = ((position + 0.5) * self.scale) / (1 << level) as f32;
            (position.max(0.0) as usize).min(size - 1)
        };
        let (height, width) = pixels.dim();
        let centre = |from: f32, step: f32, cell: usize| from + (cell as f32 + 0.5) * step;
        let columns: [usize; PATCH] =
            std::array::from_fn(|cell| place(centre(x0, step[0], cell), width));
        let rows = (0..PATCH).map(|cell| place(centre(y0, step[1], cell), height));
        let grey = rows.flat_map(|row| columns.map(|column| f32::from(pixels[[row, column]])));
        Patch::new(grey.collect())
    }

    /// Width and height of the part of the frame that the pyramid covers, in frame pixels.
    pub(super) fn frame_size(&self) -> [f32; 2] {
        let (height, width) = self.levels[0].dim();
        [width, height].map(|side| side as f32 / self.scale)
    }

    /// Converts a position in frame pixels to the finest level. (0, 0) is the centre of the first
    /// pixel in both.
    pub(super) fn position(&self, position: [f32; 2]) -> [f32; 2] {
        position.map(|p| (p + 0.5) * self.scale - 0.5)
    }

    /// Converts a position on the finest level to frame pixels.
    pub(super) fn in_frame(&self, position: [f32; 2]) -> [f32; 2] {
        position.map(|p| (p + 0.5) / self.scale - 0.5)
    }
}

/// Means of blocks of `block` x `block` pixels; incomplete blocks at the right and lower edge are
/// ignored, except in a frame smaller than a block.
fn grey(frame: RgbView, block: usize) -> Array2<u8> {
    let (width, height) = frame.size();
    let data = frame.data();
    let (columns, rows) = ((width / block).max(1), (height / block).max(1));
    let mut sums = Array2::<u32>::zeros((rows, columns));
    for (y, row) in data.chunks_exact(3 * width).take(rows * block).enumerate() {
        let mut sums = sums.row_mut(y / block);
        for (x, pixel) in row.chunks_exact(3).take(columns * block).enumerate() {
            // Weights of ITU-R BT.601, in 256ths.
            let [r, g, b] = [77u32, 150, 29];
            let grey = r * u32::from(pixel[0]) + g * u32::from(pixel[1]) + b * u32::from(pixel[2]);
            sums[x / block] += grey >> 4;
        }
    }
    let divisor = 16 * (block.min(width) * block.min(height)) as u32;
    // The mean of bytes fits a byte.
    sums.mapv(|sum| ((sum + divisor / 2) / divisor).min(255) as u8)
}

/// Half as wide and high; each pixel is the mean of four.
fn halved(level: &Array2<u8>) -> Array2<u8> {
    let (height, width) = level.dim();
    Array2::from_shape_fn((height / 2, width / 2), |(y, x)| {
        let (y, x) = (2 * y, 2 * x);
        let four = [[y, x], [y, x + 1], [y + 1, x], [y + 1, x + 1]];
        let sum: u16 = four.iter().map(|&at| u16::from(level[at])).sum();
        // The mean of bytes fits a byte.
        ((sum + 2) / 4) as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_halve_and_keep_the_mean() {
        let rgb: Vec<u8> = (0..640 * 480).flat_map(|i| [(i / 640 % 256) as u8; 3]).collect();
        let pyramid = Pyramid::new(RgbView::new(640, 480, &rgb).unwrap());
        let sizes: Vec<_> = pyramid.levels().iter().map(Array2::dim).collect();
        assert_eq!(sizes, [(240, 320), (120, 160), (60, 80), (30, 40)]);
        for level in pyramid.levels() {
            let mean = |level: &Array2<u8>| level.mapv(f32::from).mean().unwrap();
            assert!((mean(level) - mean(&pyramid.levels()[0])).abs() < 0.6);
        }
        let there = pyramid.position([100.0, 51.0]);
        assert_eq!(there, [49.75, 25.25]);
        assert_eq!(pyramid.in_frame(there), [100.0, 51.0]);
    }

    #[test]
    fn patches_of_one_place_are_alike_in_any_light() {
        let image = |shift: usize, gain: f32| {
            let rgb: Vec<u8> = (0..320 * 240)
                .flat_map(|i| {
                    let (x, y) = ((i % 320 + shift) as f32, (i / 320) as f32);
                    [(gain * (100.0 + 60.0 * (0.2 * x).sin() * (0.15 * y).cos())) as u8; 3]
                })
                .collect();
            Pyramid::new(RgbView::new(320, 240, &rgb).unwrap())
        };
        let patch = |pyramid: &Pyramid| pyramid.patch([80.0, 60.0, 180.0, 160.0]).unwrap();
        let here = patch(&image(0, 1.0));
        assert!(here.correlation(&patch(&image(0, 1.3))) > 0.999);
        assert!(here.correlation(&patch(&image(3, 1.0))) < 0.9);
        // Partly outside of the frame.
        assert!(image(0, 1.0).patch([-50.0, -50.0, 60.0, 60.0]).is_some());
        let rgb = vec![90; 320 * 240 * 3];
        let flat = Pyramid::new(RgbView::new(320, 240, &rgb).unwrap());
        assert!(flat.patch([80.0, 60.0, 180.0, 160.0]).is_none());
    }

    #[test]
    fn frames_of_any_shape_have_a_pyramid() {
        for (width, height) in [(1, 1), (1000, 1), (3, 700), (319, 321)] {
            let rgb = vec![200; width * height * 3];
            let pyramid = Pyramid::new(RgbView::new(width, height, &rgb).unwrap());
            for level in pyramid.levels() {
                assert!(level.iter().all(|&grey| grey == 200), "{width} x {height}");
            }
        }
    }
}
