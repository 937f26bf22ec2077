//! Thumbnails of records.

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageFormat, ImageResult};

/// Longest side in pixels; smaller frames keep their size.
const SIDE_PX: u32 = 192;

/// JPEG quality, of 100.
const QUALITY: u8 = 80;

/// Converts a PNG to a small JPEG.
pub(super) fn jpeg(png: &[u8]) -> ImageResult<Vec<u8>> {
    let mut image = image::load_from_memory_with_format(png, ImageFormat::Png)?;
    if image.width().max(image.height()) > SIDE_PX {
        image = image.thumbnail(SIDE_PX, SIDE_PX);
    }
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
    DynamicImage::from(image.into_rgb8()).write_with_encoder(encoder)?;
    Ok(bytes)
}
