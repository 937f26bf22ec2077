//! The end-to-end suite: one binary, because linking it is what costs.

mod adapters;
mod candle_parity;
mod checkpoints;
mod int8;
mod main_job;
mod onnx_parity;
