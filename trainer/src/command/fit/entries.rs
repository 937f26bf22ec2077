//! Entries of a run's log: one JSON object per line, for each step and each validation.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use medsa_trainer::train::{Row, StepRecord};
use serde::{Deserialize, Serialize};

use super::super::at;

/// Entries of a log.
#[derive(Clone, Debug, Default)]
pub struct Entries {
    /// All steps, in order.
    pub steps: Vec<StepEntry>,
    /// All validations, in order.
    pub validations: Vec<ValidationEntry>,
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
    /// Time of its end, in seconds of Unix time.
    #[serde(default)]
    pub unix_s: f64,
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
    /// Time of its end, in seconds of Unix time.
    #[serde(default)]
    pub unix_s: f64,
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

impl Entries {
    /// Reads the log of a training that may still be running.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).map_err(at(path))?;
        Ok(Self::parse(path, &text, usize::MAX)?.0)
    }

    /// Entries of the first `steps` steps, and their lines.
    pub fn parse(path: &Path, text: &str, steps: usize) -> anyhow::Result<(Self, String)> {
        let (mut entries, mut kept) = (Self::default(), String::new());
        for (number, line) in text.split_inclusive('\n').enumerate() {
            let keep = match serde_json::from_str(line) {
                Ok(Entry::Step(entry)) if entry.train.step < steps => {
                    entries.steps.push(entry);
                    true
                }
                Ok(Entry::Validation(entry)) if entry.step <= steps && steps > 0 => {
                    entries.validations.push(entry);
                    true
                }
                Ok(_) => false,
                // The process was killed while writing the last line.
                Err(_) if !line.ends_with('\n') => false,
                Err(_) => anyhow::bail!(
                    "{}: line {} is not an entry of a training log",
                    path.display(),
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
        Ok((entries, kept))
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
}

/// The current Unix time, in seconds.
pub fn unix_s() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    // A clock before 1970 is wrong anyway.
    since.map_or(0.0, |since| since.as_secs_f64())
}
