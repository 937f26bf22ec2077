//! Verification of a build: compares it with the trained network on images with ground truth.

use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use medsa_bundle::{Build, Limits, Manifest, Precision};
use medsa_engine::Engine;
use medsa_engine::acceptance::{iou, median};
use medsa_engine::frame_view;
use medsa_frames::Frame;
use medsa_sam::{Folding, Quantization, Sam};
use medsa_trainer::data::Targets;
use medsa_trainer::metrics::Mean;
use medsa_trainer::prompts::PromptKind;
use medsa_trainer::train::{Evaluation, FeatureCache, Network, Prediction, Stock, evaluate};
use medsa_trainer::{Adapter, Checkpoint};
use serde::Serialize;

use crate::card;
use crate::error::Error;
use crate::onnx::read_quantization;
use crate::quantize::{Probe, sensitivities};
use crate::runner::{Runner, boxes, clicks, on_candle};
use crate::trained::check_origin;

/// Inputs and settings of a verification.
pub struct Verify {
    /// Build file.
    pub build: PathBuf,
    /// Base model that it was made from.
    pub base: PathBuf,
    /// Adapter that it was made from.
    pub adapter: Option<PathBuf>,
    /// Kinds of prompts.
    pub kinds: Vec<PromptKind>,
    /// Number of frames on which the device's runtime is compared, too.
    pub edge_frames: usize,
    /// Threads of the device's runtime.
    pub threads: NonZeroUsize,
    /// HTML page to write, with images of the data set.
    pub card: Option<PathBuf>,
}

/// Results of a verification.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    /// Results by class and prompt.
    pub rows: Vec<VerifiedRow>,
    /// Results on the device's runtime, if frames were requested.
    pub edge: Option<EdgeAgreement>,
    /// The ten layers that change masks most when only they are in int8, with the mean squared
    /// change of the probability that a pixel belongs to the mask.
    pub worst_layers: Vec<(String, f64)>,
    /// Size of the build, in bytes.
    pub bytes: u64,
}

/// Results of one class and prompt.
#[derive(Clone, Debug, Serialize)]
pub struct VerifiedRow {
    /// Name of the class.
    pub class: String,
    /// Kind of prompt.
    pub prompt: PromptKind,
    /// Dice of the trained network.
    pub trained: Mean,
    /// Dice of the folded network.
    pub folded: Mean,
    /// Dice of the build.
    pub build: Mean,
    /// IoU of the build's masks with those of the trained network.
    pub agreement: Mean,
    /// Lowest of these IoUs.
    pub lowest: f64,
}

/// Agreement of the device's runtime with the same arithmetic on candle.
#[derive(Clone, Debug, Serialize)]
pub struct EdgeAgreement {
    /// Number of masks compared.
    pub masks: usize,
    /// Mean IoU of the masks.
    pub mean_iou: f64,
    /// Lowest IoU.
    pub min_iou: f64,
    /// Median time of the encoder per frame.
    pub encoder_ms: f64,
    /// Median time of the decoder per prompt.
    pub decoder_ms: f64,
}

