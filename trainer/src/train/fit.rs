//! Training loop. All random numbers of a step are derived from the seed and the numbers of step
//! and image. So a training that resumes gives the same results as one that never stopped,
//! regardless of which process handles which image.

use std::rc::Rc;

use candle_core::{DType, Device, Tensor};
use medsa_bundle::Origin;
use medsa_sam::image::Geometry;
use medsa_sam::{Quantization, Weights};
use ndarray::{Array1, Array2, Array4, ArrayView2, Axis, Ix3, concatenate, s};
use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::config::Config;
use super::evaluate::EvaluateError;
use super::example::Example;
use super::features::FeatureCache;
use super::group::Group;
use super::learner::{Learner, initial_weights, tie_repeated_biases};
use super::loss::dice_bce;
use super::network::{Network, Previous};
use super::optimizer::{AdamW, Gradients, clip};
use super::random::{draw, rng};
use super::stock::Stock;
use crate::backend::CandleBackend;
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::prompts::Prompting;
use crate::quantized::QuantizedBase;
use crate::region::{leave_out, shifted};
use crate::tape::Node;

/// A training in progress.
pub struct Fit {
    config: Config,
    quantized_base: Option<Origin>,
    learner: Learner,
    optimizer: AdamW,
    stocks: Vec<(Stock, FeatureCache)>,
    /// Stock of each image of an epoch, and the image's number within this stock.
    epoch: Vec<(usize, usize)>,
}

/// Result of one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Number of the step, from 0.
    pub step: usize,
    /// Mean loss of its images.
    pub loss: f64,
    /// Norm of all gradients together, before clipping.
    pub gradient_norm: f64,
    /// Learning rate.
    pub learning_rate: f64,
}

impl Fit {
    /// Starts a training of `config` on `base`. Adapters that are in `trained` start with those
    /// weights, all others are new.
    ///
    /// # Errors
    /// The data or the network do not match the configuration.
    pub fn new(
        config: Config,
        base: &Checkpoint,
        trained: Option<Weights>,
        device: Device,
    ) -> anyhow::Result<Self> {
        let sam = base.sam(Some(config.input_size))?;
        let mut initial = initial_weights(&sam, &config.adapters, config.seed);
        initial.extend(trained.into_iter().flatten());
        let trained = initial;
        if trained.is_empty() {
            anyhow::bail!("nothing to train: all of [adapters] is off and train_base is empty");
        }
        let path = &config.quantized_base;
        let quantized = path.as_ref().map(|p| QuantizedBase::read(p, base, config.input_size));
        let quantized = quantized.transpose()?;
        let sam = sam.with_adapters(&trained, &config.form);
        let sam = sam.map_err(|e| Error::network(&base.path, e))?;
        if config.fit.bf16 && device.is_cpu() {
            anyhow::bail!("fit.bf16 is true, but this program found no GPU; expected false");
        }
        let mut backend = CandleBackend::new(device);
        if config.fit.bf16 {
            backend = backend.products_in(DType::BF16);
        }
        if let Some(quantized) = &quantized {
            backend = backend.quantized(Rc::new(frozen(&quantized.quantization, &trained)));
        }
        let learner = Learner::train(Network::with_backend(sam, backend), &trained)?;
        let mut stocks = Vec::new();
        let mut epoch = Vec::new();
        for (index, data) in config.data.iter().enumerate() {
            let stock = Stock::open(data)?;
            epoch.extend((0..per_epoch(&stock)).map(|number| (index, number)));
            let recipe = recipe(&config, data, base, quantized.as_ref(), learner.network());
            let cache = FeatureCache::open(config.cache.as_deref(), &recipe)?;
            stocks.push((stock, cache));
        }
        let quantized_base = quantized.map(|base| base.origin);
        let optimizer = AdamW::default();
        Ok(Self { config, quantized_base, learner, optimizer, stocks, epoch })
    }

