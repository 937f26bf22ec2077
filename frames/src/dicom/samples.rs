//! Decoded samples.

/// The decoded samples of one frame.
#[derive(Debug)]
pub(super) enum Samples {
    /// `[H, W, 3]`, red, green, blue.
    Rgb(Vec<u8>),
    /// Grey values or palette indices `[H, W]`. Signed values are in two's complement of `bits`, and
    /// bits above may be set.
    Single { values: Vec<u16>, bits: u32 },
    /// Grey values `[H, W]` of more than 16 bits, like `Single`.
    Wide { values: Vec<u32>, bits: u32 },
}

/// The lowest `bits` bits, 1 to 32.
pub(super) fn mask(bits: u32) -> u32 {
    u32::MAX >> (32 - bits)
}
