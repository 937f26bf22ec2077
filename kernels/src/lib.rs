//! The integer arithmetic of a quantized network, in plain loops: what every faster variant and
//! every exported graph is tested against.
//!
//! Symmetric signed 8 bits on both sides: weights with one scale for each output channel,
//! activations with one scale for each token (row), found when the row is there.
//!
//! **Architecture invariant:** no graph and no I/O; slices in, slices out.
#![forbid(unsafe_code)]

mod linear;
mod quantize;

pub use linear::LinearS8;
pub use quantize::{S8_MAX, quantize};