    /// Int8 base file, if the base computes in int8.
    pub fn quantized_base(&self) -> Option<&Origin> {
        self.quantized_base.as_ref()
    }

    /// Network in training.
    pub fn learner(&self) -> &Learner {
        &self.learner
    }

    /// Optimizer with its state.
    pub fn optimizer(&self) -> &AdamW {
        &self.optimizer
    }

    /// Continues with the optimizer of a saved state.
    pub fn resume(&mut self, optimizer: AdamW) {
        self.optimizer = optimizer;
    }

    /// Data sets with their feature caches.
    pub fn stocks(&self) -> &[(Stock, FeatureCache)] {
        &self.stocks
    }

    /// Number of steps taken.
    pub fn steps(&self) -> usize {
        self.optimizer.steps
    }

    /// Takes one step; each process of `group` handles its share of the images.
    ///
    /// # Errors
    /// An image cannot be read, or the device or the group failed.
    pub fn step(&mut self, group: &Group) -> Result<StepRecord, EvaluateError> {
        let step = self.optimizer.steps;
        let batch = self.config.fit.batch;
        let frozen = self.learner.network().detached();
        let mut gradients = Gradients::new();
        let mut loss = 0.0;
        for number in group.share(step, batch)? {
            let scaled = self.loss(number, &frozen)?.affine(1.0 / batch as f64, 0.0)?;
            loss += f64::from(scaled.value().to_scalar::<f32>()?);
            self.learner.collect(scaled, &mut gradients)?;
        }
        group.sum(self.learner.vars(), &mut gradients)?;
        tie_repeated_biases(&mut gradients)?;
        group.sum_scalars(std::slice::from_mut(&mut loss));
        let optimizer = &self.config.optimizer;
        let gradient_norm = clip(&mut gradients, optimizer.clip_norm)?;
        let learning_rate = optimizer.rate(step, self.config.fit.steps);
        self.optimizer.step(self.learner.vars(), &gradients, learning_rate, optimizer)?;
        group.check(step, self.learner.vars())?;
        Ok(StepRecord { step, loss, gradient_norm, learning_rate })
    }

    /// Loss of image number `number`, counted over all steps.
    fn loss(&self, number: usize, frozen: &Network) -> Result<Node, EvaluateError> {
        let (stock, item) = self.sample(number);
        let mut rng = self.rng(1, number);
        let (examples, features) = self.load(stock, item, &mut rng, frozen)?;
        let slices = self.config.fit.slices;
        let network = self.learner.network();
        let embeddings = network.embedding(&features, slices)?;
        let mut losses = Vec::new();
        for (slice, example) in examples.iter().enumerate() {
            let embedding = embeddings.narrow(0, slice, 1)?;
            losses.push(self.loss_of_slice(stock, example, &embedding, &mut rng, frozen)?);
        }
        Ok(Node::mean(&losses)?)
    }

    /// Loss of the last prediction for several prompts on one image, after the corrections of their
    /// plans.
    fn loss_of_slice(
        &self,
        stock: usize,
        example: &Example,
        embedding: &Node,
        rng: &mut ChaCha8Rng,
        frozen: &Network,
    ) -> Result<Node, EvaluateError> {
        let mut targets: Vec<usize> = (0..example.targets.len()).collect();
        targets.shuffle(rng);
        let targets: Vec<usize> =
            targets.iter().copied().cycle().take(self.config.fit.prompts_per_image).collect();
        let truth = |target: &usize| example.targets[*target].1.view();
        let of_data = self.stocks[stock].0.config.prompts.as_ref();
        let mix = of_data.unwrap_or(&self.config.prompts);
        let mut prompts: Vec<Prompting> =
            targets.iter().map(|target| mix.draw(rng).start(rng, truth(target))).collect();
        let detached = embedding.detach();
        loop {
            let open: Vec<usize> =
                (0..prompts.len()).filter(|&i| prompts[i].corrections_left() > 0).collect();
            if open.is_empty() {
                break;
            }
            let prompted: Vec<&Prompting> = open.iter().map(|&i| &prompts[i]).collect();
            let logits = frozen.predict(&detached, &example.tokens(&prompted), None)?;
            let found = masks(frozen, logits.value(), &example.geometry)?;
            for (&i, mut found) in open.iter().zip(found) {
                // Ignored pixels are no error to correct.
                leave_out(&mut found, example.ignored.as_ref());
                prompts[i].next(Some(rng), found.view(), truth(&targets[i]));
            }
        }
        let previous = self.previous(example, &targets, rng);
        let prompted: Vec<&Prompting> = prompts.iter().collect();
        let network = self.learner.network();
        let logits = network.predict(embedding, &example.tokens(&prompted), previous)?;
        let (width, height) = example.geometry.frame;
        let logits = logits.narrow(1, 0, height)?.narrow(2, 0, width)?;
        let truth = network.tensor(example.truth(&targets))?;
        let scored = example.scored().map(|scored| network.tensor(scored)).transpose()?;
        Ok(dice_bce(&logits, &truth, scored.as_ref())?)
    }

