//! Gallery: a sheet of images with predicted masks, true masks and prompts.

use std::path::Path;

use image::RgbImage;
use image::imageops::{self, FilterType};
use medsa_sam::prompt::{BoxXyxy, Point};
use ndarray::Array2;

use super::Colour;
use super::page::{self, Page};
use crate::Error;
use crate::region::squared_distance;

/// One image of the sheet.
#[derive(Clone, Debug)]
pub struct Tile {
    /// Title above the image, such as "img_12 nerve Dice 0.83".
    pub title: String,
    /// Width of the image, in pixels.
    pub width: usize,
    /// Height of the image, in pixels.
    pub height: usize,
    /// Pixels, `[H, W, 3]`.
    pub rgb: Vec<u8>,
    /// True mask, stretched over the image.
    pub truth: Array2<bool>,
    /// Predicted mask, stretched over the image.
    pub found: Array2<bool>,
    /// Clicks, in pixels of the image.
    pub points: Vec<Point>,
    /// Box, in pixels of the image.
    pub bbox: Option<BoxXyxy>,
}

/// Draws the tiles, each [`TILE_PX`] wide, to a PNG file in rows of at most `columns`.
///
/// # Errors
/// [`Error::Io`] if the file cannot be written.
///
/// # Panics
/// If a tile has a side of 0 or its `rgb` is not `height * width * 3` bytes long.
pub fn draw(path: &Path, tiles: &[Tile], columns: usize) -> Result<(), Error> {
    let columns = columns.clamp(1, tiles.len().max(1));
    let images: Vec<_> = tiles.iter().map(drawn).collect();
    let row_heights: Vec<u32> = images
        .chunks(columns)
        .map(|row| row.iter().map(|tile| tile.size().1).max().unwrap_or(0) + TITLE_PX + GAP_PX)
        .collect();
    let width = columns as u32 * (TILE_PX + GAP_PX) + GAP_PX;
    let legend = legend_rows(tiles, width);
    let legend_top = row_heights.iter().sum::<u32>() + GAP_PX;
    let height = legend_top + legend.len() as u32 * TITLE_PX + GAP_PX;
    let mut page = Page::new(width, height, PAPER);
    let mut top = GAP_PX;
    for (row, height) in row_heights.iter().enumerate() {
        for (column, index) in (row * columns..tiles.len()).take(columns).enumerate() {
            let left = GAP_PX + column as u32 * (TILE_PX + GAP_PX);
            let title = page::shortened(&tiles[index].title, TEXT, TILE_PX as f32);
            page.write(&title, [left as f32, top as f32 + 22.0], TEXT, INK);
            page.paste(images[index].image(), left, top + TITLE_PX);
        }
        top += height;
    }
    for (row, items) in legend.iter().enumerate() {
        let middle = (legend_top + row as u32 * TITLE_PX) as f32 + TITLE_PX as f32 / 2.0;
        let mut left = GAP_PX as f32;
        for item in items {
            item.draw_sign(&mut page, [left + SIGN_PX / 2.0, middle]);
            let at = [left + SIGN_PX + 8.0, middle + page::capital_height(TEXT) / 2.0];
            page.write(item.words(), at, TEXT, INK);
            left += item.width();
        }
    }
    page.save(path)
}

/// Width of the images on the sheet, in pixels.
pub const TILE_PX: u32 = 384;

const GAP_PX: u32 = 14;
const TITLE_PX: u32 = 32;
const SIGN_PX: f32 = 30.0;
const TEXT: f32 = 21.0;
const PAPER: Colour = [20, 23, 28];
const INK: Colour = [232, 236, 240];
const DARK: Colour = [0; 3];
const WHITE: Colour = [255; 3];

/// Blue and orange of Okabe and Ito, brightened for dark images. They are distinct from tissue and
/// from each other in every common kind of colour vision.
const TRUTH: Colour = [70, 190, 255];
const FOUND: Colour = [255, 165, 0];
const FILL: f32 = 0.2;

/// The true outline is wider, so that it shows on both sides of a predicted outline that agrees
/// with it.
const TRUTH_RADIUS_PX: f32 = 2.4;
const FOUND_RADIUS_PX: f32 = 1.0;

/// Signs explained in the legend.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sign {
    Truth,
    Found,
    Positive,
    Negative,
    Box,
}

impl Sign {
    fn words(self) -> &'static str {
        match self {
            Self::Truth => "truth",
            Self::Found => "prediction",
            Self::Positive => "positive click",
            Self::Negative => "negative click",
            Self::Box => "box",
        }
    }

    fn width(self) -> f32 {
        SIGN_PX + 8.0 + page::text_width(self.words(), TEXT) + 28.0
    }

    fn draw_sign(self, page: &mut Page, [x, y]: [f32; 2]) {
        let line = [[x - 12.0, y], [x + 12.0, y]];
        match self {
            Self::Truth => page.stroke(&line, TRUTH_RADIUS_PX, TRUTH),
            Self::Found => page.stroke(&line, FOUND_RADIUS_PX, FOUND),
            Self::Positive => draw_click(page, [x, y], true),
            Self::Negative => draw_click(page, [x, y], false),
            Self::Box => draw_box(page, [x - 13.0, y - 9.0, x + 13.0, y + 9.0]),
        }
    }
}

