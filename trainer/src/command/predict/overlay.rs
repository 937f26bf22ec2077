//! Overlay: the frame with the outline of the mask and the prompts.

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use medsa_frames::Frame;
use medsa_sam::image::Geometry;
use medsa_sam::prompt::{BoxXyxy, Point};
use ndarray::{Array2, ArrayView2};

/// Longest side up to which small frames are enlarged, by a whole number.
const SIDE_PX: u32 = 640;

const FOUND: [u8; 3] = [255, 165, 0];
const FILL: f32 = 0.2;
const DARK: [u8; 3] = [0; 3];
const WHITE: [u8; 3] = [255; 3];
const ARM_PX: i64 = 7;

/// Draws the mask with the given logits `[h, w]`, and the prompts, on a frame of `geometry`.
pub fn draw(
    frame: &Frame,
    logits: ArrayView2<f32>,
    geometry: Geometry,
    points: &[Point],
    bbox: Option<BoxXyxy>,
) -> RgbImage {
    let (width, height) = (frame.width, frame.height);
    let image = RgbImage::from_raw(width, height, frame.rgb.clone());
    let image = image.expect("a decoded frame is whole");
    let scale = SIDE_PX.div_ceil(width.max(height)).max(1);
    let (width, height) = (width * scale, height * scale);
    let mut canvas = Canvas(imageops::resize(&image, width, height, FilterType::CatmullRom));
    // Interpolated to the size of the image, so that outlines of small frames are smooth.
    let enlarged = Geometry { frame: (width as usize, height as usize), ..geometry };
    canvas.mask(&enlarged.mask_in_frame(logits));
    if let Some(bbox) = bbox {
        canvas.frame(bbox.map(|side| (side * scale as f32).round() as i64));
    }
    for point in points {
        // A click names the centre of a pixel.
        let [x, y] = [point.x, point.y].map(|c| ((c + 0.5) * scale as f32) as i64);
        canvas.click([x, y], point.positive);
    }
    canvas.0
}

struct Canvas(RgbImage);

impl Canvas {
    fn mask(&mut self, mask: &Array2<bool>) {
        let inside = |x: i64, y: i64| {
            let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return false };
            mask.get([y, x]).copied().unwrap_or(false)
        };
        let (width, height) = (i64::from(self.0.width()), i64::from(self.0.height()));
        for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
            if !inside(x, y) {
                continue;
            }
            let around = [(-2, 0), (2, 0), (0, -2), (0, 2), (-1, -1), (1, -1), (-1, 1), (1, 1)];
            let edge = around.iter().any(|(dx, dy)| !inside(x + dx, y + dy));
            self.blend(x, y, FOUND, if edge { 1.0 } else { FILL });
        }
    }

    /// Draws a box, white with a dark rim.
    fn frame(&mut self, [x0, y0, x1, y1]: [i64; 4]) {
        for (reach, colour) in [(1, DARK), (0, WHITE)] {
            for y in [y0, y1] {
                self.fill([x0 - reach, y - reach, x1 + reach, y + reach], colour);
            }
            for x in [x0, x1] {
                self.fill([x - reach, y0 - reach, x + reach, y1 + reach], colour);
            }
        }
    }

    /// Draws a plus or minus, white with a dark rim.
    fn click(&mut self, [x, y]: [i64; 2], positive: bool) {
        for (reach, colour) in [(3, DARK), (1, WHITE)] {
            let arm = ARM_PX + reach;
            self.fill([x - arm, y - reach, x + arm, y + reach], colour);
            if positive {
                self.fill([x - reach, y - arm, x + reach, y + arm], colour);
            }
        }
        if positive {
            // The dark rim of one arm covers part of the other.
            self.fill([x - ARM_PX, y - 1, x + ARM_PX, y + 1], WHITE);
        }
    }

    /// Fills the pixels from the first corner to the second, both included.
    fn fill(&mut self, [x0, y0, x1, y1]: [i64; 4], colour: [u8; 3]) {
        for y in y0..=y1 {
            for x in x0..=x1 {
                self.blend(x, y, colour, 1.0);
            }
        }
    }

    /// Mixes a colour into one pixel; ignores positions outside the image.
    fn blend(&mut self, x: i64, y: i64, colour: [u8; 3], strength: f32) {
        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
        let Some(Rgb(pixel)) = self.0.get_pixel_mut_checked(x, y) else { return };
        for (old, new) in pixel.iter_mut().zip(colour) {
            let mixed = f32::from(*old) * (1.0 - strength) + f32::from(new) * strength;
            *old = mixed.round() as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(width: u32, height: u32) -> Frame {
        let rgb = vec![100; (width * height * 3) as usize];
        Frame { width, height, rgb, pixel_spacing_mm: None }
    }

    #[test]
    fn mask_is_filled_and_outlined() {
        let left = Array2::from_shape_fn((64, 64), |(_, x)| if x < 32 { 1.0 } else { -1.0 });
        let geometry = Geometry::new((40, 20), 64);
        let image = draw(&frame(40, 20), left.view(), geometry, &[], None);
        assert_eq!(image.dimensions(), (640, 320));
        assert_eq!(image.get_pixel(319, 160).0, FOUND);
        assert_eq!(image.get_pixel(320, 160).0, [100; 3]);
        let filled = image.get_pixel(160, 160).0;
        assert!(filled[0] > 100 && filled[2] < 100, "{filled:?}");
    }

    #[test]
    fn prompts_are_drawn_in_frame_pixels_up_to_the_border() {
        let (nothing, geometry) =
            (Array2::from_elem((64, 64), -1.0), Geometry::new((700, 1000), 64));
        let click = |x, y, positive| Point { x, y, positive };
        let points = [click(50.0, 60.0, true), click(0.0, 999.0, false), click(700.0, 0.0, true)];
        let bbox = Some([100.0, 200.0, 700.0, 1000.0]);
        let image = draw(&frame(700, 1000), nothing.view(), geometry, &points, bbox);
        assert_eq!(image.dimensions(), (700, 1000));
        for (x, y) in [(50, 60), (50, 55), (45, 60), (3, 999), (100, 500), (400, 200)] {
            assert_eq!(image.get_pixel(x, y).0, WHITE, "{x}, {y}");
        }
        assert_eq!(image.get_pixel(300, 500).0, [100; 3]);
    }
}
