//! Log of a run: one JSON object per line, for each step and each validation.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use medsa_trainer::train::{Row, StepRecord};
use serde::{Deserialize, Serialize};

use super::super::at;

/// Log of a run, on disk and in memory.
pub struct Log {
    path: PathBuf,
    steps: Vec<StepEntry>,
    validations: Vec<ValidationEntry>,
}

/// Log entry of a training step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepEntry {
    /// Result of the step.
    pub train: StepRecord,
    /// Duration of the step.
    #[serde(default)]
    pub seconds: f64,
    /// Training speed since the last start, without validation.
    pub images_per_second: f64,
}

/// Log entry of a validation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValidationEntry {
    /// Number of steps taken before it.
    pub step: usize,
    /// Mean Dice over classes and prompts.
    pub score: f64,
    /// Duration of the validation.
    #[serde(default)]
    pub seconds: f64,
    /// Means by class and prompt.
    pub validation: Vec<Row>,
}

/// One line of the file.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Step(StepEntry),
    Validation(ValidationEntry),
}

impl Log {
    /// Opens the log of a training and keeps the entries of the first `steps` steps. Entries of
    /// later steps are removed: their results were lost with the process that took them, and they
    /// are taken again. The same holds for all entries of an earlier training that left no state.
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
                // The process was killed while writing the last line.
                Err(_) if !line.ends_with('\n') => false,
                Err(_) => anyhow::bail!(
                    "{}: line {} is not an entry of a training log",
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

    /// Appends a step.
    pub fn step(&mut self, entry: StepEntry) -> anyhow::Result<()> {
        self.append(&entry)?;
        self.steps.push(entry);
        Ok(())
    }

    /// Appends a validation.
    pub fn validation(&mut self, entry: ValidationEntry) -> anyhow::Result<()> {
        self.append(&entry)?;
        self.validations.push(entry);
        Ok(())
    }

    /// All steps, in order.
    pub fn steps(&self) -> &[StepEntry] {
        &self.steps
    }

    /// All validations, in order.
    pub fn validations(&self) -> &[ValidationEntry] {
        &self.validations
    }

    /// The first validation with the highest score.
    pub fn best(&self) -> Option<&ValidationEntry> {
        // `max_by` returns the last of equal elements.
        self.validations.iter().rev().max_by(|a, b| a.score.total_cmp(&b.score))
    }

    /// Number of steps taken and the smoothed loss up to them: a mean in which each earlier step
    /// weighs 2 % less.
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
        // A single write, so that a line is complete unless the system stops during it.
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

    /// Four steps, with a validation after every second one.
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
    fn repeated_steps_are_logged_once() {
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
    fn truncated_last_line_is_dropped_and_damaged_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 9]).unwrap();
        assert_eq!(Log::open(path.clone(), 4).unwrap().validations().len(), 1);
        fs::write(&path, format!("{{\"step\": 1\n{whole}")).unwrap();
        let error = Log::open(path.clone(), 4).err().unwrap().to_string();
        assert_eq!(error, format!("{}: line 1 is not an entry of a training log", path.display()));
    }

    #[test]
    fn row_of_an_earlier_version_has_no_nsd() {
        let mean = r#"{"mean": 0.5, "low": 0.4, "high": 0.6, "count": 9}"#;
        let row = format!(
            r#"{{"class": "c", "prompt": "box", "dice": {mean}, "iou": {mean}, "hd95_px": {mean}}}"#
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let line = format!(r#"{{"step": 2, "score": 0.5, "validation": [{row}]}}"#);
        fs::write(&path, line + "\n").unwrap();
        let log = Log::open(path, 2).unwrap();
        assert_eq!(log.validations()[0].validation[0].nsd_2px, None);
    }

    #[test]
    fn best_validation_is_the_first_with_the_highest_score() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(written(folder.path()), 4).unwrap();
        assert_eq!(log.best().unwrap().step, 2);
    }

    #[test]
    fn smoothed_loss_starts_at_the_first_loss_and_follows() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(written(folder.path()), 4).unwrap();
        let smoothed: Vec<_> = log.smoothed_loss().collect();
        assert_eq!(smoothed[0], (1, 0.0));
        assert!((smoothed[1].1 - 1.0 / 1.98).abs() < 1e-12);
        assert!(smoothed.windows(2).all(|pair| pair[0].1 < pair[1].1));
    }
}
