//! `medsa-sam`'s operations, recorded as standard ONNX.

mod graph;
mod recorder;

pub use recorder::Recorder;
