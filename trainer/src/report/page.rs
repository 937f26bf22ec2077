//! A canvas with antialiased lines and text.

use std::path::Path;
use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont, point};
use image::{ImageError, Rgb, RgbImage, imageops};

use super::Colour;
use crate::Error;

pub(super) struct Page {
    image: RgbImage,
}

impl Page {
    pub(super) fn new(width: u32, height: u32, colour: Colour) -> Self {
        Self { image: RgbImage::from_pixel(width, height, Rgb(colour)) }
    }

    pub(super) fn image(&self) -> &RgbImage {
        &self.image
    }

    pub(super) fn size(&self) -> (u32, u32) {
        self.image.dimensions()
    }

    /// Copies an image to the page; its upper left corner is at (x, y).
    pub(super) fn paste(&mut self, image: &RgbImage, x: u32, y: u32) {
        imageops::replace(&mut self.image, image, i64::from(x), i64::from(y));
    }

    /// Mixes a colour into one pixel; ignores positions outside the page.
    pub(super) fn blend(&mut self, x: i64, y: i64, colour: Colour, strength: f32) {
        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
        let Some(pixel) = self.image.get_pixel_mut_checked(x, y) else { return };
        for (old, new) in pixel.0.iter_mut().zip(colour) {
            let mixed = f32::from(*old) * (1.0 - strength) + f32::from(new) * strength;
            *old = mixed.round() as u8;
        }
    }

    /// Draws a line through `path` with round ends; a path of one point gives a disc. The line has
    /// the same opacity where it crosses itself.
    pub(super) fn stroke(&mut self, path: &[[f32; 2]], radius: f32, colour: Colour) {
        let reach = radius + 1.0;
        let (width, height) = self.size();
        let clip = |low: f32, high: f32, size: u32| {
            let low = (low - reach).floor().max(0.0) as usize;
            low..((high + reach).ceil().max(0.0) as usize).min(size as usize).max(low)
        };
        let span = |axis: usize, points: &[[f32; 2]], size: u32| {
            let values = points.iter().map(|p| p[axis]);
            let low = values.clone().fold(f32::INFINITY, f32::min);
            clip(low, values.fold(f32::NEG_INFINITY, f32::max), size)
        };
        if path.is_empty() {
            return;
        }
        let (columns, rows) = (span(0, path, width), span(1, path, height));
        let mut strength = vec![0f32; columns.len() * rows.len()];
        for segment in 0..path.len().max(2) - 1 {
            let ends = [path[segment], path[(segment + 1).min(path.len() - 1)]];
            for y in span(1, &ends, height) {
                for x in span(0, &ends, width) {
                    let distance = to_segment([x as f32 + 0.5, y as f32 + 0.5], ends);
                    let cell = &mut strength[(y - rows.start) * columns.len() + x - columns.start];
                    *cell = cell.max(cover(radius, distance));
                }
            }
        }
        for (index, strength) in strength.into_iter().enumerate().filter(|(_, s)| *s > 0.0) {
            let x = columns.start + index % columns.len();
            let y = rows.start + index / columns.len();
            self.blend(x as i64, y as i64, colour, strength);
        }
    }

    /// Writes text to the right of `left` on the line `baseline`.
    pub(super) fn write(&mut self, text: &str, [left, baseline]: [f32; 2], px: f32, ink: Colour) {
        for glyph in layout(text, px).0 {
            let Some(outline) = FONT.outline_glyph(glyph) else { continue };
            let corner = outline.px_bounds().min + point(left.round(), baseline.round());
            let (x0, y0) = (corner.x.round() as i64, corner.y.round() as i64);
            outline.draw(|x, y, coverage| {
                self.blend(x0 + i64::from(x), y0 + i64::from(y), ink, coverage.min(1.0));
            });
        }
    }

    /// Saves the page as PNG.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written.
    pub(super) fn save(&self, path: &Path) -> Result<(), Error> {
        self.image.save_with_format(path, image::ImageFormat::Png).map_err(|error| match error {
            ImageError::IoError(source) => Error::io(path, source),
            other => Error::format(path, other),
        })
    }
}

impl From<RgbImage> for Page {
    fn from(image: RgbImage) -> Self {
        Self { image }
    }
}

/// Width of a line of text, in pixels.
pub(super) fn text_width(text: &str, px: f32) -> f32 {
    layout(text, px).1
}

