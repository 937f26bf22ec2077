//! Layers with their weights.

mod attention;
mod conv;
mod linear;
mod mlp;
mod norm;
mod packing;
mod patch;
mod projection;
mod qkv;
mod window;

pub(crate) use attention::{NO_ATTENTION, attention_scale, products_name};
pub(crate) use conv::BATCH_NORM_EPSILON;
pub use conv::Conv2d;
pub(crate) use linear::ConvBias;
pub use linear::{Activation, Linear, LinearInput};
pub(crate) use mlp::Mlp;
pub use norm::LayerNorm;
pub use packing::Packing;
pub(crate) use patch::{Upscale2x, depth_patches, pixel_patches};
pub(crate) use projection::{Projected, Projection};
pub(crate) use qkv::PackedQkv;
pub(crate) use window::Windows;
