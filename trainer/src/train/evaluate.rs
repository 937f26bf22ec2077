//! Evaluation of a network on prompts for images that it was not trained on.

use std::collections::BTreeMap;

use medsa_sam::image::RgbView;
use medsa_sam::mask::CleanUp;
use ndarray::{Array2, Axis, Ix2};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::features::FeatureCache;
use super::group::GroupError;
use super::network::Network;
use super::stock::{Stock, StockError};
use crate::data::{Part, Targets, TrainingImage};
use crate::metrics::{Mean, Scores};
use crate::prompts::{PromptKind, Prompting};
use crate::region::leave_out;
use crate::tape::Node;

/// Prediction for one prompt.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// Name of the item.
    pub item: String,
    /// Name of the class.
    pub class: String,
    /// Kind of prompt.
    pub kind: PromptKind,
    /// Prompt in frame pixels, including all corrections.
    pub prompting: Prompting,
    /// Predicted mask, cleaned up as on a device, in frame pixels, without those to ignore.
    pub found: Array2<bool>,
    /// Ground truth, in frame pixels.
    pub truth: Array2<bool>,
    /// Scores of the predicted mask.
    pub scores: Scores,
}

/// Settings of an evaluation.
pub struct Evaluation<'a> {
    /// Part of the data set to evaluate on.
    pub part: Part,
    /// Kinds of prompts.
    pub kinds: &'a [PromptKind],
    /// Target of one prompt.
    pub targets: Targets,
    /// Images of a volume or cine processed together.
    pub slices: usize,
    /// Seed of random clicks and boxes.
    pub seed: u64,
}

/// Smallest target, in pixels of the frame; smaller ones are annotation noise.
const MIN_PX: usize = 30;

/// Prompts `network` for every target of every item in one part of `stock`, and passes each image
/// with its predictions to `each`. Features of the frozen encoder steps are kept in `features`.
///
/// # Errors
/// An image cannot be read, or the device failed.
pub fn evaluate(
    network: &Network,
    stock: &Stock,
    features: &FeatureCache,
    evaluation: &Evaluation,
    mut each: impl FnMut(&TrainingImage, Vec<Prediction>),
) -> Result<(), EvaluateError> {
    for &first in stock.part(evaluation.part) {
        let samples = stock.read(first, evaluation.slices)?;
        let preprocess = &network.sam().config().preprocess;
        let name = format!("plain-{first}");
        let features = features.get(&name, || {
            let images = samples.iter().map(|sample| {
                let view = RgbView::new(sample.width, sample.height, &sample.rgb);
                preprocess.run(view.expect("a decoded image is whole")).0
            });
            let images: Vec<_> = images.collect();
            let views: Vec<_> = images.iter().map(|image| image.view()).collect();
            let images = ndarray::concatenate(Axis(0), &views).expect("all have the input's size");
            network.features(&images, evaluation.slices)
        })?;
        let embedding = network.embedding(&features, evaluation.slices)?.narrow(0, 0, 1)?;
        let sample = &samples[0];
        let ignored = sample.ignored();
        let predict = |prompting: &Prompting| -> Result<_, candle_core::Error> {
            let mut found = predict(network, &embedding, sample, prompting)?;
            leave_out(&mut found, ignored.as_ref());
            Ok(found)
        };
        let mut predictions = Vec::new();
        for (class, truth) in sample.targets(evaluation.targets, MIN_PX) {
            for &kind in evaluation.kinds {
                // The same for all, so that a prompt does not depend on which others there are.
                let mut rng = ChaCha8Rng::seed_from_u64(evaluation.seed);
                rng.set_stream(first as u64);
                let mut prompting = kind.plan().start(&mut rng, truth.view());
                let mut found = predict(&prompting)?;
                while prompting.next(None, found.view(), truth.view()).is_some() {
                    found = predict(&prompting)?;
                }
                let scores = Scores::new(found.view(), truth.view());
                predictions.push(Prediction {
                    item: stock.item(first).name.clone(),
                    class: stock.class(class),
                    kind,
                    prompting,
                    found,
                    truth: truth.clone(),
                    scores,
                });
            }
        }
        each(sample, predictions);
    }
    Ok(())
}

