//! The blocks of a network, in 8 bits and in float, for the instructions that the processor has.
//!
//! Weights have one step size for each output channel; inputs have one for each input channel,
//! and a step that stands for zero.
//!
//! **Architecture invariant:** no graph and no I/O; slices in, slices out.

mod attention;
mod block;
mod conv_block;
mod decoder_adapter;
mod depthwise;
mod gelu;
mod linear;
mod mask_head;
mod mask_prompt;
mod neck;
mod norm;
mod packed;
mod pointwise;
mod pool;
mod quantize;
mod relative_attention;
mod rows;
mod scratch;
mod simd;
mod tiny_vit_block;
mod two_way;
mod vit_block;

pub use attention::Products;
pub use block::{Block, Map};
pub use conv_block::ConvBlock;
pub use decoder_adapter::{Activation, Behind, Beside, Between, HyperMaps, Prompt};
pub use depthwise::{Depthwise, StepsOf};
pub use linear::LinearS8;
pub use mask_head::{MaskHead, MaskMemory};
pub use mask_prompt::MaskPrompt;
pub use neck::Neck;
pub use norm::Norm;
pub use packed::Packed;
pub use pointwise::Pointwise;
pub use pool::Pool;
pub use quantize::{S8_MAX, to_steps};
pub use simd::{Isa, LANES};
pub use tiny_vit_block::{TinyVitBlock, TinyVitLayers};
pub use two_way::{FinalAttention, Projections, TwoWayBlock, TwoWayInput, TwoWayMemory};
pub use vit_block::{VitBlock, VitLayers};
