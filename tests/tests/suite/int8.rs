//! The exported integer arithmetic is that of the plain loops in `kernels`, bit for bit.

use std::collections::BTreeMap;

use medsa_bundle::Precision;
use medsa_export::Recorder;
use medsa_kernels::LinearS8;
use medsa_sam::Param;
use medsa_sam::backend::Backend;
use medsa_sam::layers::{Linear, LinearInput};
use medsa_tests::onnxruntime;
use ndarray::{Array2, Array3, IxDyn};

#[test]
fn a_linear_layer_is_exact_in_onnxruntime() {
    let (tokens, inputs, outputs) = (49, 128, 96);
    // A row of zeros and one of a single large value among them.
    let x = Array3::from_shape_fn((1, tokens, inputs), |(_, n, i)| match n {
        0 => 0.0,
        1 if i == 5 => 1e4,
        _ => wave(n * inputs + i) * (1.0 + n as f32),
    });
    let weight = Array2::from_shape_fn((outputs, inputs), |(o, i)| wave(o * 331 + i * 7));

    let recorder = Recorder::new(Precision::Int8);
    let weight_param = Param::new("w", weight.clone());
    let layer = Linear { weight: weight_param, bias: None, input: LinearInput::Tokens };
    let input = recorder.input("x", &[1, tokens, inputs]);
    let Ok(y) = recorder.linear(&input, &layer);
    recorder.output("y", &y);
    let model = recorder.into_onnx("linear", &[]);

    let found = onnxruntime::run(&model, &BTreeMap::from([("x", x.clone().into_dyn())]));
    let expected = LinearS8::new(weight.as_slice().unwrap(), inputs).forward(x.as_slice().unwrap());
    let found = found.get::<IxDyn>("y");
    assert_eq!(found.as_slice().unwrap(), expected);
}

fn wave(i: usize) -> f32 {
    (i as f32 * 0.7).sin() + 0.1 * (i as f32 * 0.13).cos()
}
