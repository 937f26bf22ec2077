//! A decoded frame.

use crate::PixelSpacing;

/// A decoded frame in colour.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Pixels `[H, W, 3]`, red, green, blue.
    pub rgb: Vec<u8>,
    /// Distance between the centres of neighbouring pixels in mm; `None` if the file does not state it.
    pub pixel_spacing_mm: Option<PixelSpacing>,
}
