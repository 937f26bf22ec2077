//! Drawing on an image: masks, boxes, clicks and a caption, anti-aliased.

use image::{Rgb, RgbImage};
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
    picture: RgbImage,
}

impl Canvas {
    pub(super) fn new(picture: RgbImage) -> Self {
        Self { picture }
    }

    /// Draws a mask: translucent area, solid outline.
    pub(super) fn draw_mask(&mut self, mask: &Array2<bool>, colour: [u8; 3]) {
        if mask.is_empty() {
            return;
        }
        let (width, height) = self.picture.dimensions();
        let inside = enlarge(mask, width as usize, height as usize);
        for ((y, x), _) in inside.indexed_iter().filter(|(_, inside)| **inside) {
            self.blend(x as i64, y as i64, colour, FILL);
        }
        // Strokes overlap along the line; each pixel takes the strongest, once.
        let mut stroke = Array2::<f32>::zeros(inside.dim());
        for (y, x) in edge(&inside) {
            let centre = [x as f32 + 0.5, y as f32 + 0.5];
            for (x, y, distance) in around(centre, RIM_RADIUS_PX + 1.0) {
                if let Some(nearest) = stroke.get_mut([y as usize, x as usize]) {
                    *nearest = nearest.max(RIM_RADIUS_PX + 1.0 - distance);
                }
            }
        }
        for ((y, x), &nearness) in stroke.indexed_iter().filter(|(_, nearness)| **nearness > 0.0) {
            let distance = RIM_RADIUS_PX + 1.0 - nearness;
            self.blend(x as i64, y as i64, DARK, RIM * cover(RIM_RADIUS_PX, distance));
            self.blend(x as i64, y as i64, colour, cover(LINE_RADIUS_PX, distance));
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
            return self.picture;
        }
        let (width, height) = self.picture.dimensions();
        // A caption that is too wide for large letters is set in small ones.
        let scale = if text::width_px(caption, 2) + 2 * MARGIN_PX <= width { 2 } else { 1 };
        let footer = text::HEIGHT_PX * scale + 2 * MARGIN_PX;
        let mut page = RgbImage::from_pixel(width, height + footer, Rgb([18, 22, 28]));
        image::imageops::replace(&mut page, &self.picture, 0, 0);
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
        for (x, y, distance) in around(centre, radius + 1.0) {
            self.blend(x, y, colour, strength * cover(radius, distance));
        }
    }

    fn blend(&mut self, x: i64, y: i64, colour: [u8; 3], strength: f32) {
        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
        let Some(pixel) = self.picture.get_pixel_mut_checked(x, y) else { return };
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

/// Pixels within `reach` of `centre` and their distance from it.
fn around([x, y]: [f32; 2], reach: f32) -> impl Iterator<Item = (i64, i64, f32)> {
    let range = move |c: f32| (c - reach).floor() as i64..=(c + reach).ceil() as i64;
    range(y).flat_map(move |row| {
        range(x).filter_map(move |column| {
            let distance = (column as f32 + 0.5 - x).hypot(row as f32 + 0.5 - y);
            (distance <= reach).then_some((column, row, distance))
        })
    })
}

/// Inside pixels with an outside neighbour. The border of the image does not count as an edge of
/// the structure.
fn edge(inside: &Array2<bool>) -> Vec<(usize, usize)> {
    let outside = |y: usize, x: usize| inside.get([y, x]).is_some_and(|inside| !inside);
    let is_edge = |&(y, x): &(usize, usize)| {
        inside[[y, x]]
            && (outside(y, x + 1)
                || outside(y + 1, x)
                || outside(y, x.wrapping_sub(1))
                || outside(y.wrapping_sub(1), x))
    };
    inside.indexed_iter().map(|(at, _)| at).filter(is_edge).collect()
}

/// Resizes a mask with interpolation, so that enlarged edges are smooth.
fn enlarge(mask: &Array2<bool>, width: usize, height: usize) -> Array2<bool> {
    let (rows, columns) = mask.dim();
    let at = |y: usize, x: usize| f32::from(u8::from(mask[[y, x]]));
    let tap = |position: usize, size: usize, cells: usize| {
        let source = (position as f32 + 0.5) * cells as f32 / size as f32 - 0.5;
        let source = source.clamp(0.0, (cells - 1) as f32);
        let first = source as usize;
        (first, (first + 1).min(cells - 1), source.fract())
    };
    Array2::from_shape_fn((height, width), |(y, x)| {
        let (y0, y1, fy) = tap(y, height, rows);
        let (x0, x1, fx) = tap(x, width, columns);
        let top = at(y0, x0) * (1.0 - fx) + at(y0, x1) * fx;
        let bottom = at(y1, x0) * (1.0 - fx) + at(y1, x1) * fx;
        top * (1.0 - fy) + bottom * fy > 0.5
    })
}
