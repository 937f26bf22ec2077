//! Export of a trained network to a build for devices: quantizes it, records it as standard ONNX,
//! compares it with the trained network, and packs it.
//!
//! **Architecture invariant:** this is the only crate that knows both candle and ONNX.
// Standard output and error may be closed: see `medsa-console`.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]
// Not `forbid`: ndarray's `s!` expands to an `allow`.
#![deny(unsafe_code)]

mod acceptance;
mod agreement;
mod build;
mod calibration;
mod card;
mod error;
mod folding;
mod image_file;
mod inline;
mod licences;
mod limits;
mod network;
mod onnx;
mod quantize;
mod quantized_base;
mod runner;
mod sbom;
mod trained;
mod verify;

pub use build::{Progress, Recipe};
pub use calibration::{Calibrate, Calibration, CalibrationFrames, CalibrationSource};
pub use error::Error;
pub use folding::Folded;
pub use inline::inline;
pub use limits::FitnessLimits;
pub use network::Models;
pub use onnx::{Recorder, read_quantization};
pub use quantize::quantize;
pub use quantized_base::QuantizeBase;
pub use runner::{Runner, boxes, clicks};
pub use verify::{EdgeAgreement, Verified, VerifiedRow, Verify};
