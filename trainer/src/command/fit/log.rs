//! Log of a run, and its copies for other programs.

mod copies;

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use self::copies::Copies;
use super::super::at;
use super::entries::{Entries, StepEntry, ValidationEntry};

/// Log of a run that is being written.
pub struct Log {
    path: PathBuf,
    entries: Entries,
    copies: Copies,
}

impl Log {
    /// Opens the log of a training and keeps the entries of the first `steps` steps. Entries of
    /// later steps are removed: their results were lost with the process that took them, and they
    /// are taken again. The same holds for all entries of an earlier training that left no state.
    pub fn open(path: PathBuf, steps: usize) -> anyhow::Result<Self> {
        let text = match fs::read_to_string(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => String::new(),
            text => text.map_err(at(&path))?,
        };
        let (entries, kept) = Entries::parse(&path, &text, steps)?;
        let partial = path.with_extension("partial");
        let written = fs::write(&partial, kept).and_then(|()| fs::rename(&partial, &path));
        written.map_err(at(&path))?;
        let copies = Copies::create(path.parent().unwrap_or(Path::new("")), &entries)?;
        Ok(Self { path, entries, copies })
    }

    /// All entries.
    pub fn entries(&self) -> &Entries {
        &self.entries
    }

    /// Appends a step.
    pub fn step(&mut self, entry: StepEntry) -> anyhow::Result<()> {
        self.append(&entry)?;
        self.copies.step(&entry)?;
        self.entries.steps.push(entry);
        Ok(())
    }

    /// Appends a validation.
    pub fn validation(&mut self, entry: ValidationEntry) -> anyhow::Result<()> {
        self.append(&entry)?;
        self.copies.validation(&entry)?;
        self.entries.validations.push(entry);
        Ok(())
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
    use medsa_trainer::train::StepRecord;

    use super::*;

    fn step(step: usize, loss: f64) -> StepEntry {
        let train = StepRecord { step, loss, gradient_norm: 1.0, learning_rate: 1e-4 };
        StepEntry { train, seconds: 0.5, images_per_second: 2.0, unix_s: 1e9 + step as f64 }
    }

    fn validation(step: usize, score: f64) -> ValidationEntry {
        ValidationEntry { step, score, seconds: 1.0, unix_s: 1e9, validation: vec![] }
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
        let files = ["log.jsonl", "steps.csv", "validations.csv", "events.out.tfevents.fit"];
        let read = || files.map(|name| fs::read(folder.path().join(name)).unwrap());
        let whole = read();
        let mut log = Log::open(path.clone(), 2).unwrap();
        assert_eq!((log.entries().steps.len(), log.entries().validations.len()), (2, 1));
        log.step(step(2, 2.0)).unwrap();
        log.step(step(3, 3.0)).unwrap();
        log.validation(validation(4, 0.5)).unwrap();
        drop(log);
        assert!(read() == whole, "all files are as without a stop");
        assert_eq!(Log::open(path, 0).unwrap().entries().steps, []);
    }

    #[test]
    fn truncated_last_line_is_dropped_and_damaged_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 9]).unwrap();
        assert_eq!(Log::open(path.clone(), 4).unwrap().entries().validations.len(), 1);
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
        assert_eq!(log.entries().validations[0].validation[0].nsd_2px, None);
    }

    #[test]
    fn best_validation_is_the_first_with_the_highest_score() {
        let folder = tempfile::tempdir().unwrap();
        let log = Entries::read(&written(folder.path())).unwrap();
        assert_eq!(log.best().unwrap().step, 2);
    }

    #[test]
    fn smoothed_loss_starts_at_the_first_loss_and_follows() {
        let folder = tempfile::tempdir().unwrap();
        let log = Entries::read(&written(folder.path())).unwrap();
        let smoothed: Vec<_> = log.smoothed_loss().collect();
        assert_eq!(smoothed[0], (1, 0.0));
        assert!((smoothed[1].1 - 1.0 / 1.98).abs() < 1e-12);
        assert!(smoothed.windows(2).all(|pair| pair[0].1 < pair[1].1));
    }
}
