//! Images for people: the frame, the outline of each structure, and the prompts.

mod canvas;
mod text;

use std::time::Duration;

use image::imageops::{self, FilterType};
use image::{Delay, RgbImage};
use medsa_sam::image::RgbView;
use medsa_sam::mask::Ring;
use medsa_sam::prompt::{BoxXyxy, Point};

use canvas::Canvas;

/// Small frames are enlarged by an integer factor until their longest side reaches this, because
/// an outline one pixel wide would hide the structures of a small frame.
const MIN_LONGEST_PX: u32 = 640;

/// Largest enlargement factor.
const MAX_ENLARGEMENT: u32 = 4;

/// One structure on an image.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Number of the object, which determines the colour.
    pub object: u8,
    /// Outlines of the parts and of their holes, in frame pixels.
    pub outlines: Vec<Ring>,
    /// Clicks to show, in frame pixels.
    pub points: Vec<Point>,
    /// Box to show, in frame pixels.
    pub bbox: Option<BoxXyxy>,
}

/// Draws the layers over a frame. The caption goes below the frame, where it hides no anatomy, in
/// capital letters.
pub fn draw(frame: RgbView, layers: &[Layer], caption: &str) -> RgbImage {
    let (width, height) = frame.size();
    let (width, height) = (width as u32, height as u32);
    let enlargement = MIN_LONGEST_PX.div_ceil(width.max(height)).clamp(1, MAX_ENLARGEMENT);
    // `RgbView` guarantees the length.
    let image = RgbImage::from_raw(width, height, frame.data().to_vec()).unwrap_or_default();
    let (out_width, out_height) = (width * enlargement, height * enlargement);
    let image = match enlargement {
        1 => image,
        _ => imageops::resize(&image, out_width, out_height, FilterType::Triangle),
    };
    let mut canvas = Canvas::new(image);
    let scale = enlargement as f32;
    // (0, 0) is the centre of the first pixel of the frame, and the corner of the canvas.
    let on_canvas = |ring: &Ring| ring.iter().map(|at| at.map(|c| (c + 0.5) * scale)).collect();
    for layer in layers {
        let outlines: Vec<Ring> = layer.outlines.iter().map(on_canvas).collect();
        canvas.draw_mask(&outlines, colour(layer.object));
    }
    for layer in layers {
        if let Some(bbox) = layer.bbox {
            canvas.draw_box(bbox.map(|side| side * scale));
        }
        for point in &layer.points {
            canvas.draw_point([point.x * scale, point.y * scale], point.positive);
        }
    }
    canvas.finish(caption)
}

/// Arranges images in rows of at most `columns`, each `width_px` wide.
pub fn contact_sheet(images: &[&RgbImage], columns: u32, width_px: u32) -> RgbImage {
    const GAP_PX: u32 = 4;
    let small: Vec<_> = images.iter().map(|image| scaled(image, width_px)).collect();
    let columns = columns.min(small.len() as u32).max(1);
    let row_height = small.iter().map(RgbImage::height).max().unwrap_or(1) + GAP_PX;
    let rows = (small.len() as u32).div_ceil(columns).max(1);
    let mut sheet =
        RgbImage::new(columns * (width_px + GAP_PX) - GAP_PX, rows * row_height - GAP_PX);
    for (index, image) in (0..).zip(&small) {
        let (column, row) = (index % columns, index / columns);
        let (x, y) = (column * (width_px + GAP_PX), row * row_height);
        imageops::replace(&mut sheet, image, i64::from(x), i64::from(y));
    }
    sheet
}

/// Resizes the image to `width_px`.
pub fn scaled(image: &RgbImage, width_px: u32) -> RgbImage {
    let height = u64::from(image.height()) * u64::from(width_px);
    let height = height.div_ceil(u64::from(image.width().max(1))).max(1) as u32;
    imageops::resize(image, width_px, height, FilterType::Triangle)
}

/// Colours of the objects, as on the page: bright, and different for people with a colour vision
/// deficiency.
const COLOURS: [[u8; 3]; 8] = [
    [0xff, 0xd4, 0x00],
    [0x00, 0xc8, 0xff],
    [0xff, 0x7a, 0xd9],
    [0x5e, 0xe0, 0x5e],
    [0xff, 0x9d, 0x3c],
    [0xb9, 0x9c, 0xff],
    [0xff, 0x80, 0x80],
    [0xff, 0xff, 0xff],
];

fn colour(object: u8) -> [u8; 3] {
    COLOURS[usize::from(object) % COLOURS.len()]
}

/// Durations of images in a GIF, which counts hundredths of a second: each is rounded such that the
/// errors do not add up.
pub fn gif_delays(durations: impl IntoIterator<Item = Duration>) -> Vec<Delay> {
    let (mut passed, mut shown_ms) = (Duration::ZERO, 0);
    let delay = |duration| {
        passed += duration;
        let end_ms = (passed.as_secs_f64() * 100.0).round() as u32 * 10;
        let delay = Delay::from_numer_denom_ms(end_ms - shown_ms, 1);
        shown_ms = end_ms;
        delay
    };
    durations.into_iter().map(delay).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_those_of_the_page() {
        let page = include_str!("../../page/src/image/view.ts");
        let colours = COLOURS.map(|[r, g, b]| format!("'#{r:02x}{g:02x}{b:02x}'"));
        assert!(page.contains(&format!("COLOURS = [\n  {},\n]", colours.join(", "))));
    }

    #[test]
    fn rounded_delays_of_a_gif_add_up_to_the_duration() {
        let of = |milliseconds: &[u64]| {
            let durations = milliseconds.iter().map(|&ms| Duration::from_millis(ms));
            gif_delays(durations).iter().map(|delay| delay.numer_denom_ms().0).collect::<Vec<_>>()
        };
        assert_eq!(of(&[48; 5]), [50, 50, 40, 50, 50]);
        assert_eq!(of(&[33, 33, 33, 1001]), [30, 40, 30, 1000]);
    }

    #[test]
    fn outline_is_drawn_filled_except_for_holes() {
        let pixels = vec![100u8; 700 * 60 * 3];
        let frame = RgbView::new(700, 60, &pixels).unwrap();
        let square = |low: f32, high: f32| vec![[low, low], [high, low], [high, high], [low, high]];
        let outlines = vec![square(9.5, 49.5), square(24.5, 34.5)];
        let layer = Layer { object: 3, outlines, points: vec![], bbox: None };
        let image = draw(frame, &[layer], "");
        for [x, y] in [[300, 5], [5, 30], [29, 29]] {
            assert_eq!(image.get_pixel(x, y).0, [100; 3], "{x}, {y}");
        }
        for [x, y] in [[9, 20], [10, 20], [30, 49], [34, 30]] {
            let [red, green, blue] = image.get_pixel(x, y).0;
            assert!(green > 200 && red < 110 && blue < 110, "{red} {green} {blue} at {x}, {y}");
        }
        let [red, green, _] = image.get_pixel(17, 30).0;
        assert!(red < 100 && green > 100, "{red} {green}");
    }

    #[test]
    fn small_frames_are_enlarged_and_captions_are_below() {
        let pixels = vec![0u8; 100 * 50 * 3];
        let image = draw(RgbView::new(100, 50, &pixels).unwrap(), &[], "frame 1");
        assert_eq!(image.width(), 400);
        assert!(image.height() > 200);
        assert!((200..image.height()).any(|y| image.get_pixel(11, y).0[0] > 128));
    }
}
