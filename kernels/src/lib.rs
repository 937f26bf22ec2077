//! Blocks of the network in int8 and in float, for the instruction sets of the processor.
//!
//! Blocks ([`Block`], [`TwoWayBlock`], [`FinalAttention`], [`MaskPrompt`], [`MaskHead`]) consist of
//! layers ([`Packed`], [`Depthwise`], [`Norm`]) and run on the threads of a [`Pool`]. Constructors
//! check every shape and return a [`Misfit`] if one does not fit.
//!
//! Int8 weights have one scale for each output channel. Inputs have one scale and one zero point
//! for each input channel.
//!
//! **Architecture invariant:** no graph and no I/O; slices in, slices out.
//!
//! **Architecture invariant:** the shapes of every constructed layer or block match. Its
//! `run` checks all slices before it computes; unsafe code relies on these checks alone.

mod attention;
mod block;
mod conv_block;
mod decoder_adapter;
mod depthwise;
mod gelu;
pub mod limits;
mod linear;
mod mask_head;
mod mask_prompt;
mod misfit;
mod neck;
mod norm;
mod output;
mod packed;
mod pointwise;
mod pool;
mod quantize;
mod rows;
mod scratch;
mod simd;
mod tiny_vit_block;
mod two_way;
mod vit_block;

pub use attention::Products;
pub use block::{Block, Map};
pub use conv_block::{ConvBlock, ConvLayers};
pub use decoder_adapter::{
    Activation, Bottleneck, HyperMaps, ParallelAdapter, Prompt, SerialAdapter,
};
pub use depthwise::{Depthwise, InputScales};
pub use linear::LinearS8;
pub use mask_head::{MaskHead, MaskHeadLayers, MaskMemory};
pub use mask_prompt::{MaskPrompt, MaskPromptLayers, PlainNorm};
pub use misfit::Misfit;
pub use neck::{Neck, NeckLayers};
pub use norm::Norm;
pub use packed::Packed;
pub use pointwise::{Pointwise, PointwiseLayers};
pub use pool::Pool;
pub use quantize::{S8_MAX, quantize};
pub use simd::{Isa, LANES};
pub use tiny_vit_block::{TinyVitBlock, TinyVitLayers};
pub use two_way::{
    FinalAttention, FinalAttentionLayers, Projections, TwoWayBlock, TwoWayInput, TwoWayLayers,
    TwoWayMemory,
};
pub use vit_block::{VitBlock, VitLayers};