/// Signs that occur in the tiles, in lines that fit the sheet.
fn legend_rows(tiles: &[Tile], width: u32) -> Vec<Vec<Sign>> {
    let clicks = |positive| tiles.iter().any(|t| t.points.iter().any(|p| p.positive == positive));
    let signs = [
        (Sign::Truth, true),
        (Sign::Found, true),
        (Sign::Positive, clicks(true)),
        (Sign::Negative, clicks(false)),
        (Sign::Box, tiles.iter().any(|tile| tile.bbox.is_some())),
    ];
    let mut rows: Vec<Vec<Sign>> = vec![vec![]];
    let mut left = 0.0;
    for (sign, _) in signs.into_iter().filter(|(_, used)| *used) {
        if left + sign.width() > (width - GAP_PX) as f32 {
            rows.push(vec![]);
            left = 0.0;
        }
        left += sign.width();
        // The list has one row from the start.
        rows.last_mut().expect("a row").push(sign);
    }
    rows
}

fn drawn(tile: &Tile) -> Page {
    let size = (tile.width as u32, tile.height as u32);
    let image = RgbImage::from_raw(size.0, size.1, tile.rgb.clone());
    let image = image.filter(|_| tile.rgb.len() == tile.width * tile.height * 3);
    let image = image.expect("a tile's pixels are of its size");
    let scale = TILE_PX as f32 / tile.width as f32;
    let height = ((tile.height as f32 * scale).round() as u32).max(1);
    let image = imageops::resize(&image, TILE_PX, height, FilterType::CatmullRom);
    let mut page = Page::from(image);
    let found = Outline::new(&tile.found, (height as usize, TILE_PX as usize));
    let truth = Outline::new(&tile.truth, (height as usize, TILE_PX as usize));
    found.fill(&mut page, FOUND);
    truth.draw(&mut page, TRUTH_RADIUS_PX, TRUTH);
    found.draw(&mut page, FOUND_RADIUS_PX, FOUND);
    if let Some(bbox) = tile.bbox {
        draw_box(&mut page, bbox.map(|side| side * scale));
    }
    for point in &tile.points {
        draw_click(&mut page, [point.x * scale, point.y * scale], point.positive);
    }
    page
}

/// Outline of a mask at the size of its image.
struct Outline {
    inside: Array2<bool>,
    /// Squared distance to the other side of the outline.
    squared: Array2<f32>,
}

impl Outline {
    fn new(mask: &Array2<bool>, size: (usize, usize)) -> Self {
        let inside = stretched(mask, size);
        let outside = inside.mapv(|inside| !inside);
        let mut squared = squared_distance(outside.view());
        // One of the two terms is 0 at each pixel.
        squared += &squared_distance(inside.view());
        Self { inside, squared }
    }

    fn fill(&self, page: &mut Page, colour: Colour) {
        for ((y, x), _) in self.inside.indexed_iter().filter(|(_, inside)| **inside) {
            page.blend(x as i64, y as i64, colour, FILL);
        }
    }

    fn draw(&self, page: &mut Page, radius: f32, colour: Colour) {
        for ((y, x), squared) in self.squared.indexed_iter() {
            // The outline runs between pixels.
            let distance = squared.sqrt() - 0.5;
            page.blend(x as i64, y as i64, colour, page::cover(radius, distance));
        }
    }
}

/// Stretches a mask with interpolation, so that enlarged edges are smooth.
fn stretched(mask: &Array2<bool>, (height, width): (usize, usize)) -> Array2<bool> {
    let (rows, columns) = mask.dim();
    if mask.is_empty() {
        return Array2::from_elem((height, width), false);
    }
    let taps = |size: usize, cells: usize| -> Vec<(usize, usize, f32)> {
        let tap = |position: usize| {
            let source = (position as f32 + 0.5) * cells as f32 / size as f32 - 0.5;
            let source = source.clamp(0.0, (cells - 1) as f32);
            (source as usize, (source as usize + 1).min(cells - 1), source.fract())
        };
        (0..size).map(tap).collect()
    };
    let (down, across) = (taps(height, rows), taps(width, columns));
    let value = |y: usize, x: usize| f32::from(u8::from(mask[(y, x)]));
    Array2::from_shape_fn((height, width), |(y, x)| {
        let ((y0, y1, v), (x0, x1, u)) = (down[y], across[x]);
        let upper = value(y0, x0) * (1.0 - u) + value(y0, x1) * u;
        let lower = value(y1, x0) * (1.0 - u) + value(y1, x1) * u;
        upper * (1.0 - v) + lower * v >= 0.5
    })
}

