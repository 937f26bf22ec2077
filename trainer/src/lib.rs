//! Med-SA on candle: the backend that computes (and, for training, differentiates) `medsa-sam`'s
//! networks, and the reading and writing of checkpoints.
//!
//! **Architecture invariant:** this crate knows no ONNX.
#![forbid(unsafe_code)]

mod backend;
pub mod checkpoint;

pub use backend::CandleBackend;
