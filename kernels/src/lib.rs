//! The integer arithmetic of a quantized network, in plain loops: what every faster variant and
//! every exported graph is tested against.
//!
//! Weights have one step size for each output channel; inputs have one for each input channel,
//! and a step that stands for zero.
//!
//! **Architecture invariant:** no graph and no I/O; slices in, slices out.
#![forbid(unsafe_code)]

mod linear;
mod quantize;

pub use linear::LinearS8;
pub use quantize::{S8_MAX, to_steps};
