//! Encoding of frames as image files.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{GrayImage, ImageError, ImageFormat, RgbImage, imageops};
use medsa_frames::Frame;

/// JPEG quality, up to 100, that still preserves speckle.
const JPEG_QUALITY: u8 = 85;

/// Encodes a frame as PNG; in grey if it has no colours.
///
/// # Errors
/// The image cannot be encoded.
///
/// # Panics
/// If the number of pixels does not match the frame's size.
pub fn png(frame: &Frame) -> Result<Vec<u8>, ImageError> {
    let mut png = Cursor::new(Vec::new());
    if frame.rgb.chunks_exact(3).all(|rgb| rgb[0] == rgb[1] && rgb[1] == rgb[2]) {
        let grey = frame.rgb.iter().step_by(3).copied().collect();
        let image = GrayImage::from_raw(frame.width, frame.height, grey);
        image.expect("a frame is whole").write_to(&mut png, ImageFormat::Png)?;
    } else {
        image(frame).write_to(&mut png, ImageFormat::Png)?;
    }
    Ok(png.into_inner())
}

/// Encodes a frame as JPEG for viewing, reduced so that no side is longer than `limit` pixels.
///
/// # Errors
/// The image cannot be encoded.
///
/// # Panics
/// If the number of pixels does not match the frame's size.
pub fn jpeg(frame: &Frame, limit: u32) -> Result<Vec<u8>, ImageError> {
    let mut image = image(frame);
    let longest = frame.width.max(frame.height);
    if longest > limit {
        let side = |side: u32| (side * limit / longest).max(1);
        image = imageops::thumbnail(&image, side(frame.width), side(frame.height));
    }
    let mut jpeg = Vec::new();
    image.write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY))?;
    Ok(jpeg)
}

fn image(frame: &Frame) -> RgbImage {
    let image = RgbImage::from_raw(frame.width, frame.height, frame.rgb.clone());
    image.expect("a frame is whole")
}