fn predict(
    network: &Network,
    embedding: &Node,
    sample: &TrainingImage,
    prompting: &Prompting,
) -> Result<Array2<bool>, candle_core::Error> {
    let frame = (sample.width, sample.height);
    let geometry = network.sam().config().preprocess.geometry(frame);
    let prompt = prompting.prompt(frame).expect("the prompt was made from this frame's mask");
    let logits = network.predict(embedding, &prompt.tokens(&geometry), None)?;
    let logits = network.array(&logits.value().squeeze(0)?)?;
    let mut logits = logits.into_dimensionality::<Ix2>().expect("one mask has two axes");
    CleanUp::default().run(&mut logits, &geometry, &prompt);
    Ok(geometry.mask_in_frame(logits.view()))
}

/// An evaluation or training step that failed.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The data set cannot be used.
    #[error(transparent)]
    Stock(#[from] StockError),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] candle_core::Error),
    /// The group of processes failed.
    #[error(transparent)]
    Group(#[from] GroupError),
}

impl From<crate::data::Problem> for EvaluateError {
    fn from(problem: crate::data::Problem) -> Self {
        Self::Stock(problem.into())
    }
}

/// Means by class and kind of prompt.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    scores: BTreeMap<(String, PromptKind), Vec<Scores>>,
}

/// Means of one class and kind of prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Name of the class.
    pub class: String,
    /// Kind of prompt.
    pub prompt: PromptKind,
    /// Dice coefficient.
    pub dice: Mean,
    /// Intersection over union.
    pub iou: Mean,
    /// 95th percentile of outline distances, in pixels of the frame.
    pub hd95_px: Mean,
    /// Normalized surface Dice at a tolerance of 2 px; `None` in logs of earlier versions.
    #[serde(default)]
    pub nsd_2px: Option<Mean>,
}

impl Row {
    /// Names of the metrics.
    pub const METRICS: [&'static str; 4] = ["dice", "iou", "hd95_px", "nsd_2px"];

    /// The metrics, in the order of [`Row::METRICS`]; `None` for one that an earlier version did
    /// not log.
    pub fn metrics(&self) -> [Option<&Mean>; 4] {
        [Some(&self.dice), Some(&self.iou), Some(&self.hd95_px), self.nsd_2px.as_ref()]
    }
}

impl Summary {
    /// Adds a prediction.
    pub fn add(&mut self, prediction: &Prediction) {
        let key = (prediction.class.clone(), prediction.kind);
        self.scores.entry(key).or_default().push(prediction.scores);
    }

    /// Means with 95 % intervals.
    pub fn rows(&self) -> Vec<Row> {
        let row = |((class, prompt), scores): (&(String, PromptKind), &Vec<Scores>)| {
            let mean =
                |f: fn(&Scores) -> f64| Mean::bootstrap(&scores.iter().map(f).collect::<Vec<_>>());
            Row {
                class: class.clone(),
                prompt: *prompt,
                dice: mean(|s| s.dice),
                iou: mean(|s| s.iou),
                hd95_px: mean(|s| s.hd95_px),
                nsd_2px: Some(mean(|s| s.nsd_2px)),
            }
        };
        self.scores.iter().map(row).collect()
    }

    /// Mean Dice over classes and kinds of prompts, each with the same weight; 0 without
    /// predictions.
    pub fn score(&self) -> f64 {
        let mean =
            |scores: &Vec<Scores>| scores.iter().map(|s| s.dice).sum::<f64>() / scores.len() as f64;
        self.scores.values().map(mean).sum::<f64>() / self.scores.len().max(1) as f64
    }
}
