//! The log of a run: one JSON object a line, for each step and each validation.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use medsa_trainer::train::{Row, StepRecord};
use serde::{Deserialize, Serialize};

use super::super::at;

/// The log of a run, on disk and in memory.
pub struct Log {
    path: PathBuf,
    steps: Vec<StepEntry>,
    validations: Vec<ValidationEntry>,
}

/// One training step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepEntry {
    /// What it did.
    pub train: StepRecord,
    /// How long it took.
    #[serde(default)]
    pub seconds: f64,
    /// Speed of training since it was started last, validation left out.
    pub images_per_second: f64,
}

/// One validation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValidationEntry {
    /// Steps taken before it.
    pub step: usize,
    /// Mean Dice over classes and prompts.
    pub score: f64,
    /// How long it took.
    #[serde(default)]
    pub seconds: f64,
    /// Means by class and prompt.
    pub validation: Vec<Row>,
}

/// A line of the file.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Step(StepEntry),
    Validation(ValidationEntry),
}

impl Log {
    /// The log of a training of which `steps` steps are kept. What it says of later ones, which
    /// were lost with the process that took them and are taken again, is cut off; so is all that
    /// an earlier training without a state has left.
    pub fn open(path: PathBuf, steps: usize) -> anyhow::Result<Self> {
        let mut log = Self { path, steps: Vec::new(), validations: Vec::new() };
        let text = match fs::read_to_string(&log.path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(log),
            Err(e) => return Err(at(&log.path)(e)),
        };
        let mut kept = String::new();
        for (number, line) in text.split_inclusive('\n').enumerate() {
            let keep = match serde_json::from_str(line) {
                Ok(Entry::Step(entry)) if entry.train.step < steps => {
                    log.steps.push(entry);
                    true
                }
                Ok(Entry::Validation(entry)) if entry.step <= steps && steps > 0 => {
                    log.validations.push(entry);
                    true
                }
                Ok(_) => false,
                // The process was killed while it wrote the last line.
                Err(_) if !line.ends_with('\n') => false,
                Err(_) => anyhow::bail!(
                    "{}: line {} is no entry of a training's log",
                    log.path.display(),
                    number + 1
                ),
            };
            if keep {
                kept += line;
            }
        }
        if !kept.is_empty() && !kept.ends_with('\n') {
            kept.push('\n');
        }
        let partial = log.path.with_extension("partial");
        let written = fs::write(&partial, kept).and_then(|()| fs::rename(&partial, &log.path));
        written.map_err(at(&log.path))?;
        Ok(log)
    }

    /// Adds a step.
    pub fn step(&mut self, entry: StepEntry) -> anyhow::Result<()> {
        self.append(&entry)?;
        self.steps.push(entry);
        Ok(())
    }

    /// Adds a validation.
    pub fn validation(&mut self, entry: ValidationEntry) -> anyhow::Result<()> {
        self.append(&entry)?;
        self.validations.push(entry);
        Ok(())
    }

    /// All steps, in their order.
    pub fn steps(&self) -> &[StepEntry] {
        &self.steps
    }

    /// All validations, in their order.
    pub fn validations(&self) -> &[ValidationEntry] {
        &self.validations
    }

    /// The first validation of the highest score.
    pub fn best(&self) -> Option<&ValidationEntry> {
        // Of equals `max_by` takes the last.
        self.validations.iter().rev().max_by(|a, b| a.score.total_cmp(&b.score))
    }

    /// Steps taken and the loss up to them: a mean in which each step before weighs 2 % less.
    pub fn smoothed_loss(&self) -> impl Iterator<Item = (usize, f64)> {
        const KEPT: f64 = 0.98;
        let (mut sum, mut weight) = (0.0, 0.0);
        self.steps.iter().map(move |entry| {
            sum = KEPT * sum + entry.train.loss;
            weight = KEPT * weight + 1.0;
            (entry.train.step + 1, sum / weight)
        })
    }

    fn append(&self, entry: &impl Serialize) -> anyhow::Result<()> {
        let line = serde_json::to_string(entry)? + "\n";
        let file = OpenOptions::new().create(true).append(true).open(&self.path);
        // One write, so that a line is whole unless the system stops in the middle of it.
        let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
        written.map_err(at(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn step(step: usize, loss: f64) -> StepEntry {
        let train = StepRecord { step, loss, gradient_norm: 1.0, learning_rate: 1e-4 };
        StepEntry { train, seconds: 0.5, images_per_second: 2.0 }
    }

    fn validation(step: usize, score: f64) -> ValidationEntry {
        ValidationEntry { step, score, seconds: 1.0, validation: vec![] }
    }

    /// Four steps, with a validation after every second.
    fn written(folder: &Path) -> PathBuf {
        let path = folder.join("log.jsonl");
        let mut log = Log::open(path.clone(), 0).unwrap();
        for number in 0..4 {
            log.step(step(number, number as f64)).unwrap();
            if number % 2 == 1 {
                log.validation(validation(number + 1, 0.5)).unwrap();
            }
        }
        path
    }

    #[test]
    fn steps_that_are_taken_again_are_there_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let whole = fs::read_to_string(&path).unwrap();
        let mut log = Log::open(path.clone(), 2).unwrap();
        assert_eq!((log.steps().len(), log.validations().len()), (2, 1));
        log.step(step(2, 2.0)).unwrap();
        log.step(step(3, 3.0)).unwrap();
        log.validation(validation(4, 0.5)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), whole);
        assert_eq!(Log::open(path, 0).unwrap().steps(), []);
    }

    #[test]
    fn a_line_cut_by_a_crash_is_dropped_and_a_damaged_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 9]).unwrap();
        assert_eq!(Log::open(path.clone(), 4).unwrap().validations().len(), 1);
        fs::write(&path, format!("{{\"step\": 1\n{whole}")).unwrap();
        let error = Log::open(path.clone(), 4).err().unwrap().to_string();
        assert_eq!(error, format!("{}: line 1 is no entry of a training's log", path.display()));
    }

    #[test]
    fn the_best_validation_is_the_first_of_the_highest_score() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(written(folder.path()), 4).unwrap();
        assert_eq!(log.best().unwrap().step, 2);
    }

    #[test]
    fn the_smoothed_loss_starts_at_the_first_and_follows() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(written(folder.path()), 4).unwrap();
        let smoothed: Vec<_> = log.smoothed_loss().collect();
        assert_eq!(smoothed[0], (1, 0.0));
        assert!((smoothed[1].1 - 1.0 / 1.98).abs() < 1e-12);
        assert!(smoothed.windows(2).all(|pair| pair[0].1 < pair[1].1));
    }
}
