//! SAM-family networks (LiteMedSAM, MobileSAM, SAM ViT), written once over the small trait
//! [`backend::Backend`]; also weights by name, preprocessing and prompt geometry.
//!
//! **Architecture invariant:** this crate knows no tensor library, no ONNX and no I/O. Training and
//! export use the same code for the network by construction.
// Not `forbid`: ndarray's `s!` expands to an `allow`.
#![deny(unsafe_code)]

mod adapter;
pub mod backend;
pub mod block;
mod check;
mod config;
mod cost;
mod decoder;
mod error;
mod fold;
pub mod image;
mod int8;
pub mod layers;
pub mod mask;
mod model;
mod neck;
pub mod prompt;
mod resize;
mod rgb;
pub mod tiny_vit;
pub mod typed;
pub mod vit;
mod weights;

pub use adapter::{
    AdapterConfig, AdapterPlan, DecoderPlan, Init, MlpInput, NewTensor, WindowPadding,
};
pub use config::{EncoderConfig, SamConfig};
pub use cost::Cost;
pub use decoder::{DecoderConfig, MaskPrompt, Masks, PointOrder, PromptInput};
pub use error::Error;
pub use fold::Folding;
pub use int8::{Int8Input, Int8Layer, Quantization, S8_MAX, S8_TINY, round_ties_even};
pub use model::Sam;
pub use prompt::PromptError;
pub use weights::{Indices, Param, Reader, Weights};
