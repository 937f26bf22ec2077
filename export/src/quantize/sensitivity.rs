//! Sensitivity of masks to each int8 layer.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Mutex;

use candle_core::{Device, Result, Tensor};
use medsa_engine::frame_view;
use medsa_frames::Frame;
use medsa_sam::prompt::{PromptTokens, TOKEN_SLOTS};
use medsa_sam::{Quantization, Sam};
use medsa_trainer::train::Network;
use medsa_trainer::{CandleBackend, Node};
use ndarray::{Array4, Axis, concatenate};
use rayon::prelude::*;

use super::prompts::prompts;
use crate::error::Error;

/// Prompts per frame: a click and a box.
const PROMPTS: usize = 2;

/// A frame as network input, with prompts.
pub(crate) struct Probe {
    /// `[1, 3, S, S]`.
    image: Array4<f32>,
    /// Tokens of the T prompts: `[T, N, 2]` and `[T, N]`.
    tokens: PromptTokens,
}

impl Probe {
    /// Prepares a frame. Each `number` gives prompts at different positions.
    ///
    /// # Errors
    /// The frame's pixels do not fit its size.
    pub(crate) fn new(sam: &Sam, frame: &Frame, number: usize) -> std::result::Result<Self, Error> {
        let (image, geometry) = sam.config().preprocess.run(frame_view(frame)?);
        let tokens: Vec<PromptTokens> = prompts(frame, number)?
            .iter()
            .take(PROMPTS)
            .map(|prompt| prompt.tokens(&geometry).padded(TOKEN_SLOTS))
            .collect();
        let coords: Vec<_> = tokens.iter().map(|tokens| tokens.coords.view()).collect();
        let labels: Vec<_> = tokens.iter().map(|tokens| tokens.labels.view()).collect();
        let tokens = PromptTokens {
            coords: concatenate(Axis(0), &coords).expect("all have as many slots"),
            labels: concatenate(Axis(0), &labels).expect("all have as many slots"),
        };
        Ok(Self { image, tokens })
    }
}

/// Sensitivity of each layer and attention: the mean squared change of the probability that a pixel
/// belongs to the mask, over the masks of `probes`, when only that layer is in int8. `progress`
/// receives the number of finished runs and their total.
///
/// # Errors
/// Candle failed.
pub(crate) fn sensitivities(
    sam: &Sam,
    quantization: &Quantization,
    probes: &[Probe],
    progress: impl FnMut(usize, usize) + Send,
) -> Result<BTreeMap<String, f64>> {
    let mut trials = Vec::new();
    for probe in probes {
        trials.extend(Trial::all(sam, quantization, probe)?);
    }
    let progress = Mutex::new((0, progress));
    let error = |backends: &mut Backends, trial: &Trial| {
        let error = trial.error(sam, quantization, backends)?;
        let mut progress = progress.lock().expect("no callback panicked");
        progress.0 += 1;
        let done = progress.0;
        (progress.1)(done, trials.len());
        Ok(error)
    };
    // One after the other on each core: the products of these small batches are too short to be
    // shared by cores.
    let errors = trials.par_iter().map_init(|| Backends::new(sam), error);
    let errors = errors.collect::<Result<Vec<f64>>>()?;
    let mut found = BTreeMap::new();
    for (trial, error) in trials.iter().zip(errors) {
        *found.entry(trial.name.clone()).or_default() += error / probes.len() as f64;
    }
    Ok(found)
}

/// A run of the network with one layer or attention in int8.
struct Trial<'a> {
    name: String,
    probe: &'a Probe,
    /// Input of the layer's encoder step, and the number of the step.
    encoder: Option<(Tensor, usize)>,
    /// Embedding of the probe in float, `[1, h, w, C]`.
    embedding: Tensor,
    /// Probabilities in float.
    expected: Tensor,
}

/// Backends of one thread, which keep the weights of the network.
struct Backends {
    float: Network,
    int8: Network,
}

impl Backends {
    fn new(sam: &Sam) -> Self {
        let network = || Network::new(sam.clone(), Device::Cpu);
        Self { float: network(), int8: network() }
    }
}

