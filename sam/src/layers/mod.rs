//! Layers with their weights.

mod attention;
mod conv;
mod linear;
mod norm;
mod patch;
mod window;

pub(crate) use attention::{attention, merge_heads, split_heads};
pub use conv::Conv2d;
pub use linear::{Activation, Linear, LinearInput};
pub(crate) use linear::{ConvBias, Mlp};
pub use norm::LayerNorm;
pub(crate) use patch::{Upscale2x, depth_patches, pixel_patches};
pub(crate) use window::Windows;
