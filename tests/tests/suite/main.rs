//! The end-to-end suite, a single binary because linking is expensive.

mod adapters;
mod blocks;
mod boards;
mod candle_parity;
mod checkpoints;
mod distillation;
mod fleet;
mod folding;
mod following;
mod functions;
mod gradients;
mod int8;
mod kernels;
mod main_job;
mod masks_on_data;
mod medsa_blocks;
mod onnx_parity;
mod onnxruntime_page;
mod pack;
mod records;
mod released;
mod tiny;
mod to_pytorch;
mod training;

#[global_allocator]
static COUNTING: medsa_tests::counting::Counting = medsa_tests::counting::Counting;
