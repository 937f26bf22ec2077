//! Prompt encoder and mask decoder.

mod config;
mod mask_decoder;
mod prompt_encoder;
mod two_way;

pub use config::{DecoderConfig, PointOrder};
pub(crate) use mask_decoder::MaskDecoder;
pub use mask_decoder::Masks;
pub(crate) use prompt_encoder::PromptEncoder;
pub use prompt_encoder::{MaskPrompt, PromptInput};
pub(crate) use two_way::TWO_WAY_DEPTH;
