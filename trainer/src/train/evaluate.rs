//! How well a network answers prompts about pictures it has not seen.

use std::collections::BTreeMap;

use medsa_sam::image::RgbView;
use ndarray::{Array2, Axis, Ix2};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::features::FeatureCache;
use super::group::GroupError;
use super::network::Network;
use super::stock::{Stock, StockError};
use crate::data::{Part, Picture, Targets};
use crate::metrics::{Mean, Scores};
use crate::prompts::{PromptKind, Prompting};
use crate::tape::Node;

/// One answer to one prompt.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Name of the item.
    pub item: String,
    /// Name of the class.
    pub class: String,
    /// The setting.
    pub kind: PromptKind,
    /// The prompt, in frame pixels, with all corrections.
    pub prompting: Prompting,
    /// The mask, in frame pixels.
    pub found: Array2<bool>,
    /// What was asked for.
    pub truth: Array2<bool>,
    /// How good it is.
    pub scores: Scores,
}

/// Settings of an evaluation.
pub struct Evaluation<'a> {
    /// The images to evaluate on.
    pub part: Part,
    /// The settings to evaluate.
    pub kinds: &'a [PromptKind],
    /// What one prompt asks for.
    pub targets: Targets,
    /// Pictures of a volume or cine that are seen together.
    pub slices: usize,
    /// Decides random clicks and boxes.
    pub seed: u64,
}

/// Targets of fewer pixels of the frame are specks of the annotation.
const MIN_PX: usize = 30;

/// Prompts `network` for every target of the items of one part of `stock`, and passes each image
/// with its answers on. `features` keeps what the frozen steps give.
///
/// # Errors
/// A picture that cannot be read, or the device's.
pub fn evaluate(
    network: &Network,
    stock: &Stock,
    features: &FeatureCache,
    evaluation: &Evaluation,
    mut each: impl FnMut(&Picture, Vec<Answer>),
) -> Result<(), EvaluateError> {
    for &first in stock.part(evaluation.part) {
        let pictures = stock.read(first, evaluation.slices)?;
        let preprocess = &network.sam().config().preprocess;
        let name = format!("plain-{first}");
        let features = features.get(&name, || {
            let images = pictures.iter().map(|picture| {
                let view = RgbView::new(picture.width, picture.height, &picture.rgb);
                preprocess.run(view.expect("a decoded picture is whole")).0
            });
            let images: Vec<_> = images.collect();
            let views: Vec<_> = images.iter().map(|image| image.view()).collect();
            let images = ndarray::concatenate(Axis(0), &views).expect("all have the input's size");
            network.features(&images, evaluation.slices)
        })?;
        let embedding = network.embedding(&features, evaluation.slices)?.narrow(0, 0, 1)?;
        let mut rng = ChaCha8Rng::seed_from_u64(evaluation.seed);
        rng.set_stream(first as u64);
        let picture = &pictures[0];
        let mut answers = Vec::new();
        for (class, truth) in picture.targets(evaluation.targets, MIN_PX) {
            for &kind in evaluation.kinds {
                let mut prompting = kind.plan().start(&mut rng, truth.view());
                let mut found = ask(network, &embedding, picture, &prompting)?;
                while prompting.next(None, found.view(), truth.view()).is_some() {
                    found = ask(network, &embedding, picture, &prompting)?;
                }
                let scores = Scores::new(found.view(), truth.view());
                answers.push(Answer {
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
        each(picture, answers);
    }
    Ok(())
}

fn ask(
    network: &Network,
    embedding: &Node,
    picture: &Picture,
    prompting: &Prompting,
) -> Result<Array2<bool>, candle_core::Error> {
    let frame = (picture.width, picture.height);
    let geometry = network.sam().config().preprocess.geometry(frame);
    let prompt = prompting.prompt(frame).expect("the prompt was made from this frame's mask");
    let logits = network.answer(embedding, &prompt.tokens(&geometry), None)?;
    let logits = network.array(&logits.value().squeeze(0)?)?;
    let logits = logits.into_dimensionality::<Ix2>().expect("one mask has two axes");
    Ok(geometry.mask_in_frame(logits.view()))
}

/// An evaluation or a step that could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// A data set's.
    #[error(transparent)]
    Stock(#[from] StockError),
    /// The device's.
    #[error(transparent)]
    Device(#[from] candle_core::Error),
    /// The processes that train together.
    #[error(transparent)]
    Group(#[from] GroupError),
}

impl From<crate::data::Problem> for EvaluateError {
    fn from(problem: crate::data::Problem) -> Self {
        Self::Stock(problem.into())
    }
}

/// Means by class and setting.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    scores: BTreeMap<(String, PromptKind), Vec<Scores>>,
}

/// Means of one class and setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Name of the class.
    pub class: String,
    /// The setting.
    pub prompt: PromptKind,
    /// Overlap.
    pub dice: Mean,
    /// Intersection over union.
    pub iou: Mean,
    /// Distance of outlines, in pixels of the frame.
    pub hd95_px: Mean,
}

impl Summary {
    /// Counts an answer.
    pub fn add(&mut self, answer: &Answer) {
        let key = (answer.class.clone(), answer.kind);
        self.scores.entry(key).or_default().push(answer.scores);
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
            }
        };
        self.scores.iter().map(row).collect()
    }

    /// Mean Dice over classes and settings, each counted the same; 0 for nothing.
    pub fn score(&self) -> f64 {
        let mean =
            |scores: &Vec<Scores>| scores.iter().map(|s| s.dice).sum::<f64>() / scores.len() as f64;
        self.scores.values().map(mean).sum::<f64>() / self.scores.len().max(1) as f64
    }
}
