//! `medsa-train distill`: makes a base model with a strided stem.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use medsa_console::{eprintln, println};
use medsa_trainer::Checkpoint;
use medsa_trainer::augment::Augment;
use medsa_trainer::train::{Distill, DistillConfig, OptimizerConfig};

use super::fit::progress;

#[derive(Args)]
pub struct DistillCommand {
    /// Original base model, .pth or .safetensors; its stem must read every pixel, like LiteMedSAM's
    #[arg(long)]
    base: PathBuf,
    /// Frames without labels: a DICOM file, an image or a folder of images; may be given several
    /// times. The last tenth of each is used for measuring only
    #[arg(long, required = true)]
    images: Vec<PathBuf>,
    /// Side of the network input, in pixels
    #[arg(long, default_value_t = 256)]
    input_size: usize,
    /// Optimizer steps; 0 writes the untrained student
    #[arg(long, default_value_t = 500)]
    steps: usize,
    /// Frames per step
    #[arg(long, default_value = "2")]
    batch: NonZeroUsize,
    /// Variations of each frame; the original computes an embedding for each
    #[arg(long, default_value = "1")]
    variants: NonZeroUsize,
    /// Highest learning rate
    #[arg(long, default_value_t = 2e-3)]
    learning_rate: f64,
    /// Seed of all random choices
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder to keep the original's embeddings in; each variation takes 0.5 MB at 256 px
    #[arg(long, value_name = "FOLDER")]
    cache: Option<PathBuf>,
    /// Base model to write; while training, the state to resume from is written next to it
    #[arg(long)]
    out: PathBuf,
    /// Resume an earlier run with the same --out
    #[arg(long)]
    resume: bool,
}

impl DistillCommand {
    /// Steps between two saved states and measurements.
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
            // From the start the stem gives the correct result for means of pixels, so weight decay
            // towards zero would only harm it.
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
                "{} already contains a training: add --resume to continue it, or choose another \
                 --out",
                state.display()
            ),
            (false, true) => {
                eprintln!("{} does not exist: starting a new training", state.display());
                None
            }
            (false, false) => None,
        };
        let base = Checkpoint::read(&self.base)?;
        let mut distill = Distill::new(config, base, from, super::device()?)?;
        let [train, held_out] = distill.frames();
        println!("training on {train} frames, measuring on {held_out} others");
        print_likeness(&distill)?;
        let bar = progress(steps, distill.steps());
        while distill.steps() < steps {
            let record = distill.step()?;
            if !(record.loss.is_finite() && record.gradient_norm.is_finite()) {
                anyhow::bail!(
                    "step {}: loss is {} and gradient norm {}, expected finite numbers; choose a \
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
                bar.suspend(|| print_likeness(&distill))?;
            }
        }
        bar.finish();
        let student = distill.student(&out)?;
        // Building the network once checks that it is a valid base model.
        student.sam(None)?;
        student.write(&out)?;
        let [ours, original] = distill.costs().map(|cost| {
            let [encoder, decoder] = cost.map(|cost| cost.macs as f64 / 1e9);
            format!("{encoder:.2} GMAC per frame and {decoder:.2} per prompt")
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

fn print_likeness(distill: &Distill) -> anyhow::Result<()> {
    let likeness = distill.likeness()?;
    println!(
        "step {}: on held-out frames, mean squared error {:.6}, cosine {:.4}",
        distill.steps(),
        likeness.mean_squared_error,
        likeness.cosine
    );
    Ok(())
}
