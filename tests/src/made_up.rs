//! Networks of any shape with made-up weights.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use candle_core::Device;
use medsa_frames::Frame;
use medsa_sam::image::{Fit, Normalization, Preprocess, RgbView};
use medsa_sam::prompt::PromptTokens;
use medsa_sam::tiny_vit::{Stage, Stem, TinyVitConfig};
use medsa_sam::vit::VitConfig;
use medsa_sam::{
    AdapterConfig, AdapterPlan, DecoderConfig, EncoderConfig, Error, Int8Input, Int8Layer,
    PointOrder, Quantization, Sam, SamConfig, Weights,
};
use medsa_trainer::train::{Network, Previous};
use medsa_trainer::{CandleBackend, Layer, Watcher};
use ndarray::{Array1, Array4, ArrayD, IxDyn};

/// A TinyViT with one block in each of two stages and windows of side `window`, for inputs of 64
/// px.
pub fn tiny_vit(window: usize) -> SamConfig {
    let stage = |dim, heads, stride| Stage { dim, depth: 1, heads, window, stride };
    with_encoder(EncoderConfig::TinyVit(TinyVitConfig {
        stem: Stem::Patches,
        stem_dim: 32,
        conv_blocks: 1,
        stages: vec![stage(32, 2, 2), stage(64, 2, 1)],
    }))
}

/// A ViT with one windowed and one global block and windows of side `window`, for inputs of 64 px.
pub fn vit(window: usize) -> SamConfig {
    with_encoder(EncoderConfig::Vit(VitConfig {
        patch: 8,
        dim: 64,
        depth: 2,
        heads: 2,
        mlp_dim: 128,
        window,
        global_blocks: vec![1],
        trained_grid: 8,
    }))
}

fn with_encoder(encoder: EncoderConfig) -> SamConfig {
    SamConfig {
        preprocess: Preprocess {
            input_size: 64,
            normalization: Normalization::MinMax,
            fit: Fit::Pad,
        },
        encoder,
        decoder: DecoderConfig {
            dim: 128,
            mlp_dim: 64,
            heads: 4,
            mask_channels: 16,
            points: PointOrder::Xy,
        },
    }
}

