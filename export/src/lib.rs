//! From a trained network to a build that a device runs: recorded as standard ONNX, quantized,
//! compared with what it came from, and packed.
//!
//! **Architecture invariant:** this is the only crate that knows candle and ONNX both.
#![forbid(unsafe_code)]

mod network;
mod onnx;

pub use network::Models;
