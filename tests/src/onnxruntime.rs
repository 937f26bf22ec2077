//! onnxruntime and the ONNX checker, in a Python virtual environment created by `tools/setup.sh`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ndarray::ArrayD;
use safetensors::serialize;
use safetensors::tensor::{Dtype, TensorView};

use crate::golden::Golden;
use crate::{place, program};

/// Checks `model` with onnx.checker's full check and runs it in onnxruntime.
///
/// # Panics
/// If the checker or onnxruntime refuses it; the message is from that program.
pub fn run(model: &[u8], inputs: &BTreeMap<&str, ArrayD<f32>>) -> Golden {
    let folder = place::scratch();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("model.onnx"), model).unwrap();
    write_tensors(&path("inputs.safetensors"), inputs);
    let files = ["model.onnx", "inputs.safetensors", "outputs.safetensors"];
    program::run(program::python("run_onnx.py").args(files.map(path)));
    Golden::read(&path("outputs.safetensors"))
}

/// Checks a file like [`check`], and also the file that ONNX's own inliner makes of it. Returns the
/// names of its local functions.
///
/// # Panics
/// If the checker, the inliner or onnxruntime refuses it.
pub fn functions(model: &Path) -> Vec<String> {
    let output = program::run(program::python("onnx_functions.py").arg(model));
    output.lines().map(str::to_owned).collect()
}

/// Checks a file with onnx.checker's full check and loads it in onnxruntime.
///
/// # Panics
/// If either refuses it.
pub fn check(model: &Path) {
    program::run(program::python("run_onnx.py").arg(model));
}

/// Writes a `.safetensors` file.
///
/// # Panics
/// If it cannot be written.
pub fn write_tensors(path: &Path, tensors: &BTreeMap<&str, ArrayD<f32>>) {
    let bytes: Vec<(&str, &[usize], Vec<u8>)> = tensors
        .iter()
        .map(|(&name, array)| {
            (name, array.shape(), array.iter().flat_map(|value| value.to_le_bytes()).collect())
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        (*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap())
    });
    fs::write(path, serialize(views, None).unwrap()).unwrap();
}
