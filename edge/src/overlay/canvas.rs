//! Drawing on an image: outlines, boxes, clicks and a caption, anti-aliased.

use image::{Rgb, RgbImage};
use medsa_sam::mask::{Ring, to_segment};
use ndarray::Array2;

use super::text;

const LINE_RADIUS_PX: f32 = 1.1;
/// A dark rim keeps the line visible on bright tissue.
const RIM_RADIUS_PX: f32 = 2.3;
const FILL: f32 = 0.12;
const RIM: f32 = 0.55;
const MARK_RADIUS_PX: f32 = 6.0;
const DASH_PX: f32 = 9.0;
const DARK: [u8; 3] = [0, 0, 0];
const WHITE: [u8; 3] = [255, 255, 255];
const POSITIVE: [u8; 3] = [0, 150, 70];
const NEGATIVE: [u8; 3] = [225, 30, 45];

pub(super) struct Canvas {
    image: RgbImage,
}

impl Canvas {
    pub(super) fn new(image: RgbImage) -> Self {
        Self { image }
    }

    /// Draws a mask with the given outlines: translucent area, solid lines.
    pub(super) fn draw_mask(&mut self, outlines: &[Ring], colour: [u8; 3]) {
        self.fill(outlines, colour);
        // Lines overlap at corners; each pixel takes the strongest, once.
        let (width, height) = self.image.dimensions();
        let mut stroke = Array2::<f32>::zeros((height as usize, width as usize));
        let reach = RIM_RADIUS_PX + 1.0;
        for side in outlines.iter().flat_map(sides) {
            for (x, y, distance) in around(side, reach) {
                if let Some(nearness) = stroke.get_mut([y as usize, x as usize]) {
                    *nearness = nearness.max(reach - distance);
                }
            }
        }
        for ((y, x), &nearness) in stroke.indexed_iter().filter(|(_, nearness)| **nearness > 0.0) {
            let distance = reach - nearness;
            self.blend(x as i64, y as i64, DARK, RIM * cover(RIM_RADIUS_PX, distance));
            self.blend(x as i64, y as i64, colour, cover(LINE_RADIUS_PX, distance));
        }
    }

    /// Fills the pixels that are within an odd number of outlines.
    fn fill(&mut self, outlines: &[Ring], colour: [u8; 3]) {
        for y in 0..self.image.height() {
            let middle = y as f32 + 0.5;
            let crossed = outlines.iter().flat_map(sides);
            let crossed = crossed.filter(|[a, b]| (a[1] > middle) != (b[1] > middle));
            let mut crossings: Vec<f32> = crossed
                .map(|[a, b]| a[0] + (middle - a[1]) / (b[1] - a[1]) * (b[0] - a[0]))
                .collect();
            crossings.sort_by(f32::total_cmp);
            for span in crossings.chunks_exact(2) {
                // Pixels whose centres are between the crossings.
                let [left, right] = [span[0], span[1]].map(|x| (x - 0.5).ceil() as i64);
                (left..right).for_each(|x| self.blend(x, i64::from(y), colour, FILL));
            }
        }
    }

    /// Draws a dashed box.
    pub(super) fn draw_box(&mut self, [x0, y0, x1, y1]: [f32; 4]) {
        let corners = [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]];
        for (radius, colour, strength) in [(1.6, DARK, RIM), (0.7, WHITE, 0.95)] {
            for side in corners.windows(2) {
                self.draw_dashes(side[0], side[1], radius, colour, strength);
            }
        }
    }

    /// Draws a click: a green plus on the structure, a red minus outside it.
    pub(super) fn draw_point(&mut self, [x, y]: [f32; 2], positive: bool) {
        let colour = if positive { POSITIVE } else { NEGATIVE };
        self.draw_disc([x, y], MARK_RADIUS_PX + 2.5, DARK, RIM);
        self.draw_disc([x, y], MARK_RADIUS_PX + 1.5, WHITE, 1.0);
        self.draw_disc([x, y], MARK_RADIUS_PX, colour, 1.0);
        for step in -3..=3 {
            let along = step as f32;
            self.draw_disc([x + along, y], 0.7, WHITE, 1.0);
            if positive {
                self.draw_disc([x, y + along], 0.7, WHITE, 1.0);
            }
        }
    }

    /// The image with its caption below.
    pub(super) fn finish(self, caption: &str) -> RgbImage {
        if caption.is_empty() {
            return self.image;
        }
        let (width, height) = self.image.dimensions();
        // A caption that is too wide for large letters is set in small ones.
        let scale = if text::width_px(caption, 2) + 2 * MARGIN_PX <= width { 2 } else { 1 };
        let footer = text::HEIGHT_PX * scale + 2 * MARGIN_PX;
        let mut page = RgbImage::from_pixel(width, height + footer, Rgb([18, 22, 28]));
        image::imageops::replace(&mut page, &self.image, 0, 0);
        for (x, y) in text::pixels(caption, scale) {
            let (x, y) = (x + MARGIN_PX, y + height + MARGIN_PX);
            if x < width {
                page.put_pixel(x, y, Rgb([235, 240, 245]));
            }
        }
        page
    }

    fn draw_dashes(
        &mut self,
        from: [f32; 2],
        to: [f32; 2],
        radius: f32,
        colour: [u8; 3],
        strength: f32,
    ) {
        let length = (to[0] - from[0]).hypot(to[1] - from[1]);
        for step in 0..=length as u32 {
            let at = step as f32;
            if (at / DASH_PX) as u32 % 3 != 2 {
                let share = if length > 0.0 { at / length } else { 0.0 };
                let x = from[0] + (to[0] - from[0]) * share;
                let y = from[1] + (to[1] - from[1]) * share;
                self.draw_disc([x, y], radius, colour, strength * 0.6);
            }
        }
    }

    fn draw_disc(&mut self, centre: [f32; 2], radius: f32, colour: [u8; 3], strength: f32) {
        for (x, y, distance) in around([centre; 2], radius + 1.0) {
            self.blend(x, y, colour, strength * cover(radius, distance));
        }
    }

    fn blend(&mut self, x: i64, y: i64, colour: [u8; 3], strength: f32) {
        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
        let Some(pixel) = self.image.get_pixel_mut_checked(x, y) else { return };
        for (old, new) in pixel.0.iter_mut().zip(colour) {
            let mixed = f32::from(*old) * (1.0 - strength) + f32::from(new) * strength;
            *old = mixed.round() as u8;
        }
    }
}

const MARGIN_PX: u32 = 6;

/// Share of a pixel at `distance` that a disc of `radius` covers.
fn cover(radius: f32, distance: f32) -> f32 {
    (radius + 0.5 - distance).clamp(0.0, 1.0)
}

/// Pixels within `reach` of a line, and their distance from it.
fn around([a, b]: [[f32; 2]; 2], reach: f32) -> impl Iterator<Item = (i64, i64, f32)> {
    let range = move |axis: usize| {
        let (low, high) = (a[axis].min(b[axis]) - reach, a[axis].max(b[axis]) + reach);
        low.floor() as i64..=high.ceil() as i64
    };
    range(1).flat_map(move |row| {
        range(0).filter_map(move |column| {
            let distance = to_segment([column as f32 + 0.5, row as f32 + 0.5], [a, b]);
            (distance <= reach).then_some((column, row, distance))
        })
    })
}

/// Sides of a closed polygon.
fn sides(ring: &Ring) -> impl Iterator<Item = [[f32; 2]; 2]> {
    ring.iter().copied().zip(ring.iter().copied().cycle().skip(1)).map(|(a, b)| [a, b])
}
