//! Distillation: a strided stem is trained so that the encoder reproduces the original's embeddings
//! of unlabelled frames, at a quarter of the cost.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use medsa_frames::{Clip, FramesError};
use medsa_sam::image::{Preprocess, RgbView};
use medsa_sam::{Cost, Weights, tiny_vit};
use ndarray::{Array2, Array4};

use super::features::FeatureCache;
use super::fit::StepRecord;
use super::learner::{Learner, LearnerError};
use super::network::Network;
use super::optimizer::{AdamW, Gradients, OptimizerConfig, clip};
use super::random::{draw, rng};
use super::state::{self, State};
use crate::augment::Augment;
use crate::checkpoint::Checkpoint;
use crate::data::TrainingImage;
use crate::error::Error;
use crate::tape::Node;

/// Configuration of a distillation.
#[derive(Clone, Debug)]
pub struct DistillConfig {
    /// DICOM files, images and folders of images.
    pub images: Vec<PathBuf>,
    /// Side of the network input, in pixels.
    pub input_size: usize,
    /// Number of optimizer steps.
    pub steps: usize,
    /// Frames per step.
    pub batch: usize,
    /// Variations of each frame that are drawn once and reused, so that the teacher's embeddings
    /// for them can be kept.
    pub variants: usize,
    /// Augmentation of frames.
    pub augment: Augment,
    /// Settings of the optimizer.
    pub optimizer: OptimizerConfig,
    /// Folder to keep the teacher's embeddings in; without it they are computed every time.
    pub cache: Option<PathBuf>,
    /// Seed of all random choices.
    pub seed: u64,
}

