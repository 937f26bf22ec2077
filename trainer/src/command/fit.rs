//! `medsa-train fit`: the training loop and the files of a run.

mod curves;
mod description;
mod entries;
mod folder;
mod log;
mod stop;
mod summary;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use medsa_console::{eprintln, println};
use medsa_sam::Weights;
use medsa_trainer::data::Part;
use medsa_trainer::train::{Config, Evaluation, Fit, Group, Row, dataset_sha256};
use medsa_trainer::{Adapter, AdapterInfo, Checkpoint, TrainingRecord};

use self::entries::{StepEntry, ValidationEntry, unix_s};
use self::log::Log;
use self::stop::Stop;
use super::measure::{Measured, measure};
use super::table;

pub use self::description::Description;
pub use self::entries::Entries;
pub use self::folder::RunFolder;
pub use self::stop::Stopped;

#[derive(Args)]
pub struct FitCommand {
    /// Configuration, TOML; trainer/fit.example.toml lists every key. Relative paths in it start at
    /// its folder
    #[arg(long)]
    config: PathBuf,
    /// Override a key, for example --set fit.steps=100; relative paths start at the current folder
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Train on the int8 base described by this file from `medsa-export quantize`
    #[arg(long, value_name = "FILE")]
    quantized_base: Option<PathBuf>,
    /// Resume an earlier run in the same folder
    #[arg(long)]
    resume: bool,
}

impl FitCommand {
    pub fn run(self) -> anyhow::Result<()> {
        let group = Group::join()?;
        let stop = Stop::on_signals()?;
        let outcome = self.train(&group, &stop);
        match group.leave(outcome)? {
            End::Finished => Ok(()),
            End::Stopped => Err(Stopped.into()),
        }
    }

    fn train(self, group: &Group, stop: &Stop) -> anyhow::Result<End> {
        let mut config = Config::read(&self.config, &self.overrides)?;
        if self.quantized_base.is_some() {
            config.quantized_base.clone_from(&self.quantized_base);
        }
        let base = Checkpoint::read(&config.base)?;
        if group.rank() == 0 {
            for data in &config.data {
                super::warn_of_problems(&data.path)?;
            }
        }
        let folder = RunFolder::new(&config.out);
        let state = folder.state();
        if self.resume && !state.exists() && group.rank() == 0 {
            eprintln!("{} does not exist: starting a new training", state.display());
        }
        let device = super::device()?;
        let (fit, best) = match (state.exists(), self.resume) {
            (true, true) => Fit::load_state(config.clone(), &base, &state, device)?,
            (true, false) => anyhow::bail!(
                "{} already contains a training: add --resume to continue it, or choose another out",
                config.out.display()
            ),
            (false, _) => (Fit::new(config.clone(), &base, start(&config, &base)?, device)?, None),
        };
        if group.rank() > 0 {
            // The first process reports, validates and writes for the whole group.
            let mut fit = fit;
            while fit.steps() < config.fit.steps {
                fit.step(group)?;
                if stop.is_requested(group) && fit.steps() < config.fit.steps {
                    return Ok(End::Stopped);
                }
            }
            return Ok(End::Finished);
        }
        let description =
            Description::new(&base, &fit, dataset_sha256(fit.stocks().iter().map(|(s, _)| s))?);
        println!("training {}", description.trained_part());
        folder.start(&config, &description)?;
        let log = Log::open(folder.log(), fit.steps())?;
        Training { config, base, fit, best, description, folder, log }.run(group, stop)
    }
}

/// End of a training.
enum End {
    Finished,
    /// Stopped by a signal before the last step.
    Stopped,
}

/// A training in progress.
struct Training {
    config: Config,
    base: Checkpoint,
    fit: Fit,
    /// Score of the best adapter so far.
    best: Option<f64>,
    description: Description,
    folder: RunFolder,
    log: Log,
}