/// Height of a capital letter above the baseline, in pixels.
pub(super) fn capital_height(px: f32) -> f32 {
    0.7 * px
}

/// The text; if it is wider than `width`, its end is replaced by an ellipsis.
pub(super) fn shortened(text: &str, px: f32, width: f32) -> String {
    if text_width(text, px) <= width {
        return text.to_owned();
    }
    let mut short = text.to_owned();
    while short.pop().is_some() {
        let with_dots = format!("{}\u{2026}", short.trim_end());
        if text_width(&with_dots, px) <= width {
            return with_dots;
        }
    }
    short
}

// A test checks that the font can be read.
static FONT: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(epaint_default_fonts::UBUNTU_LIGHT).expect("the crate holds a font")
});

/// Glyphs of a text that starts at (0, 0), where `px` is the size of the em square, and the
/// position of the next glyph.
fn layout(text: &str, px: f32) -> (Vec<Glyph>, f32) {
    let per_em = FONT.height_unscaled() / FONT.units_per_em().unwrap_or(1000.0);
    let font = FONT.as_scaled(PxScale::from(px * per_em));
    let mut x = 0.0;
    let mut glyphs: Vec<Glyph> = Vec::new();
    for letter in text.chars() {
        let mut glyph = font.scaled_glyph(letter);
        if let Some(previous) = glyphs.last() {
            x += font.kern(previous.id, glyph.id);
        }
        glyph.position = point(x, 0.0);
        x += font.h_advance(glyph.id);
        glyphs.push(glyph);
    }
    (glyphs, x)
}

/// Part of a pixel, at `distance` from the centre of a line with `radius`, that the line covers.
pub(super) fn cover(radius: f32, distance: f32) -> f32 {
    (radius + 0.5 - distance).clamp(0.0, 1.0)
}

fn to_segment([x, y]: [f32; 2], [[x0, y0], [x1, y1]]: [[f32; 2]; 2]) -> f32 {
    let (dx, dy) = (x1 - x0, y1 - y0);
    let squared = dx * dx + dy * dy;
    let along = if squared > 0.0 { ((x - x0) * dx + (y - y0) * dy) / squared } else { 0.0 };
    let along = along.clamp(0.0, 1.0);
    (x - x0 - along * dx).hypot(y - y0 - along * dy)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAPER: Colour = [255; 3];
    const INK: Colour = [0; 3];

    fn ink(page: &Page) -> Vec<(u32, u32)> {
        let dark = page.image.enumerate_pixels().filter(|(_, _, pixel)| pixel.0[0] < 128);
        dark.map(|(x, y, _)| (x, y)).collect()
    }

    #[test]
    fn letters_stay_on_the_baseline_and_within_the_width() {
        let mut page = Page::new(200, 50, PAPER);
        page.write("HELLO", [10.0, 40.0], 30.0, INK);
        let ink = ink(&page);
        assert!(ink.len() > 100, "{} pixels", ink.len());
        let right = 10.0 + text_width("HELLO", 30.0);
        assert!(ink.iter().all(|&(x, y)| x >= 10 && (x as f32) < right && (18..=41).contains(&y)));
        let top = ink.iter().map(|&(_, y)| y).min().unwrap();
        assert!((40.0 - top as f32 - capital_height(30.0)).abs() <= 1.5, "{top}");
    }

    #[test]
    fn stroke_covers_its_path_and_nothing_else() {
        let mut page = Page::new(40, 40, PAPER);
        page.stroke(&[[10.0, 20.5], [30.0, 20.5], [30.0, 90.0]], 1.5, INK);
        for at in [(15, 20), (15, 19), (29, 35), (30, 39)] {
            assert_eq!(page.image.get_pixel(at.0, at.1).0, INK, "{at:?}");
        }
        for at in [(5, 20), (15, 23), (20, 30)] {
            assert_eq!(page.image.get_pixel(at.0, at.1).0, PAPER, "{at:?}");
        }
    }

    #[test]
    fn long_text_is_shortened_to_fit() {
        assert_eq!(shortened("nerve", 20.0, 200.0), "nerve");
        let short = shortened("a very long name of a image", 20.0, 100.0);
        assert!(short.ends_with('\u{2026}') && text_width(&short, 20.0) <= 100.0, "{short}");
    }
}
