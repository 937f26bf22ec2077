//! Int8 quantization, calibrated on real frames.
//!
//! Each layer is calibrated by itself. First its input gets the scales and zero points that change
//! the output least on some sampled rows; then its weights are rounded so that the output changes
//! least on many rows. Finally, the few layers that change masks most for their cost return to
//! float.

mod fit;
mod layer;
mod moments;
mod prompts;
mod rounding;
mod samples;
mod sensitivity;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use candle_core::Device;
use medsa_bundle::QuantizationReport;
use medsa_engine::frame_view;
use medsa_frames::Frame;
use medsa_sam::{Int8Layer, Quantization, Sam};
use medsa_trainer::CandleBackend;
use medsa_trainer::train::{Network, Previous};
use ndarray::{Array1, Axis};
use rayon::prelude::*;

pub(crate) use self::layer::FloatLayer;
use self::moments::Moments;
use self::prompts::prompts;
pub(crate) use self::rounding::scales;
use self::samples::Samples;
pub(crate) use self::sensitivity::{Probe, sensitivities};
use crate::acceptance::phantoms;
use crate::error::Error;

/// Frames on which sensitivities are measured. Each frame needs one run per layer.
const SENSITIVITY_FRAMES: u64 = 2;

/// Limit of the multiply-accumulates spent on sensitivities, which takes minutes. A network that
/// needs more for one frame is quantized completely.
const SENSITIVITY_MACS: u64 = 20_000_000_000_000;

/// Largest part of all multiply-accumulates that may return to float.
const FLOAT_MACS: f64 = 0.045;

/// Largest number of weights that may return to float. Each takes three more bytes in the build.
const FLOAT_WEIGHTS: usize = 100_000;

/// Smallest part of the remaining error for which a layer returns to float.
const WORTH_FLOAT: f64 = 0.01;

/// Calibrates int8 quantization of `sam` on `frames`. `progress` receives the current task, the
/// number of finished items and their total.
///
/// # Errors
/// A frame that cannot be used, or an error of candle.
pub fn quantize(
    sam: &Sam,
    frames: &[Frame],
    mut progress: impl FnMut(&'static str, usize, usize) + Send,
) -> Result<(Quantization, QuantizationReport), Error> {
    let mut watch = |what, watcher| -> Result<(), Error> {
        let backend = CandleBackend::new(Device::Cpu).watched(watcher);
        let network = Network::with_backend(sam.clone(), backend);
        for (i, frame) in frames.iter().enumerate() {
            progress(what, i, frames.len());
            run_prompts(&network, frame, i)?;
        }
        Ok(())
    };
    let samples = Samples::of(frames.len());
    watch("finding ranges", samples.watcher())?;
    let observed = Rc::new(samples.into_layers());
    let moments: BTreeMap<String, Moments> = observed
        .par_iter()
        .map(|(name, observed)| (name.clone(), Moments::new(observed)))
        .collect();
    let moments = Rc::new(RefCell::new(moments));
    watch("calibrating layers", Moments::watcher(observed.clone(), moments.clone()))?;
    let moments = moments.take();
    let layers: BTreeMap<String, Int8Layer> = observed
        .par_iter()
        .map(|(name, observed)| (name.clone(), observed.fit(&moments[name])))
        .collect();
    let macs = sam.macs_by_name();
    let attentions = macs.keys().filter(|name| name.ends_with(".products")).cloned().collect();
    let mut quantization = Quantization { layers, attentions };
    // Each layer and attention needs a run that starts at its encoder step.
    let macs_of_probe = sam.cost()[0].macs * macs.len() as u64 / 2;
    let affordable = (SENSITIVITY_MACS / macs_of_probe.max(1)).min(SENSITIVITY_FRAMES) as usize;
    let spread = frames.len().div_ceil(affordable.max(1));
    let probes = frames.iter().enumerate().step_by(spread).take(affordable);
    let probes =
        probes.map(|(i, frame)| Probe::new(sam, frame, i)).collect::<Result<Vec<_>, _>>()?;
    let errors = sensitivities(sam, &quantization, &probes, |done, all| {
        progress("measuring sensitivities", done, all);
    })?;
    let in_float = layers_for_float(&errors, &macs, &quantization.layers);
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

/// The layers of `sam` by name, found by running it on a synthetic frame.
///
/// # Errors
/// Candle failed.
pub(crate) fn float_layers(sam: &Sam) -> Result<BTreeMap<String, FloatLayer>, Error> {
    let layers = Rc::new(RefCell::new(BTreeMap::new()));
    let found = layers.clone();
    let backend = CandleBackend::new(Device::Cpu).watched(Rc::new(move |layer, _| {
        let name = layer.weight().name();
        if !found.borrow().contains_key(name) {
            found.borrow_mut().insert(name.to_owned(), FloatLayer::new(layer));
        }
        Ok(())
    }));
    let frame = &phantoms(true)?[0].frame;
    run_prompts(&Network::with_backend(sam.clone(), backend), frame, 0)?;
    Ok(layers.take())
}

/// Runs the prompts of a frame; the second prompt also gets the mask of the first prediction.
fn run_prompts(network: &Network, frame: &Frame, number: usize) -> Result<(), Error> {
    let (image, geometry) = network.sam().config().preprocess.run(frame_view(frame)?);
    let embedding = network.embedding(&network.features(&image, 1)?, 1)?;
    let mut previous = None;
    for (i, prompt) in prompts(frame, number)?.iter().enumerate() {
        let logits = network.predict(&embedding, &prompt.tokens(&geometry), previous.take())?;
        if i == 0 {
            let logits = network.array(logits.value())?.insert_axis(Axis(1));
            let logits = logits.into_dimensionality().expect("logits have three axes");
            previous = Some(Previous { logits, present: Array1::ones(1) });
        }
    }
    Ok(())
}

/// Layers that return to float, chosen greedily: the largest error per multiply-accumulate first,
/// within the limits above.
fn layers_for_float(
    errors: &BTreeMap<String, f64>,
    macs: &BTreeMap<String, u64>,
    layers: &BTreeMap<String, Int8Layer>,
) -> Vec<String> {
    let weights = |name: &str| layers.get(name).map_or(0, |layer| layer.weight.len());
    let mut macs_left = (FLOAT_MACS * macs.values().sum::<u64>() as f64) as u64;
    let mut weights_left = FLOAT_WEIGHTS;
    let (mut left, mut chosen) = (errors.clone(), Vec::new());
    loop {
        let total: f64 = left.values().sum();
        let fits = |name: &str| macs[name] <= macs_left && weights(name) <= weights_left;
        let candidates =
            left.iter().filter(|(name, error)| **error >= WORTH_FLOAT * total && fits(name));
        let gain = |(name, error): &(&String, &f64)| **error / macs[*name] as f64;
        let Some((name, _)) = candidates.max_by(|a, b| gain(a).total_cmp(&gain(b))) else { break };
        let name = name.clone();
        macs_left -= macs[&name];
        weights_left -= weights(&name);
        left.remove(&name);
        chosen.push(name);
    }
    chosen.sort();
    chosen
}
