//! Decoded samples.

/// The decoded samples of one frame.
#[derive(Debug)]
pub(super) enum Samples {
    /// `[H, W, 3]`, red, green, blue.
    Rgb(Vec<u8>),
    /// `[H, W]`, grey values or palette indices, no more than BitsStored bits.
    Single(Vec<u16>),
}
