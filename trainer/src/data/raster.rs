//! Reading of PNG and JPEG files.

use std::path::Path;

use image::{DynamicImage, ImageFormat, ImageReader};

use super::problem::Problem;
use crate::stray;

/// Formats of images and masks.
const FORMATS: [ImageFormat; 2] = [ImageFormat::Png, ImageFormat::Jpeg];

/// Largest width and height of an image, in pixels.
pub(super) const MAX_SIDE_PX: u32 = 16_384;

/// Reads width, height and pixels `[H, W, 3]`. Samples of 16 bits are reduced to 8.
pub(super) fn rgb(path: &Path) -> Result<(usize, usize, Vec<u8>), Problem> {
    let image = decode(path)?.into_rgb8();
    Ok((image.width() as usize, image.height() as usize, image.into_raw()))
}

/// Width and height in pixels and the format, from the header: they are checked before memory for
/// the pixels is allocated.
pub(super) fn header(path: &Path) -> Result<(u32, u32, ImageFormat), Problem> {
    let unreadable = |reason: &dyn ToString| {
        let words = stray::describe_file(path).unwrap_or_else(|| reason.to_string());
        Problem::unreadable(path, words)
    };
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    let reader = reader.map_err(|e| unreadable(&e))?;
    let found = "it is neither PNG nor JPEG, as its name says";
    let format = reader.format().filter(|format| FORMATS.contains(format));
    let format = format.ok_or_else(|| unreadable(&found))?;
    let (width, height) = reader.into_dimensions().map_err(|e| unreadable(&e))?;
    if width == 0 || height == 0 || width.max(height) > MAX_SIDE_PX {
        let found = format!("{width} x {height} px, expected 1 to {MAX_SIDE_PX} on each side");
        return Err(Problem::unreadable(path, found));
    }
    Ok((width, height, format))
}

/// Decodes an image, turned as its EXIF orientation says. JPEG files that are cut short are refused.
pub(super) fn decode(path: &Path) -> Result<DynamicImage, Problem> {
    header(path)?;
    medsa_frames::read_image(path, MAX_SIDE_PX).map_err(|e| Problem::unreadable(path, e))
}
