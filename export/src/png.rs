//! Frames as PNG files.

use std::io::Cursor;

use image::{GrayImage, ImageError, ImageFormat, RgbImage, imageops};
use medsa_frames::Frame;

/// A frame as a PNG file, in grey if it has no colours.
///
/// # Errors
/// The encoder's.
///
/// # Panics
/// If the frame has not as many pixels as it says.
pub fn write(frame: &Frame) -> Result<Vec<u8>, ImageError> {
    let mut png = Cursor::new(Vec::new());
    if frame.rgb.chunks_exact(3).all(|rgb| rgb[0] == rgb[1] && rgb[1] == rgb[2]) {
        let grey = frame.rgb.iter().step_by(3).copied().collect();
        let picture = GrayImage::from_raw(frame.width, frame.height, grey);
        picture.expect("a frame is whole").write_to(&mut png, ImageFormat::Png)?;
    } else {
        picture(frame).write_to(&mut png, ImageFormat::Png)?;
    }
    Ok(png.into_inner())
}

/// A frame with no side longer than `limit` pixels.
///
/// # Panics
/// If the frame has not as many pixels as it says.
pub fn shrunk(frame: &Frame, limit: u32) -> Frame {
    let longest = frame.width.max(frame.height);
    if longest <= limit {
        return frame.clone();
    }
    let side = |side: u32| (side * limit / longest).max(1);
    let (width, height) = (side(frame.width), side(frame.height));
    let rgb = imageops::thumbnail(&picture(frame), width, height).into_raw();
    Frame { width, height, rgb, pixel_spacing_mm: None }
}

fn picture(frame: &Frame) -> RgbImage {
    let picture = RgbImage::from_raw(frame.width, frame.height, frame.rgb.clone());
    picture.expect("a frame is whole")
}
