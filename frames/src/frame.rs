//! One picture.

/// One picture in colour.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Pixels `[H, W, 3]`, red, green, blue.
    pub rgb: Vec<u8>,
    /// Distance between the middles of neighbouring pixels in mm: down the rows, along a row.
    /// `None` where the file does not say.
    pub pixel_spacing_mm: Option<[f32; 2]>,
}