/// An error of a distillation.
#[derive(Debug, thiserror::Error)]
pub enum DistillError {
    /// The base model cannot be used.
    #[error(transparent)]
    Base(#[from] Error),
    /// A clip or an image cannot be read.
    #[error(transparent)]
    Frames(#[from] FramesError),
    /// Caller: there is only one frame, but training and measuring need one each.
    #[error("{}: 1 frame, expected 2 or more: for training and for measuring", path.display())]
    OneFrame {
        /// Path of the frame.
        path: PathBuf,
    },
    /// The network cannot be trained.
    #[error(transparent)]
    Learner(#[from] LearnerError),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] candle_core::Error),
}

/// Similarity of the student's embeddings to the teacher's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likeness {
    /// Mean squared error of the values.
    pub mean_squared_error: f64,
    /// Mean cosine similarity per cell.
    pub cosine: f64,
}

/// A distillation in progress.
pub struct Distill {
    config: DistillConfig,
    base: Checkpoint,
    /// The student at the start.
    student: Checkpoint,
    teacher: Network,
    learner: Learner,
    optimizer: AdamW,
    frames: Frames,
    cache: FeatureCache,
    /// Network inputs `[1, 3, S, S]` that are not trained on, with the teacher's embeddings.
    held_out: Vec<(Array4<f32>, Tensor)>,
}

impl Distill {
    /// Largest number of frames for measuring; each costs as much as a frame of a step.
    const MOST_HELD_OUT: usize = 32;

    /// A distillation that resumes from `state`, or starts with a student that gives for every
    /// image exactly what `base` gives for the means of its 2x2 pixels.
    ///
    /// # Errors
    /// [`DistillError`] names the file.
    pub fn new(
        config: DistillConfig,
        base: Checkpoint,
        state: Option<&Path>,
        device: Device,
    ) -> Result<Self, DistillError> {
        let network = |e| Error::network(&base.path, e);
        let (strided, weights) = tiny_vit::strided(&base.config, &base.weights).map_err(network)?;
        // The student has the larger stride, so a size that fits the student also fits the teacher.
        let strided = strided.with_input_size(config.input_size).map_err(network)?;
        let student = base.student(&base.path, strided, weights);
        let sam = student.sam(None)?;
        let teacher = Network::new(base.sam(Some(config.input_size))?, device.clone());
        let mut stem: Weights =
            sam.stem_params().iter().map(|p| (p.name().to_owned(), p.value().clone())).collect();
        let state = state.map(|path| Ok::<_, Error>((path, State::read(path)?))).transpose()?;
        if let Some((path, state)) = &state {
            if !state.weights.keys().eq(stem.keys()) {
                let found: Vec<_> = state.weights.keys().map(String::as_str).collect();
                let found = format!("tensors {}, expected those of a stem", found.join(", "));
                return Err(Error::format(path, found).into());
            }
            stem.clone_from(&state.weights);
        }
        let learner = Learner::train(Network::new(sam, device), &stem)?;
        let optimizer = match &state {
            Some((path, state)) => state.optimizer(path, &learner)?,
            None => AdamW::default(),
        };
        let frames = Frames::open(&config.images)?;
        let cache = FeatureCache::open(config.cache.as_deref(), &recipe(&config, &base))
            .map_err(|e| Error::io(config.cache.as_deref().unwrap_or(&base.path), e))?;
        let preprocess = teacher.sam().config().preprocess;
        let mut held_out = Vec::new();
        let stride = frames.held_out.len().div_ceil(Self::MOST_HELD_OUT);
        for &at in frames.held_out.iter().step_by(stride) {
            let image = input(&preprocess, &frames.sample(at)?);
            let target = target(&teacher, &image)?;
            held_out.push((image, target));
        }
        Ok(Self { config, base, student, teacher, learner, optimizer, frames, cache, held_out })
    }

    /// Number of steps taken.
    pub fn steps(&self) -> usize {
        self.optimizer.steps
    }

    /// Number of frames for training and for measuring.
    pub fn frames(&self) -> [usize; 2] {
        [self.frames.train.len(), self.held_out.len()]
    }

    /// Cost of encoder and decoder of the student, then of the teacher.
    pub fn costs(&self) -> [[Cost; 2]; 2] {
        [self.learner.network(), &self.teacher].map(|network| network.sam().cost())
    }

    /// Takes one step.
    ///
    /// # Errors
    /// A frame cannot be read, or the device failed.
    pub fn step(&mut self) -> Result<StepRecord, DistillError> {
        let DistillConfig { batch, seed, steps, variants, ref optimizer, .. } = self.config;
        let step = self.optimizer.steps;
        let (mut gradients, mut loss) = (Gradients::new(), 0.0);
        for number in step * batch..(step + 1) * batch {
            let item = draw(seed, 0, number, self.frames.train.len());
            // A variation is used again once all variations were used.
            let variant = number / self.frames.train.len() % variants;
            let number = item * variants + variant;
            let sample = self.frames.sample(self.frames.train[item])?;
            let sample = self.config.augment.apply(&mut rng(seed, 2, number), &sample);
            let image = input(&self.teacher.sam().config().preprocess, &sample);
            let target = || target(&self.teacher, &image);
            let target = self.cache.get(&format!("{item}-{variant}"), target)?;
            let found = embedding(self.learner.network(), &image)?;
            let error = mean_squared_error(&found, &target)?.affine(1.0 / batch as f64, 0.0)?;
            loss += f64::from(error.value().to_scalar::<f32>()?);
            self.learner.collect(error, &mut gradients)?;
        }
        let gradient_norm = clip(&mut gradients, optimizer.clip_norm)?;
        let learning_rate = optimizer.rate(step, steps);
        self.optimizer.step(self.learner.vars(), &gradients, learning_rate, optimizer)?;
        Ok(StepRecord { step, loss, gradient_norm, learning_rate })
    }

    /// Similarity of student and teacher on frames that are not trained on.
    ///
    /// # Errors
    /// The device failed.
    pub fn likeness(&self) -> Result<Likeness, DistillError> {
        let network = self.learner.network().detached();
        let mut sum = [0.0; 2];
        for (image, target) in &self.held_out {
            let found = embedding(&network, image)?;
            let dot = |a: &Tensor, b: &Tensor| (a * b)?.sum(3);
            let (found, scalar) = (found.value(), |x: Tensor| x.mean_all()?.to_scalar::<f32>());
            let lengths = (dot(found, found)? * dot(target, target)?)?.sqrt()?;
            sum[0] += f64::from(scalar((found - target)?.sqr()?)?);
            sum[1] += f64::from(scalar((dot(found, target)? / lengths)?)?);
        }
        let [mean_squared_error, cosine] = sum.map(|sum| sum / self.held_out.len() as f64);
        Ok(Likeness { mean_squared_error, cosine })
    }

    /// The current student, a base model like any other, to be written to `path`.
    ///
    /// # Errors
    /// The device failed.
    pub fn student(&self, path: &Path) -> Result<Checkpoint, DistillError> {
        let Checkpoint { config, mut weights, .. } = self.student.clone();
        let stem = self.learner.weights()?;
        tiny_vit::set_stem(&mut weights, &stem).map_err(|e| Error::network(path, e))?;
        Ok(self.base.student(path, config, weights))
    }

    /// Writes the state from which the distillation can resume.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), DistillError> {
        Ok(state::write(path, &self.learner, &self.optimizer, None)?)
    }
}

/// Everything that the teacher's embeddings depend on.
fn recipe(config: &DistillConfig, base: &Checkpoint) -> String {
    format!(
        "distillation\nbase {}\ninput {} px\nimages {:?}\nvariants {}\nseed {}\naugment {}\n",
        base.origin.sha256,
        config.input_size,
        config.images,
        config.variants,
        config.seed,
        serde_json::to_string(&config.augment).expect("a configuration is plain data"),
    )
}

/// Target of the student for an image `[1, 3, S, S]`: the teacher's embedding, averaged over 2x2
/// cells, `[1, h, w, C]`.
///
/// A cell of the student covers four cells of the teacher. Their mean is closest to all four, so
/// the unchanged decoder interprets it in the same way.
fn target(teacher: &Network, image: &Array4<f32>) -> candle_core::Result<Tensor> {
    let fine = embedding(teacher, image)?;
    let (batch, height, width, channels) = fine.value().dims4()?;
    let cells = fine.value().reshape(&[batch, height / 2, 2, width / 2, 2, channels])?;
    cells.mean((2, 4))
}

/// Embedding `[1, h, w, C]` of an image `[1, 3, S, S]`.
fn embedding(network: &Network, image: &Array4<f32>) -> candle_core::Result<Node> {
    let image = Node::constant(network.tensor(image.clone())?);
    network.encode(&image, 0..network.sam().encoder_steps(), 1)
}

fn mean_squared_error(found: &Node, target: &Tensor) -> candle_core::Result<Node> {
    let difference = (found.value() - target)?;
    let loss = difference.sqr()?.mean_all()?;
    let scale = 2.0 / difference.elem_count() as f64;
    Ok(found.then(loss, move |grad| difference.affine(scale, 0.0)?.broadcast_mul(grad)))
}

/// Network input of an image.
fn input(preprocess: &Preprocess, sample: &TrainingImage) -> Array4<f32> {
    let view = RgbView::new(sample.width, sample.height, &sample.rgb);
    preprocess.run(view.expect("a decoded image is whole")).0
}

/// Index of a clip, and of a frame in it.
type At = (usize, usize);

/// Unlabelled frames.
struct Frames {
    clips: Vec<Clip>,
    train: Vec<At>,
    held_out: Vec<At>,
}

impl Frames {
    /// Opens clips and folders. The last tenth of each is held out as one piece, because
    /// neighbouring frames are similar.
    fn open(paths: &[PathBuf]) -> Result<Self, DistillError> {
        let clips = paths.iter().map(Clip::open).collect::<Result<Vec<_>, _>>()?;
        let (mut train, mut held_out) = (Vec::new(), Vec::new());
        for (number, clip) in clips.iter().enumerate() {
            let first = if clip.len() > 1 { clip.len() - clip.len().div_ceil(10) } else { 1 };
            train.extend((0..first).map(|frame| (number, frame)));
            held_out.extend((first..clip.len()).map(|frame| (number, frame)));
        }
        if held_out.is_empty() {
            // With several files of one frame each, the last one is held out.
            held_out.extend(train.pop());
        }
        if train.is_empty() {
            // The command line requires at least one path.
            let path = paths.first().cloned().unwrap_or_default();
            return Err(DistillError::OneFrame { path });
        }
        Ok(Self { clips, train, held_out })
    }

    fn sample(&self, (clip, frame): At) -> Result<TrainingImage, FramesError> {
        let frame = self.clips[clip].frame(frame)?;
        let (width, height) = (frame.width as usize, frame.height as usize);
        let classes = Array2::zeros((height, width));
        Ok(TrainingImage { width, height, rgb: frame.rgb, classes })
    }
}