/// Draws a white plus or minus with a dark rim.
fn draw_click(page: &mut Page, [x, y]: [f32; 2], positive: bool) {
    const ARM_PX: f32 = 7.0;
    for (radius, colour) in [(4.0, DARK), (2.0, WHITE)] {
        page.stroke(&[[x - ARM_PX, y], [x + ARM_PX, y]], radius, colour);
        if positive {
            page.stroke(&[[x, y - ARM_PX], [x, y + ARM_PX]], radius, colour);
        }
    }
}

fn draw_box(page: &mut Page, [x0, y0, x1, y1]: BoxXyxy) {
    let corners = [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]];
    page.stroke(&corners, 2.0, DARK);
    page.stroke(&corners, 1.0, WHITE);
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREY: [u8; 3] = [100; 3];

    /// A grey image whose left half is true and whose upper half is predicted.
    fn tile(width: usize, height: usize) -> Tile {
        Tile {
            title: "img_1 nerve Dice 0.50".into(),
            width,
            height,
            rgb: vec![100; width * height * 3],
            truth: Array2::from_shape_fn((height, width), |(_, x)| x < width / 2),
            found: Array2::from_shape_fn((height, width), |(y, _)| y < height / 2),
            points: vec![],
            bbox: None,
        }
    }

    fn sheet(tiles: &[Tile], columns: usize) -> RgbImage {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sheet.png");
        draw(&path, tiles, columns).unwrap();
        image::open(path).unwrap().to_rgb8()
    }

    /// Pixel of the first tile of a sheet.
    fn at(sheet: &RgbImage, x: u32, y: u32) -> [u8; 3] {
        sheet.get_pixel(GAP_PX + x, GAP_PX + TITLE_PX + y).0
    }

    #[test]
    fn outlines_and_fill_match_the_masks() {
        let sheet = sheet(&[tile(96, 48)], 1);
        let (middle, bottom) = (TILE_PX / 2, TILE_PX / 2 - 10);
        assert_eq!(at(&sheet, middle, bottom), TRUTH);
        assert_eq!(at(&sheet, 20, TILE_PX / 4), FOUND);
        assert_eq!(at(&sheet, middle + 50, bottom), GREY);
        let [red, green, blue] = at(&sheet, middle + 50, 20);
        assert!(red > 120 && green > 105 && blue < 100, "{red} {green} {blue}");
    }

    #[test]
    fn true_outline_stays_visible_below_an_agreeing_prediction() {
        let mut tile = tile(TILE_PX as usize, 100);
        tile.found = tile.truth.clone();
        let sheet = sheet(&[tile], 1);
        let row: Vec<_> = (0..TILE_PX).map(|x| at(&sheet, x, 50)).collect();
        assert!(row.contains(&FOUND) && row.contains(&TRUTH));
    }

    #[test]
    fn clicks_are_plus_and_minus_with_dark_rims() {
        let mut tile = tile(TILE_PX as usize, 300);
        tile.points = vec![
            Point { x: 300.0, y: 100.0, positive: true },
            Point { x: 300.0, y: 200.0, positive: false },
        ];
        let sheet = sheet(&[tile], 1);
        for y in [100, 200] {
            assert_eq!(at(&sheet, 305, y), WHITE);
            assert_eq!(at(&sheet, 305, y + 3), DARK);
        }
        assert_eq!(at(&sheet, 300, 105), WHITE);
        assert_eq!(at(&sheet, 300, 206), GREY);
    }

    #[test]
    fn box_is_drawn_in_image_pixels() {
        let mut tile = tile(96, 96);
        tile.bbox = Some([60.0, 60.0, 90.0, 90.0]);
        let sheet = sheet(&[tile], 1);
        let [red, ..] = at(&sheet, 60 * 4, 75 * 4);
        assert!(red > 200, "{red}");
        assert_eq!(at(&sheet, 75 * 4, 75 * 4), GREY);
    }

    #[test]
    fn tiles_fill_rows_and_the_legend_fits_a_narrow_sheet() {
        let mut tiles = vec![tile(64, 64), tile(300, 150), tile(64, 32)];
        let wide = sheet(&tiles, 2);
        let cell = TILE_PX + GAP_PX;
        assert_eq!(wide.width(), 2 * cell + GAP_PX);
        let rows = (TILE_PX + TITLE_PX + GAP_PX) + (TILE_PX / 2 + TITLE_PX + GAP_PX);
        assert_eq!(wide.height(), GAP_PX + rows + TITLE_PX + GAP_PX);
        tiles[0].points = vec![Point { x: 1.0, y: 1.0, positive: true }];
        tiles[1].bbox = Some([1.0, 1.0, 30.0, 30.0]);
        assert!(legend_rows(&tiles, TILE_PX + 2 * GAP_PX).len() > 1);
        sheet(&[], 3);
    }

    #[test]
    #[should_panic(expected = "of its size")]
    fn pixels_of_another_size_are_refused() {
        let mut tile = tile(64, 64);
        tile.rgb.pop();
        sheet(&[tile], 1);
    }
}
