//! Shared parts of the end-to-end tests: paths of inputs, reference tensors, and external tools.

pub mod counting;
pub mod following;
pub mod golden;
pub mod made_up;
pub mod model;
pub mod onnxruntime;
pub mod place;
pub mod program;
pub mod structures;

pub use medsa_test_inputs::needs;
