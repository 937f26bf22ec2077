//! Networks of any shape with made-up weights.

use medsa_frames::Frame;
use medsa_sam::image::{Fit, Normalization, Preprocess};
use medsa_sam::tiny_vit::{Stage, Stem, TinyVitConfig};
use medsa_sam::vit::VitConfig;
use medsa_sam::{
    AdapterConfig, AdapterPlan, DecoderConfig, EncoderConfig, Error, PointOrder, Quantization, Sam,
    SamConfig, Weights,
};
use ndarray::{ArrayD, IxDyn};

/// A TinyViT of one block in each of two stages, with windows of side `window`, for inputs of
/// 64 px.
pub fn tiny_vit(window: usize) -> SamConfig {
    let stage = |dim, heads, stride| Stage { dim, depth: 1, heads, window, stride };
    with_encoder(EncoderConfig::TinyVit(TinyVitConfig {
        stem: Stem::Patches,
        stem_dim: 32,
        conv_blocks: 1,
        stages: vec![stage(32, 2, 2), stage(64, 2, 1)],
    }))
}

/// A ViT of a windowed and a global block, with windows of side `window`, for inputs of 64 px.
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

/// A network of that shape.
///
/// # Panics
/// If the shape is none that a network can have.
pub fn network(config: &SamConfig) -> Sam {
    let mut weights = Weights::new();
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

/// Small values around 0; positive ones for variances.
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

/// `sam` quantized on a made-up frame.
///
/// # Panics
/// If that fails.
pub fn quantization(sam: &Sam) -> Quantization {
    let side = sam.config().preprocess.input_size as u32;
    medsa_export::quantize(sam, &[frame(side)], |_, _, _| {}).unwrap().0
}

/// `sam` with adapters whose weights are made up.
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
