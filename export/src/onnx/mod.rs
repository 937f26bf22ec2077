//! `medsa-sam`'s operations, recorded as standard ONNX.

mod functions;
mod graph;
mod recorder;

pub use recorder::Recorder;