    /// Mask prompts like those from an earlier frame of a live sequence: the ground truth, moved
    /// slightly.
    fn previous(
        &self,
        example: &Example,
        targets: &[usize],
        rng: &mut ChaCha8Rng,
    ) -> Option<Previous> {
        /// Logit of a confident prediction.
        const SURE: f32 = 6.0;
        let side = self.learner.network().sam().config().mask_side();
        let mut logits = Array4::from_elem((targets.len(), 1, side, side), -SURE);
        let mut present = Array1::zeros(targets.len());
        for (i, &target) in targets.iter().enumerate() {
            let truth = example.targets[target].1.view();
            let (height, width) = truth.dim();
            let mut reach = |side: usize| (rng.random_range(-0.06..0.06) * side as f32) as isize;
            let moved = shifted(truth, [reach(height), reach(width)]);
            if !rng.random_bool(self.config.fit.previous_mask) {
                continue;
            }
            present[i] = 1.0;
            let mut part = logits.slice_mut(s![i, 0, ..height, ..width]);
            part.assign(&moved.mapv(|inside| if inside { SURE } else { -SURE }));
        }
        present.iter().any(|&p| p > 0.0).then_some(Previous { logits, present })
    }

    /// Examples of one image (or sequence of slices) and their features.
    fn load(
        &self,
        stock: usize,
        item: usize,
        rng: &mut ChaCha8Rng,
        frozen: &Network,
    ) -> Result<(Vec<Example>, Tensor), EvaluateError> {
        let (stock_index, (stock, cache)) = (stock, &self.stocks[stock]);
        let fit = &self.config.fit;
        let variant = match fit.variants {
            0 => None,
            variants => Some(rng.random_range(0..variants)),
        };
        let mut variation = match variant {
            Some(variant) => self
                .rng((FIRST_PURPOSE_OF_STOCKS + stock_index) as u64, item * fit.variants + variant),
            None => rng.clone(),
        };
        let samples = stock.read(item, fit.slices)?;
        let config = self.learner.network().sam().config();
        let examples: Vec<Example> = samples
            .iter()
            .map(|sample| {
                // All slices of a volume get the same variation.
                let sample = self.config.augment.apply(&mut variation.clone(), sample);
                let (kind, min_px) = (stock.config.targets, stock.config.min_px);
                Example::new(&sample, &config.preprocess, config.mask_side(), kind, min_px)
            })
            .collect();
        if variant.is_none() {
            // Skip the random numbers that the images used.
            variation.random::<u64>();
            *rng = variation;
        }
        let images: Vec<_> = examples.iter().map(|example| example.image.view()).collect();
        let images = concatenate(Axis(0), &images).expect("all have the input's size");
        let compute = || frozen.features(&images, fit.slices);
        let features = match variant {
            Some(variant) => cache.get(&format!("{item}-{variant}"), compute)?,
            None => compute()?,
        };
        Ok((examples, features))
    }

