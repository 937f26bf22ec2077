//! Layers with their weights.

mod attention;
mod conv;
mod linear;
mod norm;
mod patch;
mod projection;
mod qkv;
mod window;

pub use attention::Packing;
pub(crate) use attention::{
    NO_ATTENTION, attend, attention_scale, products_name, split_heads, unpack,
};
pub(crate) use conv::BATCH_NORM_EPSILON;
pub use conv::Conv2d;
pub use linear::{Activation, Linear, LinearInput};
pub(crate) use linear::{ConvBias, Mlp};
pub use norm::LayerNorm;
pub(crate) use patch::{Upscale2x, depth_patches, pixel_patches};
pub(crate) use projection::{Projected, Projection};
pub(crate) use qkv::PackedQkv;
pub(crate) use window::Windows;
