//! Decoded samples.

/// The decoded samples of one frame.
#[derive(Debug)]
pub(super) enum Samples {
    /// `[H, W, 3]`, red, green, blue.
    Rgb(Vec<u8>),
    /// Grey values or palette indices `[H, W]`, with at most BitsStored bits.
    Single(Vec<u16>),
}