impl Verify {
    /// Verifies on the images that `stock` reports on. `progress` receives the current task, the
    /// number of finished items and their total.
    ///
    /// # Errors
    /// A file cannot be read, or the build was not made from it.
    pub fn run(
        &self,
        stock: &Stock,
        mut progress: impl FnMut(&'static str, usize, usize) + Send,
    ) -> Result<Verified, Error> {
        let build = Build::read(&self.build, &Limits::default())?;
        let manifest = build.manifest();
        let base = Checkpoint::read(&self.base)?;
        let adapter = self.adapter.as_deref().map(Adapter::read).transpose()?;
        check_origin(&self.build, "base", Some(&manifest.base), Some(&base.origin))?;
        let adapter_origin = adapter.as_ref().map(|adapter| &adapter.origin);
        check_origin(&self.build, "adapter", manifest.adapter.as_ref(), adapter_origin)?;
        let size = Some(manifest.preprocess.input_size);
        let trained = match &adapter {
            Some(adapter) => adapter.sam(&base, size)?,
            None => base.sam(size)?,
        };
        let folded = trained.clone().folded(&Folding::ALL);
        let quantization = self.quantization(&build)?;
        let mut predictions = Vec::new();
        for (name, network) in [
            ("as trained", on_candle(&trained, Quantization::default())),
            ("folded", on_candle(&folded, Quantization::default())),
            ("as built", on_candle(&folded, quantization.clone())),
        ] {
            let done = |done| progress(name, done, stock.part(stock.reported()).len());
            predictions.push(predict(&network, stock, &self.kinds, done)?);
        }
        let frames = self.frames(stock)?;
        let as_built = Runner::Candle(Box::new(on_candle(&folded, quantization.clone())));
        let edge = self.edge(&build, &as_built, &frames, &mut progress)?;
        let worst_layers = match frames.first() {
            Some(frame) if manifest.precision == Precision::Int8 => {
                worst(&folded, &quantization, frame, &mut progress)?
            }
            _ => Vec::new(),
        };
        let bytes = manifest.files.values().map(|file| file.bytes).sum();
        let verified = Verified { rows: rows(&predictions), edge, worst_layers, bytes };
        if let Some(path) = &self.card {
            let [trained, _, built] = &predictions[..] else { unreachable!("there are three") };
            let scenes = card::scenes(stock, trained, built)?;
            let page = card::verified(&build, stock, &verified, &scenes)?;
            fs::write(path, page).map_err(|source| Error::Io { path: path.clone(), source })?;
        }
        Ok(verified)
    }

    fn quantization(&self, build: &Build) -> Result<Quantization, Error> {
        let files = [Manifest::ENCODER, Manifest::DECODER];
        let files = files.iter().filter_map(|name| build.file(name));
        let read = read_quantization(files);
        read.map_err(|reason| Error::NotOnnx { path: self.build.clone(), reason })
    }

    /// Evenly spread images of the part that `stock` reports on.
    fn frames(&self, stock: &Stock) -> Result<Vec<Frame>, Error> {
        let items = stock.part(stock.reported());
        let count = self.edge_frames.min(items.len());
        let samples = (0..count).map(|i| {
            let item = items[i * items.len() / count];
            let sample = stock.read(item, 1)?.swap_remove(0);
            let (width, height) = (sample.width as u32, sample.height as u32);
            Ok(Frame { width, height, rgb: sample.rgb.to_vec(), pixel_spacing_mm: None })
        });
        samples.collect()
    }

    fn edge(
        &self,
        build: &Build,
        as_built: &Runner,
        frames: &[Frame],
        progress: &mut (impl FnMut(&'static str, usize, usize) + Send),
    ) -> Result<Option<EdgeAgreement>, Error> {
        if frames.is_empty() {
            return Ok(None);
        }
        // Not loaded as on a device, so that a build marked as unfit can be inspected.
        let file = |name| build.file(name).unwrap_or_default();
        let (encoder, decoder) = (file(Manifest::ENCODER), file(Manifest::DECODER));
        let preprocess = build.manifest().preprocess;
        let engine = Engine::from_onnx(encoder, decoder, preprocess, self.threads)?;
        let (mut ious, mut encoder, mut decoder) = (Vec::new(), Vec::new(), Vec::new());
        for (i, frame) in frames.iter().enumerate() {
            progress("device runtime", i, frames.len());
            let prompts = [boxes(frame)?, clicks(frame)?].concat();
            let expected = as_built.masks(frame, &prompts)?;
            let view = frame_view(frame)?;
            let (image, geometry) = engine.preprocess().run(view);
            let (embedding, ms) = timed(|| engine.encode(&image))?;
            encoder.push(ms);
            for (prompt, expected) in prompts.iter().zip(&expected) {
                let tokens = prompt.tokens(&geometry);
                let (decoded, ms) = timed(|| engine.decode(&embedding, &tokens, None))?;
                decoder.push(ms);
                ious.push(iou(&geometry.mask_in_frame(decoded.single().0), expected));
            }
        }
        Ok(Some(EdgeAgreement {
            masks: ious.len(),
            mean_iou: ious.iter().sum::<f64>() / ious.len() as f64,
            min_iou: ious.iter().copied().fold(1.0, f64::min),
            encoder_ms: median(encoder),
            decoder_ms: median(decoder),
        }))
    }
}

fn predict(
    network: &Network,
    stock: &Stock,
    kinds: &[PromptKind],
    mut progress: impl FnMut(usize),
) -> Result<Vec<Prediction>, Error> {
    let none = FeatureCache::none();
    let evaluation =
        Evaluation { part: stock.reported(), kinds, targets: Targets::Largest, slices: 1, seed: 0 };
    let (mut predictions, mut done) = (Vec::new(), 0);
    evaluate(network, stock, &none, &evaluation, |_, of_sample| {
        predictions.extend(of_sample);
        done += 1;
        progress(done);
    })?;
    Ok(predictions)
}

/// Joins the predictions of the trained, the folded and the built network, which are in the same
/// order.
fn rows(predictions: &[Vec<Prediction>]) -> Vec<VerifiedRow> {
    let [trained, folded, build] = predictions else { unreachable!("there are three") };
    let mut keys: Vec<(&str, PromptKind)> =
        trained.iter().map(|found| (found.class.as_str(), found.kind)).collect();
    keys.sort();
    keys.dedup();
    let row = |(class, prompt): (&str, PromptKind)| {
        let is_of = |found: &&Prediction| found.class == class && found.kind == prompt;
        let dice = |predictions: &[Prediction]| {
            let dice = predictions.iter().filter(is_of).map(|found| found.scores.dice);
            Mean::bootstrap(&dice.collect::<Vec<_>>())
        };
        let pairs = trained.iter().filter(is_of).zip(build.iter().filter(is_of));
        let ious: Vec<f64> = pairs.map(|(a, b)| iou(&a.found, &b.found)).collect();
        VerifiedRow {
            class: class.to_owned(),
            prompt,
            trained: dice(trained),
            folded: dice(folded),
            build: dice(build),
            agreement: Mean::bootstrap(&ious),
            lowest: ious.iter().copied().fold(1.0, f64::min),
        }
    };
    keys.into_iter().map(row).collect()
}

fn worst(
    sam: &Sam,
    quantization: &Quantization,
    frame: &Frame,
    progress: &mut (impl FnMut(&'static str, usize, usize) + Send),
) -> Result<Vec<(String, f64)>, Error> {
    let probe = Probe::new(sam, frame, 0)?;
    let errors = sensitivities(sam, quantization, &[probe], |done, all| {
        progress("measuring sensitivities", done, all);
    })?;
    let mut errors: Vec<(String, f64)> = errors.into_iter().collect();
    errors.sort_by(|a, b| b.1.total_cmp(&a.1));
    errors.truncate(10);
    Ok(errors)
}

/// A result, and the time it took in ms.
fn timed<T>(work: impl FnOnce() -> Result<T, medsa_engine::Error>) -> Result<(T, f64), Error> {
    let start = Instant::now();
    let found = work()?;
    Ok((found, start.elapsed().as_secs_f64() * 1e3))
}
