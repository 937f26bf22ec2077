//! onnxruntime and the ONNX checker, in a Python virtual environment created by `tools/setup.sh`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

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
    run_all(model, std::slice::from_ref(inputs)).remove(0)
}

/// Checks `model` like [`run`] and runs it on each of several inputs, in one process, because
/// starting it and loading the model take longer than a run.
///
/// # Panics
/// If the checker or onnxruntime refuses it; the message is from that program.
pub fn run_all(model: &[u8], inputs: &[BTreeMap<&str, ArrayD<f32>>]) -> Vec<Golden> {
    let folder = place::scratch();
    let path = |name: &str| folder.path().join(name);
    let outputs = |i: usize| path(&format!("outputs-{i}.safetensors"));
    fs::write(path("model.onnx"), model).unwrap();
    let mut command = program::python("run_onnx.py");
    command.arg(path("model.onnx"));
    for (i, inputs) in inputs.iter().enumerate() {
        let file = path(&format!("inputs-{i}.safetensors"));
        write_tensors(&file, inputs);
        command.args([file, outputs(i)]);
    }
    program::run(&mut command);
    (0..inputs.len()).map(|i| Golden::read(&outputs(i))).collect()
}

/// Checks files like [`check`], and also the files that ONNX's own inliner makes of them. Returns the
/// names of the local functions of each.
///
/// # Panics
/// If the checker, the inliner or onnxruntime refuses one.
pub fn functions(models: &[PathBuf]) -> Vec<Vec<String>> {
    let output = program::run(program::python("onnx_functions.py").args(models));
    let names = |line: &str| line.split_whitespace().map(str::to_owned).collect();
    output.lines().map(names).collect()
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
