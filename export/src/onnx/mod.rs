//! Recording of `medsa-sam`'s operations as standard ONNX.

mod functions;
mod graph;
mod proto;
mod reader;
mod recorder;

pub use reader::read_quantization;
pub use recorder::Recorder;
