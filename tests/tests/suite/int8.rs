//! The exported integer arithmetic equals the plain loops in `kernels` bit for bit, and the
//! fake-quantized network on candle closely.

use std::collections::BTreeMap;

use candle_core::Device;
use medsa_export::Recorder;
use medsa_kernels::LinearS8;
use medsa_sam::backend::Backend;
use medsa_sam::layers::{Conv2d, Linear, LinearInput};
use medsa_sam::{Int8Input, Int8Layer, Param, Quantization};
use medsa_tests::golden::max_difference;
use medsa_tests::needs;
use medsa_tests::onnxruntime;
use medsa_trainer::CandleBackend;
use ndarray::{Array1, Array3, ArrayD, IxDyn};

#[test]
fn linear_layer_is_exact_in_onnxruntime() {
    needs!("venv");
    let (rows, inputs, outputs) = (49, 128, 96);
    // Includes a row of zeros, and a row with a single large value, which is clamped.
    let x = Array3::from_shape_fn((1, rows, inputs), |(_, n, i)| match n {
        0 => 0.0,
        1 if i == 5 => 1e4,
        _ => wave(n * inputs + i) * (1.0 + n as f32),
    });
    let int8 = int8_layer(&[outputs, inputs], inputs, |c| (c % 5) as f32 * -20.0);
    let weight = Param::new("w", int8.float_weight());
    let layer = Linear { weight, bias: None, input: LinearInput::Tokens };
    let quantization = only(int8.clone());
    let found = run(&quantization, x.clone().into_dyn(), |recorder, x| recorder.linear(x, &layer));

    let inverse_scale = int8.input.scale.mapv(|scale| 1.0 / scale);
    let twin = LinearS8 {
        weight: int8.weight.as_slice().unwrap(),
        scale: int8.scale.as_slice().unwrap(),
        bias: int8.integer_bias().as_slice().unwrap(),
        inverse_scale: inverse_scale.as_slice().unwrap(),
        zero_point: int8.input.zero_point.as_slice().unwrap(),
    }
    .forward(x.as_slice().unwrap());
    assert_eq!(found.as_slice().unwrap(), twin);
    // Candle rounds in the same way but multiplies in float.
    let candle = on_candle(quantization, x.into_dyn(), |b, x| b.linear(x, &layer));
    assert!(max_difference(&found, &candle) < 1e-3);
}

#[test]
fn convolutions_pad_with_the_zero_point() {
    needs!("venv");
    let x = ArrayD::from_shape_fn(IxDyn(&[1, 6, 7, 8]), |at| {
        wave(at[1] * 56 + at[2] * 8 + at[3]) * (1.0 + at[3] as f32)
    });
    for (shape, groups, stride) in
        [([8, 1, 3, 3], 8, 1), ([8, 1, 3, 3], 8, 2), ([5, 8, 3, 3], 1, 1)]
    {
        let int8 = int8_layer(&shape, 8, |_| -90.0);
        let weight = Param::new("w", int8.float_weight());
        let layer = Conv2d { weight, bias: None, stride, padding: 1, groups };
        let quantization = only(int8);
        let found = run(&quantization, x.clone(), |recorder, x| recorder.conv2d(x, &layer));
        let candle = on_candle(quantization, x.clone(), |b, x| b.conv2d(x, &layer));
        assert!(max_difference(&found, &candle) < 1e-3, "{shape:?} stride {stride}");
    }
}

#[test]
fn attention_products_have_scales_per_row() {
    needs!("venv");
    let x = ArrayD::from_shape_fn(IxDyn(&[2, 9, 48]), |at| {
        wave(at[0] * 431 + at[1] * 48 + at[2]) * (1.0 + at[1] as f32)
    });
    let quantization = Quantization { attentions: ["a".to_owned()].into(), ..Default::default() };
    let float = Quantization::default();
    let scores = medsa_sam::backend::Scores { name: "a", scale: 0.3, bias: None };
    let packing = medsa_sam::layers::Packing::ByHead;
    let found = run(&quantization, x.clone(), |b, x| b.self_attention(x, 4, packing, scores));
    let scores = medsa_sam::backend::Scores { name: "a", scale: 0.3, bias: None };
    let rounded =
        on_candle(quantization.clone(), x.clone(), |b, x| b.self_attention(x, 4, packing, scores));
    let scores = medsa_sam::backend::Scores { name: "a", scale: 0.3, bias: None };
    let exact = on_candle(float, x, |b, x| b.self_attention(x, 4, packing, scores));
    let (off, error) = (max_difference(&found, &rounded), max_difference(&found, &exact));
    // Values are up to 10.
    assert!(off < 1e-4 && off * 20.0 < error && error < 0.5, "{off} {error}");
}

/// An int8 layer with irregular weights and scales.
fn int8_layer(shape: &[usize], channels: usize, zero_point: impl Fn(usize) -> f32) -> Int8Layer {
    let scale = Array1::from_shape_fn(shape[0], |o| 1e-4 * (1.0 + wave(o * 3).abs()));
    Int8Layer {
        weight: ArrayD::from_shape_fn(IxDyn(shape), |at| {
            let at = (0..shape.len()).fold(0, |sum, axis| sum * 7 + at[axis]);
            (wave(at * 31) * 110.0) as i8
        }),
        bias: scale.mapv(|scale| scale * 1e3),
        scale,
        input: Int8Input {
            scale: Array1::from_shape_fn(channels, |c| 0.05 * (1.1 + wave(c * 11))),
            zero_point: Array1::from_shape_fn(channels, zero_point),
        },
    }
}

fn only(layer: Int8Layer) -> Quantization {
    Quantization { layers: BTreeMap::from([("w".to_owned(), layer)]), ..Default::default() }
}

/// Result of a recorded operation in onnxruntime.
fn run<'a>(
    quantization: &'a Quantization,
    x: ArrayD<f32>,
    record: impl FnOnce(
        &Recorder<'a>,
        &<Recorder<'a> as Backend>::Tensor,
    ) -> medsa_sam::backend::Output<Recorder<'a>>,
) -> ArrayD<f32> {
    let recorder = Recorder::new(quantization);
    let input = recorder.input("x", x.shape());
    let Ok(y) = record(&recorder, &input);
    recorder.output("y", &y);
    let model = recorder.into_onnx("operation", &[]);
    onnxruntime::run(&model, &BTreeMap::from([("x", x)])).get::<IxDyn>("y")
}

fn on_candle(
    quantization: Quantization,
    x: ArrayD<f32>,
    compute: impl FnOnce(
        &CandleBackend,
        &medsa_trainer::Node,
    ) -> medsa_sam::backend::Output<CandleBackend>,
) -> ArrayD<f32> {
    let backend = CandleBackend::new(Device::Cpu).quantized(quantization.into());
    let x = backend.tensor(x).unwrap();
    backend.array(&compute(&backend, &x).unwrap()).unwrap()
}

fn wave(i: usize) -> f32 {
    (i as f32 * 0.7).sin() + 0.1 * (i as f32 * 0.13).cos()
}
