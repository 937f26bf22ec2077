//! Copies of a log for other programs: CSV, and an event file of TensorBoard. In both, the number of
//! a step is the number of steps taken, as for validations.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use medsa_trainer::report::EventFile;
use medsa_trainer::train::Row;

use super::super::super::{at, csv};
use super::super::entries::{Entries, StepEntry, ValidationEntry};

/// Copies of a log that is being written.
pub struct Copies {
    steps: Table,
    validations: Table,
    events: EventFile,
    events_path: PathBuf,
}

impl Copies {
    /// Creates the files in `folder`, with the entries of earlier steps.
    pub fn create(folder: &Path, entries: &Entries) -> anyhow::Result<Self> {
        let events_path = folder.join("events.out.tfevents.fit");
        let mut copies = Self {
            steps: Table::create(folder.join("steps.csv"), &STEP_COLUMNS)?,
            validations: Table::create(folder.join("validations.csv"), &validation_columns())?,
            events: EventFile::create(&events_path).map_err(at(&events_path))?,
            events_path,
        };
        let mut validations = entries.validations.iter().peekable();
        for entry in &entries.steps {
            while let Some(earlier) = validations.next_if(|v| v.step <= entry.train.step) {
                copies.validation(earlier)?;
            }
            copies.step(entry)?;
        }
        validations.try_for_each(|entry| copies.validation(entry))?;
        Ok(copies)
    }

    /// Appends a step.
    pub fn step(&mut self, entry: &StepEntry) -> anyhow::Result<()> {
        let StepEntry { train, seconds, images_per_second, unix_s } = entry;
        let step = train.step + 1;
        let scalars = [
            ("loss", train.loss),
            ("gradient_norm", train.gradient_norm),
            ("learning_rate", train.learning_rate),
        ];
        let values = scalars.map(|(_, value)| value).into_iter();
        let values = values.chain([*seconds, *images_per_second, *unix_s]);
        let cells = values.map(|value| value.to_string());
        self.steps.line([step.to_string()].into_iter().chain(cells))?;
        let scalars = scalars.map(|(name, value)| (format!("train/{name}"), value));
        self.events.scalars(*unix_s, step, scalars).map_err(at(&self.events_path))
    }

    /// Appends a validation.
    pub fn validation(&mut self, entry: &ValidationEntry) -> anyhow::Result<()> {
        let ValidationEntry { step, score, unix_s, validation, .. } = entry;
        let mut scalars = vec![("validation/mean_dice".to_owned(), *score)];
        for row in validation {
            let (class, prompt) = (&row.class, row.prompt.name());
            let count = row.dice.count.to_string();
            let mut cells = vec![step.to_string(), class.clone(), prompt.to_owned(), count];
            for (name, mean) in Row::METRICS.into_iter().zip(row.metrics()) {
                let Some(mean) = mean else {
                    cells.extend([const { String::new() }; 3]);
                    continue;
                };
                cells.extend([mean.mean, mean.low, mean.high].map(|value| value.to_string()));
                scalars.push((format!("{name}/{class}/{prompt}"), mean.mean));
            }
            self.validations.line(cells)?;
        }
        self.events.scalars(*unix_s, *step, scalars).map_err(at(&self.events_path))
    }
}

const STEP_COLUMNS: [&str; 7] =
    ["step", "loss", "gradient_norm", "learning_rate", "seconds", "images_per_second", "unix_s"];

/// Columns of validations: each metric's mean with the ends of its 95 % interval.
fn validation_columns() -> Vec<String> {
    let metric = |name: &str| ["", "_low", "_high"].map(|end| format!("{name}{end}"));
    let columns = ["step", "class", "prompt", "n"].map(str::to_owned).into_iter();
    columns.chain(Row::METRICS.into_iter().flat_map(metric)).collect()
}

/// A CSV file that is being written.
struct Table {
    path: PathBuf,
    file: File,
}

impl Table {
    /// Creates the file with a line of column names.
    fn create(path: PathBuf, columns: &[impl AsRef<str>]) -> anyhow::Result<Self> {
        let file = File::create(&path).map_err(at(&path))?;
        let mut table = Self { path, file };
        table.line(columns)?;
        Ok(table)
    }

    fn line(&mut self, cells: impl IntoIterator<Item = impl AsRef<str>>) -> anyhow::Result<()> {
        self.file.write_all(csv::line(cells).as_bytes()).map_err(at(&self.path))
    }
}