impl<'a> Trial<'a> {
    /// A trial for each layer and attention.
    fn all(sam: &Sam, quantization: &Quantization, probe: &'a Probe) -> Result<Vec<Self>> {
        let seen = Seen::default();
        let float = Network::with_backend(sam.clone(), seen.backend());
        let steps = by_step(sam, &probe.image, &seen)?;
        let embedding = steps.last().expect("an encoder has steps").after.clone();
        let expected = probabilities(&float, &embedding, &probe.tokens)?;
        let trial = |name, encoder| Self {
            name,
            probe,
            encoder,
            embedding: embedding.clone(),
            expected: expected.clone(),
        };
        let mut trials = Vec::new();
        for (number, Step { before, names, .. }) in steps.iter().enumerate() {
            for layer in names.iter().flat_map(|name| in_int8(quantization, name)) {
                trials.push(trial(layer, Some((before.clone(), number))));
            }
        }
        let in_decoder = seen.take();
        let layers = in_decoder.iter().flat_map(|name| in_int8(quantization, name));
        trials.extend(layers.map(|layer| trial(layer, None)));
        Ok(trials)
    }

    /// Mean squared change of the probabilities.
    fn error(
        &self,
        sam: &Sam,
        quantization: &Quantization,
        backends: &mut Backends,
    ) -> Result<f64> {
        let Backends { float, int8 } = backends;
        int8.requantize(Rc::new(alone(quantization, &self.name)));
        let changed = match &self.encoder {
            Some((before, step)) => {
                let x = Node::constant(before.clone());
                let x = int8.encode(&x, *step..sam.encoder_steps(), 1)?;
                probabilities(float, x.value(), &self.probe.tokens)?
            }
            None => probabilities(int8, &self.embedding, &self.probe.tokens)?,
        };
        let error = (changed - &self.expected)?.sqr()?.mean_all()?.to_scalar::<f32>()?;
        Ok(f64::from(error))
    }
}

/// Probability that each pixel belongs to the mask, `[T, 4h, 4w]`, for an embedding `[1, h, w, C]`.
fn probabilities(network: &Network, embedding: &Tensor, tokens: &PromptTokens) -> Result<Tensor> {
    let embedding = Node::constant(embedding.clone()).permute(&[0, 3, 1, 2])?;
    let logits = network.predict(&embedding, tokens, None)?;
    let ones = logits.value().ones_like()?;
    ones.div(&(&ones + logits.value().neg()?.exp()?)?)
}

/// Names of the layers that were called.
#[derive(Clone, Default)]
struct Seen(Rc<RefCell<BTreeSet<String>>>);

impl Seen {
    fn backend(&self) -> CandleBackend {
        let names = self.0.clone();
        CandleBackend::new(Device::Cpu).watched(Rc::new(move |layer, _| {
            names.borrow_mut().insert(layer.weight().name().to_owned());
            Ok(())
        }))
    }

    fn take(&self) -> BTreeSet<String> {
        self.0.take()
    }
}

/// Input and output of one encoder step in float.
struct Step {
    before: Tensor,
    after: Tensor,
    /// Names of the weights used in it.
    names: BTreeSet<String>,
}

fn by_step(sam: &Sam, image: &Array4<f32>, seen: &Seen) -> Result<Vec<Step>> {
    let backend = seen.backend();
    let mut x = backend.tensor(image.clone())?;
    let mut steps = Vec::new();
    for step in 0..sam.encoder_steps() {
        let before = x.value().clone();
        x = sam.encode_steps(&backend, &x, step..step + 1, 1)?;
        steps.push(Step { before, after: x.value().clone(), names: seen.take() });
    }
    Ok(steps)
}

/// Names under which a layer, and the attention whose queries it computes, are in int8.
fn in_int8(quantization: &Quantization, layer: &str) -> Vec<String> {
    let products = format!("{layer}.products");
    let layer = quantization.layers.contains_key(layer).then(|| layer.to_owned());
    let products = quantization.attentions.contains(&products).then_some(products);
    layer.into_iter().chain(products).collect()
}

/// Quantization of only this layer or attention.
fn alone(quantization: &Quantization, name: &str) -> Quantization {
    let layers = quantization.layers.get_key_value(name).into_iter();
    Quantization {
        layers: layers.map(|(name, layer)| (name.clone(), layer.clone())).collect(),
        attentions: quantization.attentions.get(name).cloned().into_iter().collect(),
    }
}