/// A network of the given shape.
///
/// # Panics
/// If no network can have this shape.
pub fn network(config: &SamConfig) -> Sam {
    let mut weights = Weights::new();
    // These tensors are optional.
    if let EncoderConfig::Vit(vit) = &config.encoder {
        for block in 0..vit.depth {
            let side = if vit.global_blocks.contains(&block) { config.grid() } else { vit.window };
            for axis in ["h", "w"] {
                let name = format!("image_encoder.blocks.{block}.attn.rel_pos_{axis}");
                let values = made_up(&name, &[2 * side - 1, vit.dim / vit.heads]);
                weights.insert(name, values.into_shared());
            }
        }
    }
    loop {
        match Sam::read(&weights, config.clone()) {
            Ok(sam) => return sam,
            Err(Error::MissingTensor { name, expected }) => {
                let values = made_up(&name, &expected);
                weights.insert(name, values.into_shared());
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Small values around 0; positive values for variances.
fn made_up(name: &str, shape: &[usize]) -> ArrayD<f32> {
    let seed = name.bytes().fold(0u32, |seed, byte| seed.wrapping_mul(31) + u32::from(byte));
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    let is_variance = name.ends_with("running_var");
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        if is_variance { 1.0 + next().abs() } else { 0.3 * next() }
    })
}

/// A frame of made-up blobs, `side` px wide and high.
pub fn frame(side: u32) -> Frame {
    let value = |x: u32, y: u32| (x * 7 + y * 13 + x * y / 5) % 200 + 20;
    let pixels = (0..side * side).map(|i| value(i % side, i / side) as u8);
    let rgb = pixels.flat_map(|value| [value, value / 2, 255 - value]).collect();
    Frame { width: side, height: side, rgb, pixel_spacing_mm: None }
}

/// All layers and attentions of `sam` in int8, rounded to nearest, with the input ranges found on a
/// made-up frame.
///
/// # Panics
/// If candle fails.
pub fn quantization(sam: &Sam) -> Quantization {
    let layers: Rc<RefCell<BTreeMap<String, Int8Layer>>> = Rc::default();
    let seen = Rc::clone(&layers);
    let watcher: Watcher = Rc::new(move |layer, x| {
        let largest = x.abs()?.max_all()?.to_scalar::<f32>()?;
        let name = layer.weight().name().to_owned();
        let scale = largest.max(1e-3) / 127.0;
        let found = int8(layer, scale);
        let mut layers = seen.borrow_mut();
        let kept = layers.entry(name).or_insert_with(|| found.clone());
        if kept.input.scale[0] < scale {
            *kept = found;
        }
        Ok(())
    });
    let network =
        Network::with_backend(sam.clone(), CandleBackend::new(Device::Cpu).watched(watcher));
    let side = sam.config().preprocess.input_size;
    let mask_side = sam.config().mask_side();
    let frame = frame(side as u32);
    let view = RgbView::new(side, side, &frame.rgb).unwrap();
    let (image, _) = sam.config().preprocess.run(view);
    let embedding = network.embedding(&network.features(&image, 1).unwrap(), 1).unwrap();
    let tokens = PromptTokens::new(&[([10.0, 12.0], 2.0), ([50.0, 40.0], 3.0)]);
    let previous = Previous {
        logits: Array4::from_shape_fn((1, 1, mask_side, mask_side), |(_, _, y, x)| {
            (x as f32 - y as f32) / 8.0
        }),
        present: Array1::ones(1),
    };
    network.predict(&embedding, &tokens, Some(previous)).unwrap();
    drop(network);
    let names = sam.macs_by_name().into_keys();
    let encoder = |name: &String| name.ends_with(".products") && name.starts_with("image_encoder");
    Quantization { layers: layers.take(), attentions: names.filter(encoder).collect() }
}

/// An int8 layer whose input has the scale `input_scale`.
fn int8(layer: Layer, input_scale: f32) -> Int8Layer {
    let weight = layer.weight().value();
    let outputs = weight.shape()[0];
    let inputs = match layer {
        Layer::Linear(linear) => linear.inputs(),
        Layer::Conv2d(conv) => conv.weight.shape()[1] * conv.groups,
    };
    let mut rounded = ArrayD::zeros(weight.raw_dim());
    let mut scales = Array1::zeros(outputs);
    let rows = rounded.outer_iter_mut().zip(weight.outer_iter());
    for ((mut to, from), product_scale) in rows.zip(&mut scales) {
        let scale = from.iter().fold(1e-6f32, |most, w| most.max(w.abs())) / 127.0;
        to.zip_mut_with(&from, |to, from| *to = (from / scale).round() as i8);
        *product_scale = scale * input_scale;
    }
    let bias = match layer.bias() {
        Some(bias) => bias.value().to_owned().into_dimensionality().unwrap(),
        None => Array1::zeros(outputs),
    };
    let input = Int8Input {
        scale: Array1::from_elem(inputs, input_scale),
        zero_point: Array1::zeros(inputs),
    };
    Int8Layer { weight: rounded, scale: scales, bias, input }
}

/// `sam` with adapters with made-up weights.
///
/// # Panics
/// If the plan does not fit the network.
pub fn adapted(sam: Sam, plan: &AdapterPlan, config: &AdapterConfig) -> Sam {
    let tensors = plan.tensors(sam.config()).into_iter();
    let weights: Weights = tensors
        .map(|new| {
            let values = made_up(&new.name, &new.shape);
            (new.name, values.into_shared())
        })
        .collect();
    sam.with_adapters(&weights, config).unwrap()
}
