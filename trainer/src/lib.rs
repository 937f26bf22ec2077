//! Med-SA on candle: a backend for `medsa-sam`'s networks, files of base models and adapters, data
//! sets, prompts, training and evaluation.
//!
//! **Architecture invariant:** this crate knows no ONNX.
// Standard output and error may be closed: see `medsa-console`.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]
// Not `forbid`: ndarray's `s!` expands to an `allow`.
#![deny(unsafe_code)]

mod adapter;
pub mod augment;
mod backend;
mod checkpoint;
pub mod data;
mod error;
pub mod metrics;
mod ops;
pub mod prompts;
mod pth;
mod pytorch;
mod quantized;
pub mod region;
mod released;
pub mod report;
mod stray;
mod tape;
mod tensor_file;
mod threads;
pub mod train;

pub use adapter::{Adapter, AdapterInfo, TrainingRecord};
pub use backend::{CandleBackend, Layer, Operators, Watcher};
pub use checkpoint::Checkpoint;
pub use error::Error;
pub use pytorch::write_released;
pub use quantized::QuantizedBase;
pub use tape::Node;
pub use threads::use_all_cores;
