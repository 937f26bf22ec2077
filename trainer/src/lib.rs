//! Med-SA on candle: the backend that computes `medsa-sam`'s networks, and the files of base
//! models and adapters.
//!
//! **Architecture invariant:** this crate knows no ONNX.
#![forbid(unsafe_code)]

mod adapter;
mod backend;
mod checkpoint;
pub mod data;
mod error;
pub mod metrics;
pub mod region;
pub mod report;
mod tensor_file;

pub use adapter::{Adapter, AdapterInfo};
pub use backend::CandleBackend;
pub use checkpoint::Checkpoint;
pub use error::Error;