impl Training {
    fn run(mut self, group: &Group, stop: &Stop) -> anyhow::Result<End> {
        let all = self.config.fit.steps;
        let bar = progress(all, self.fit.steps());
        let (mut images, mut seconds) = (0, 0.0);
        while self.fit.steps() < all {
            let start = Instant::now();
            let record = self.fit.step(group)?;
            let took = start.elapsed().as_secs_f64();
            if !(record.loss.is_finite() && record.gradient_norm.is_finite()) {
                anyhow::bail!(
                    "step {}: loss is {} and gradient norm {}, expected finite numbers; add --resume \
                     to go on from {}, with a lower optimizer.learning_rate",
                    record.step,
                    record.loss,
                    record.gradient_norm,
                    self.folder.state().display()
                );
            }
            images += self.config.fit.batch;
            seconds += took;
            let rate = images as f64 / seconds;
            let unix_s = unix_s();
            let entry = StepEntry { train: record, seconds: took, images_per_second: rate, unix_s };
            self.log.step(entry)?;
            let loss = self.log.entries().smoothed_loss().last().map_or(f64::NAN, |(_, loss)| loss);
            bar.set_message(format!("loss {loss:.4}, {rate:.2} images/s"));
            bar.inc(1);
            let (steps, last) = (self.fit.steps(), self.fit.steps() == all);
            if steps.is_multiple_of(self.config.validation.every) || last {
                bar.suspend(|| self.validate())?;
            }
            let stops = stop.is_requested(group) && !last;
            if steps.is_multiple_of(self.config.fit.checkpoint_every) || last || stops {
                self.fit.save(&self.folder.state(), self.best)?;
            }
            if stops {
                bar.abandon();
                println!("stopped by a signal after step {steps} of {all}");
                return Ok(End::Stopped);
            }
        }
        bar.finish();
        Ok(End::Finished)
    }

    /// Validates the current adapter and updates the run folder.
    fn validate(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        let network = self.fit.learner().network().detached();
        let evaluation = Evaluation {
            part: Part::Validation,
            kinds: &self.config.validation.prompts,
            targets: self.config.validation.targets,
            slices: self.config.fit.slices,
            seed: 0,
        };
        let stocks = self.fit.stocks().iter().map(|(stock, features)| (stock, features));
        let Measured { rows, score, sheet } = measure(&network, stocks, &evaluation, || ())?;
        let (step, seconds) = (self.fit.steps(), start.elapsed().as_secs_f64());
        println!("step {step}: mean Dice {score:.4}\n{}", table::text(&rows));
        let (info, weights) = (self.info(&rows)?, self.fit.learner().weights()?);
        Adapter::write(&self.folder.last(), &info, weights.clone())?;
        if self.best.is_none_or(|best| score > best) {
            self.best = Some(score);
            Adapter::write(&self.folder.best(), &info, weights)?;
            sheet.draw(&self.folder.gallery())?;
        }
        let unix_s = unix_s();
        self.log.validation(ValidationEntry { step, score, seconds, unix_s, validation: rows })?;
        let log = self.log.entries();
        self.folder.draw_curves(log)?;
        self.folder.write_summary(&summary::markdown(&self.config, &self.description, log)?)
    }

    fn info(&self, rows: &[Row]) -> anyhow::Result<AdapterInfo> {
        let config = &self.config;
        // Of the stocks, because records name their classes themselves. A class without a name is
        // not trained.
        let mut classes: Vec<String> = Vec::new();
        for class in self.fit.stocks().iter().flat_map(|(stock, _)| &stock.config.classes) {
            if !class.is_empty() && !classes.contains(class) {
                classes.push(class.clone());
            }
        }
        Ok(AdapterInfo {
            base: self.base.origin.clone(),
            input_size: config.input_size,
            config: config.form,
            training: Some(TrainingRecord {
                task: config.task.clone(),
                classes,
                steps: self.fit.steps(),
                seed: config.seed,
                prompts: config.prompts.clone(),
                metrics: serde_json::to_value(rows)?,
                dataset_sha256: Some(self.description.dataset_sha256.clone()),
                quantized_base: self.fit.quantized_base().cloned(),
                commit: option_env!("MEDSA_COMMIT").map(str::to_owned),
            }),
        })
    }
}

/// Weights to start from; `None` for new ones.
fn start(config: &Config, base: &Checkpoint) -> anyhow::Result<Option<Weights>> {
    let Some(path) = &config.adapter else { return Ok(None) };
    let adapter = Adapter::read(path)?;
    // Names the tensor that does not fit.
    adapter.sam(base, Some(config.input_size))?;
    Ok(Some(adapter.into_weights()))
}

/// A progress bar for `steps` steps, of which `done` are finished.
pub(super) fn progress(steps: usize, done: usize) -> ProgressBar {
    let bar = ProgressBar::new(steps as u64);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} ({eta} left)");
    bar.set_style(style.expect("the template is fixed"));
    bar.set_position(done as u64);
    bar.enable_steady_tick(Duration::from_secs(1));
    bar
}
