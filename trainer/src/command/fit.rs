use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use medsa_trainer::train::{Config, Evaluation, Fit, Group, Summary, evaluate};
use medsa_trainer::{Adapter, AdapterInfo, Checkpoint, TrainingRecord};
use serde_json::json;

use super::eval::table;

#[derive(Args)]
pub struct FitCommand {
    /// The configuration, TOML; every key is in trainer/fit.example.toml
    #[arg(long)]
    config: PathBuf,
    /// Overrides a key, as --set fit.steps=100
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Go on where an earlier run in the same folder stopped
    #[arg(long)]
    resume: bool,
}

/// Files of a run folder.
struct Run {
    folder: PathBuf,
}

impl Run {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn log(&self, entry: &serde_json::Value) -> anyhow::Result<()> {
        let path = self.path("log.jsonl");
        let mut file = OpenOptions::new().create(true).append(true).open(&path);
        let written = file
            .as_mut()
            .map_err(|e| e.to_string())
            .and_then(|file| writeln!(file, "{entry}").map_err(|e| e.to_string()));
        written.map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))
    }
}

impl FitCommand {
    pub fn run(self) -> anyhow::Result<()> {
        let group = Group::join()?;
        let outcome = self.train(&group);
        group.leave(outcome)
    }

    fn train(self, group: &Group) -> anyhow::Result<()> {
        let config = Config::read(&self.config, &self.overrides)?;
        let base = Checkpoint::read(&config.base)?;
        let run = Run { folder: config.out.clone() };
        let state = run.path("state.safetensors");
        let device = super::device()?;
        let (mut fit, mut best) = match (state.exists(), self.resume) {
            (true, true) => Fit::load_state(config.clone(), &base, &state, device)?,
            (true, false) => anyhow::bail!(
                "{} holds a training already: add --resume to go on with it, or choose another out",
                run.folder.display()
            ),
            (false, _) => (Fit::new(config.clone(), &base, start(&config, &base)?, device)?, None),
        };
        if group.rank() > 0 {
            // The first process speaks, validates and writes for all.
            while fit.steps() < config.fit.steps {
                fit.step(group)?;
            }
            return Ok(());
        }
        fs::create_dir_all(&run.folder).with_context(|| run.folder.display().to_string())?;
        fs::write(run.path("config.toml"), toml::to_string(&config)?)?;
        let trained = fit.learner().parameters();
        let all: usize = base.weights.values().map(|value| value.len()).sum();
        println!(
            "training {:.3} M of {:.2} M parameters ({:.1} %) in {} tensors",
            trained as f64 / 1e6,
            all as f64 / 1e6,
            100.0 * trained as f64 / all as f64,
            fit.learner().vars().len()
        );
        let bar = progress(config.fit.steps, fit.steps());
        let mut smooth = None;
        let start = (Instant::now(), fit.steps());
        while fit.steps() < config.fit.steps {
            let record = fit.step(group)?;
            let mean = smooth.map_or(record.loss, |mean| 0.98 * mean + 0.02 * record.loss);
            smooth = Some(mean);
            let pictures = (fit.steps() - start.1) * config.fit.batch;
            let rate = pictures as f64 / start.0.elapsed().as_secs_f64();
            bar.set_message(format!("loss {mean:.4}, {rate:.2} images/s"));
            bar.inc(1);
            run.log(&json!({"train": record, "images_per_second": rate}))?;
            let (steps, last) = (fit.steps(), fit.steps() == config.fit.steps);
            if steps.is_multiple_of(config.validation.every) || last {
                let summary = bar.suspend(|| validate(&fit, &config))?;
                let score = summary.score();
                run.log(&json!({"step": steps, "score": score, "validation": summary.rows()}))?;
                bar.suspend(|| {
                    println!("step {steps}: mean Dice {score:.4}\n{}", table(&summary.rows()))
                });
                write_adapter(&run.path("last.safetensors"), &fit, &config, &base, &summary)?;
                if best.is_none_or(|best| score > best) {
                    best = Some(score);
                    write_adapter(&run.path("best.safetensors"), &fit, &config, &base, &summary)?;
                }
            }
            if steps.is_multiple_of(config.fit.checkpoint_every) || last {
                fit.save(&state, best)?;
            }
        }
        bar.finish();
        Ok(())
    }
}

fn start(config: &Config, base: &Checkpoint) -> anyhow::Result<Option<medsa_sam::Weights>> {
    let Some(path) = &config.adapter else { return Ok(None) };
    let adapter = Adapter::read(path)?;
    // Says what does not fit, by name.
    adapter.sam(base, Some(config.input_size))?;
    Ok(Some(adapter.into_weights()))
}

fn progress(steps: usize, done: usize) -> ProgressBar {
    let bar = ProgressBar::new(steps as u64);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} ({eta} left)");
    bar.set_style(style.expect("the template is fixed"));
    bar.set_position(done as u64);
    bar.enable_steady_tick(Duration::from_secs(1));
    bar
}

fn validate(fit: &Fit, config: &Config) -> anyhow::Result<Summary> {
    let network = fit.learner().network().detached();
    let evaluation = Evaluation {
        kinds: &config.validation.prompts,
        targets: config.validation.targets,
        slices: config.fit.slices,
        seed: 0,
    };
    let mut summary = Summary::default();
    for (stock, features) in fit.stocks() {
        evaluate(&network, stock, features, &evaluation, |_, answers| {
            answers.iter().for_each(|answer| summary.add(answer));
        })?;
    }
    Ok(summary)
}

fn write_adapter(
    path: &Path,
    fit: &Fit,
    config: &Config,
    base: &Checkpoint,
    summary: &Summary,
) -> anyhow::Result<()> {
    let info = AdapterInfo {
        base: base.origin.clone(),
        input_size: config.input_size,
        config: config.form,
        training: Some(TrainingRecord {
            task: config.task.clone(),
            classes: config.data.iter().flat_map(|data| data.classes.clone()).collect(),
            steps: fit.steps(),
            seed: config.seed,
            prompts: config.prompts.clone(),
            metrics: serde_json::to_value(summary.rows())?,
        }),
    };
    Ok(Adapter::write(path, &info, fit.learner().weights()?)?)
}
