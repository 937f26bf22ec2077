//! Largest shapes that constructors accept.
//!
//! Within these limits no size computed from shapes overflows, whatever a model file says.

/// Inputs of a layer, and outputs. Up to here, sums of int8 products are exact in 32 bits: with
/// AVX-512 a product is at most 255 * 128, and 65536 * 255 * 128 is less than 2^31.
pub const CHANNELS: usize = 65_536;

/// Stride of a convolution.
pub const STRIDE: usize = 2;

/// Side of TinyViT's attention windows, in positions. TinyViT has windows of 7 and 14.
pub const WINDOW: usize = 64;

/// Side of a ViT's attention windows, in positions. Its global blocks have one window that covers
/// the map: 64 positions for an input of 1024 px.
pub const VIT_WINDOW: usize = 128;

/// Rows that [`scratch_bytes`](crate::TwoWayBlock::scratch_bytes) provides memory for.
pub const ROWS: usize = 1 << 32;
