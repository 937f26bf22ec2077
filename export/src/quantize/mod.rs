//! From float to 8 bits, with what real frames show of each layer's input.
//!
//! Each layer is fitted by itself: with which steps and zeros its input and with which rounding
//! its weights change its output on sampled rows least. Then the few that change the embedding
//! most for what they cost go back to float.

mod fit;
mod rounding;
mod samples;
mod sensitivity;

use std::collections::BTreeMap;

use candle_core::Device;
use medsa_bundle::QuantizationReport;
use medsa_edge::pipeline::frame_view;
use medsa_frames::Frame;
use medsa_sam::{Int8Layer, Quantization, Sam};
use medsa_trainer::CandleBackend;
use medsa_trainer::train::Network;
use ndarray::Array4;
use rayon::prelude::*;

use self::samples::Samples;
pub(crate) use self::sensitivity::sensitivities;
use crate::error::Error;
use crate::runner::{Runner, boxes, clicks};

/// Frames on which sensitivities are measured: each costs as many runs as there are layers.
const SENSITIVITY_FRAMES: usize = 2;

/// Multiply-accumulates that they may cost, which is minutes: networks at which one frame costs more
/// are wholly in 8 bits.
const SENSITIVITY_MACS: u64 = 20_000_000_000_000;

/// Part of all multiply-accumulates that may go back to float.
const FLOAT_MACS: f64 = 0.045;

/// Weights that may go back to float: each takes three more bytes in the build.
const FLOAT_WEIGHTS: usize = 100_000;

/// Layers of a smaller part of the sum of all errors stay in 8 bits.
const WORTH_FLOAT: f64 = 0.01;

/// Fits `sam` to `frames`. `progress` is told what is done, and how many of how many.
///
/// # Errors
/// A frame that cannot be used, or candle's.
pub fn quantize(
    sam: &Sam,
    frames: &[Frame],
    mut progress: impl FnMut(&'static str, usize, usize),
) -> Result<(Quantization, QuantizationReport), Error> {
    let samples = Samples::of(frames.len());
    let backend = CandleBackend::new(Device::Cpu).watched(samples.watcher());
    let network = Runner::Candle(Box::new(Network::with_backend(sam.clone(), backend)));
    let mut images = Vec::new();
    for (i, frame) in frames.iter().enumerate() {
        progress("watching frames", i, frames.len());
        let prompts = [boxes(frame)?, clicks(frame)?].concat();
        network.logits(frame, &prompts)?;
        let view = frame_view(frame)?;
        images.push(sam.config().preprocess.run(view).0);
    }
    drop(network);
    let observed = samples.into_layers();
    progress("fitting layers", 0, 1);
    let layers: BTreeMap<String, Int8Layer> =
        observed.into_par_iter().map(|(name, observed)| (name, observed.fit())).collect();
    let macs = sam.macs_by_name();
    let attentions = macs.keys().filter(|name| name.ends_with(".products")).cloned().collect();
    let mut quantization = Quantization { layers, attentions };
    // Each layer and attention is a run from its step on.
    let macs_of_frame = sam.cost()[0].macs * macs.len() as u64 / 2;
    let affordable =
        (SENSITIVITY_MACS / macs_of_frame.max(1)).min(SENSITIVITY_FRAMES as u64) as usize;
    let spread = images.len().div_ceil(affordable.max(1));
    let some: Vec<Array4<f32>> = images.into_iter().step_by(spread).take(affordable).collect();
    let errors = sensitivities(sam, &quantization, &some, |done, all| {
        progress("weighing layers", done, all);
    })?;
    let in_float = dispensable(&errors, &macs, &quantization.layers);
    for name in &in_float {
        quantization.layers.remove(name);
        quantization.attentions.remove(name);
    }
    let is_int8 = |name: &&String| {
        quantization.layers.contains_key(*name) || quantization.attentions.contains(*name)
    };
    let of = |names: &mut dyn Iterator<Item = &String>| names.map(|name| macs[name]).sum::<u64>();
    let int8_macs = of(&mut macs.keys().filter(is_int8)) as f64 / of(&mut macs.keys()) as f64;
    Ok((quantization, QuantizationReport { int8_macs, in_float }))
}

/// What is better left in float: the most error for the fewest multiply-accumulates first.
fn dispensable(
    errors: &BTreeMap<String, f64>,
    macs: &BTreeMap<String, u64>,
    layers: &BTreeMap<String, Int8Layer>,
) -> Vec<String> {
    let total: f64 = errors.values().sum();
    let mut left = FLOAT_MACS * macs.values().sum::<u64>() as f64;
    let mut weights_left = FLOAT_WEIGHTS;
    let mut candidates: Vec<(&String, f64, f64)> = errors
        .iter()
        .filter(|(_, error)| **error >= WORTH_FLOAT * total)
        .map(|(name, error)| (name, *error, macs[name] as f64))
        .collect();
    candidates.sort_by(|a, b| (b.1 / b.2).total_cmp(&(a.1 / a.2)));
    let mut chosen = Vec::new();
    for (name, _, macs) in candidates {
        let weights = layers.get(name).map_or(0, |layer| layer.weight.len());
        if macs <= left && weights <= weights_left {
            left -= macs;
            weights_left -= weights;
            chosen.push(name.clone());
        }
    }
    chosen.sort();
    chosen
}