    /// Stock and item of image `number`. Each epoch has a fixed number of images from each stock,
    /// in its own order. A stock uses all its images once before it repeats one.
    fn sample(&self, number: usize) -> (usize, usize) {
        let count = self.epoch.len();
        let (stock, within) = self.epoch[draw(self.config.seed, 0, number, count)];
        let items = &self.stocks[stock].0;
        let number = number / count * per_epoch(items) + within;
        let purpose = FIRST_PURPOSE_OF_STOCKS + self.stocks.len() + stock;
        let item = draw(self.config.seed, purpose as u64, number, items.train.len());
        (stock, items.train[item])
    }

    /// Random numbers for one purpose.
    fn rng(&self, purpose: u64, number: usize) -> ChaCha8Rng {
        rng(self.config.seed, purpose, number)
    }
}

/// Random numbers of purpose 0 order an epoch, and those of purpose 1 make prompts. From here on,
/// each stock has one purpose for variations; after those of all stocks, each has one for the order
/// of its images.
const FIRST_PURPOSE_OF_STOCKS: usize = 2;

/// Number of images of a stock per epoch.
fn per_epoch(stock: &Stock) -> usize {
    match stock.config.images_per_epoch {
        0 => stock.train.len(),
        images => images,
    }
}

/// The quantization without the layers that contain `trained` tensors, which stay in float.
fn frozen(quantization: &Quantization, trained: &Weights) -> Quantization {
    let mut frozen = quantization.clone();
    frozen.layers.retain(|name, _| {
        let layer = name.strip_suffix("weight").unwrap_or(name);
        !["weight", "bias"].iter().any(|part| trained.contains_key(&format!("{layer}{part}")))
    });
    frozen
}

/// Everything that the features of a data set depend on.
fn recipe(
    config: &Config,
    data: &super::config::DataConfig,
    base: &Checkpoint,
    quantized: Option<&QuantizedBase>,
    network: &Network,
) -> String {
    let of_quantized = quantized.map(|base| format!("in 8 bits {}\n", base.origin.sha256));
    of_quantized.unwrap_or_default()
        + &format!(
            "base {}\ninput {} px\nsteps {}\ndata {}\nvariants {}\nslices {}\nseed {}\naugment {}\n",
            base.origin.sha256,
            config.input_size,
            network.frozen_steps(),
            data.path.display(),
            config.fit.variants,
            config.fit.slices,
            config.seed,
            serde_json::to_string(&config.augment).expect("a configuration is plain data"),
        )
}

/// Masks of logits `[T, 4h, 4w]`, in the part that covers the image.
fn masks(
    network: &Network,
    logits: &Tensor,
    geometry: &Geometry,
) -> Result<Vec<Array2<bool>>, candle_core::Error> {
    let (width, height) = geometry.frame;
    let logits = network.array(logits)?.into_dimensionality::<Ix3>().expect("three axes");
    let mask =
        |logits: ArrayView2<f32>| logits.slice(s![..height, ..width]).mapv(|logit| logit > 0.0);
    Ok(logits.outer_iter().map(mask).collect())
}

impl Fit {
    /// Writes the state from which the training can resume.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &std::path::Path, best: Option<f64>) -> Result<(), Error> {
        super::state::write(path, &self.learner, &self.optimizer, best)
    }

    /// Resumes a training from a state; also returns the best score so far.
    ///
    /// # Errors
    /// As for [`Fit::new`], or the state belongs to another training.
    pub fn load_state(
        config: Config,
        base: &Checkpoint,
        path: &std::path::Path,
        device: Device,
    ) -> anyhow::Result<(Self, Option<f64>)> {
        let state = super::state::State::read(path)?;
        let mut fit = Self::new(config, base, Some(state.weights.clone()), device)?;
        let optimizer = state.optimizer(path, &fit.learner)?;
        fit.resume(optimizer);
        Ok((fit, state.best))
    }
}
