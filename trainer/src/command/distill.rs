//! `medsa-train distill`: a base model with a strided stem.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use medsa_trainer::Checkpoint;
use medsa_trainer::augment::Augment;
use medsa_trainer::train::{Distill, DistillConfig, OptimizerConfig};

use super::fit::progress;

#[derive(Args)]
pub struct DistillCommand {
    /// The original, .pth or .safetensors: its stem must see every pixel, as LiteMedSAM's does
    #[arg(long)]
    base: PathBuf,
    /// Frames without labels: a DICOM file, a picture or a folder of pictures; may be given
    /// several times. The last tenth of each is not learned from, but measured on
    #[arg(long, required = true)]
    images: Vec<PathBuf>,
    /// Side of the network input, in pixels
    #[arg(long, default_value_t = 256)]
    input_size: usize,
    /// Optimizer steps; 0 writes what training starts from
    #[arg(long, default_value_t = 500)]
    steps: usize,
    /// Frames in a step
    #[arg(long, default_value = "2")]
    batch: NonZeroUsize,
    /// Variations of each frame: for each the original computes an embedding
    #[arg(long, default_value = "1")]
    variants: NonZeroUsize,
    /// Highest learning rate
    #[arg(long, default_value_t = 2e-3)]
    learning_rate: f64,
    /// Decides everything random
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Keep the original's embeddings here: half a megabyte for each variation at 256 px
    #[arg(long, value_name = "FOLDER")]
    cache: Option<PathBuf>,
    /// The base model to write; beside it, while training, the state to go on from
    #[arg(long)]
    out: PathBuf,
    /// Go on where an earlier run with the same --out stopped
    #[arg(long)]
    resume: bool,
}

impl DistillCommand {
    /// Steps between two states, and two measurements.
    const EVERY: usize = 100;

    pub fn run(self) -> anyhow::Result<()> {
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            anyhow::bail!("--learning-rate is {}, expected above 0", self.learning_rate);
        }
        let Self { steps, out, .. } = self;
        let config = DistillConfig {
            images: self.images,
            input_size: self.input_size,
            steps,
            batch: self.batch.get(),
            variants: self.variants.get(),
            augment: Augment::default(),
            // The stem is right for the means of pixels from the start: nothing draws it to zero.
            optimizer: OptimizerConfig {
                learning_rate: self.learning_rate,
                weight_decay: 0.0,
                ..OptimizerConfig::default()
            },
            cache: self.cache,
            seed: self.seed,
        };
        let state = out.with_extension("state.safetensors");
        let from = match (state.exists(), self.resume) {
            (true, true) => Some(state.as_path()),
            (true, false) => anyhow::bail!(
                "{} holds a training already: add --resume to go on with it, or choose another \
                 --out",
                state.display()
            ),
            (false, true) => {
                eprintln!("{} is not there yet: starting anew", state.display());
                None
            }
            (false, false) => None,
        };
        let base = Checkpoint::read(&self.base)?;
        let mut distill = Distill::new(config, base, from, super::device()?)?;
        let [train, held_out] = distill.frames();
        println!("learning from {train} frames, measuring on {held_out} others");
        tell(&distill)?;
        let bar = progress(steps, distill.steps());
        while distill.steps() < steps {
            let record = distill.step()?;
            if !(record.loss.is_finite() && record.gradient_norm.is_finite()) {
                anyhow::bail!(
                    "step {}: loss {} and gradient norm {}, expected finite numbers; choose a \
                     lower --learning-rate",
                    record.step,
                    record.loss,
                    record.gradient_norm
                );
            }
            bar.set_message(format!("loss {:.5}", record.loss));
            bar.inc(1);
            let last = distill.steps() == steps;
            if distill.steps().is_multiple_of(Self::EVERY) || last {
                distill.save(&state)?;
                bar.suspend(|| tell(&distill))?;
            }
        }
        bar.finish();
        let student = distill.student(&out)?;
        // Building the network once is what proves that it is a base model as any other.
        student.sam(None)?;
        student.write(&out)?;
        let [ours, original] = distill.costs().map(|cost| {
            let [encoder, decoder] = cost.map(|cost| cost.macs as f64 / 1e9);
            format!("{encoder:.2} GMAC a frame and {decoder:.2} a prompt")
        });
        println!(
            "{}: {ours} at {} px, the original {original}; sha256 {}",
            out.display(),
            student.config.preprocess.input_size,
            student.origin.sha256
        );
        Ok(())
    }
}

fn tell(distill: &Distill) -> anyhow::Result<()> {
    let likeness = distill.likeness()?;
    println!(
        "step {}: on frames held out, mean squared error {:.6}, cosine {:.4}",
        distill.steps(),
        likeness.mean_squared_error,
        likeness.cosine
    );
    Ok(())
}
