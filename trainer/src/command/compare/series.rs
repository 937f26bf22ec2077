//! Runs, and runs of one configuration with several seeds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use medsa_trainer::metrics::Mean;
use medsa_trainer::prompts::PromptKind;
use medsa_trainer::train::{Config, Row};

use super::super::fit::{Description, Entries, RunFolder};

/// A run folder.
pub struct Run {
    name: String,
    config: Config,
    description: Description,
    log: Entries,
}

/// A run, or several runs that differ only in their seed.
pub struct Series {
    /// Folder of the run; those of several runs are separated by spaces.
    pub name: String,
    /// Number of seeds.
    pub seeds: usize,
    /// Number of steps before the last validation, or if there is none, so far.
    pub step: usize,
    /// Number of steps of the whole training.
    pub steps: usize,
    /// Number of trained parameters.
    pub trained: usize,
    /// Number of trained parameters divided by that of the base.
    pub share: f64,
    /// Mean duration of a step.
    pub seconds_per_step: f64,
    /// Mean Dice over classes and prompts of the last validation.
    pub score: Option<Figure>,
    /// Last validation by class and prompt.
    pub rows: Vec<Line>,
}

/// Results for one class and kind of prompt.
pub struct Line {
    /// Name of the class.
    pub class: String,
    /// Kind of prompt.
    pub prompt: PromptKind,
    /// Number of predictions of one run.
    pub count: usize,
    /// Metrics in the order of [`Row::METRICS`]; `None` for one that was not logged.
    pub metrics: Vec<Option<Figure>>,
}

/// A mean and its uncertainty.
#[derive(Clone, Debug, PartialEq)]
pub enum Figure {
    /// Single value without uncertainty.
    Plain(f64),
    /// Mean over images, with its 95 % interval.
    OfImages(Mean),
    /// Mean over seeds, with the standard deviation of a sample.
    OfSeeds { mean: f64, deviation: f64 },
}

impl Figure {
    /// Mean, lower and upper end of the interval, standard deviation.
    pub fn parts(&self) -> [Option<f64>; 4] {
        match *self {
            Self::Plain(mean) => [Some(mean), None, None, None],
            Self::OfImages(Mean { mean, low, high, .. }) => {
                [Some(mean), Some(low), Some(high), None]
            }
            Self::OfSeeds { mean, deviation } => [Some(mean), None, None, Some(deviation)],
        }
    }

    /// Mean and standard deviation of two or more values.
    fn of_seeds(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Self::OfSeeds { mean, deviation: (squares / (count - 1.0)).sqrt() }
    }
}

impl Run {
    /// Reads the folder of a run, which may still be running.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let folder = RunFolder::new(path);
        let (config, description) = folder.read()?;
        let log = Entries::read(&folder.log())?;
        Ok(Self { name: path.display().to_string(), config, description, log })
    }

    /// Values that are equal in runs that differ only in their seed, at the same step.
    fn key(&self) -> (Config, usize) {
        let config = Config { seed: 0, out: PathBuf::new(), cache: None, ..self.config.clone() };
        (config, self.step())
    }

    /// Number of steps before the last validation, or if there is none, so far.
    fn step(&self) -> usize {
        match self.log.validations.last() {
            Some(validation) => validation.step,
            None => self.log.steps.last().map_or(0, |entry| entry.train.step + 1),
        }
    }

    fn rows(&self) -> &[Row] {
        self.log.validations.last().map_or(&[], |last| &last.validation)
    }

    fn seconds_per_step(&self) -> f64 {
        let seconds: f64 = self.log.steps.iter().map(|entry| entry.seconds).sum();
        seconds / self.log.steps.len().max(1) as f64
    }

    fn series(&self) -> Series {
        let line = |row: &Row| Line {
            class: row.class.clone(),
            prompt: row.prompt,
            count: row.dice.count,
            metrics: row.metrics().map(|mean| Some(Figure::OfImages(*mean?))).into(),
        };
        Series {
            name: self.name.clone(),
            seeds: 1,
            step: self.step(),
            steps: self.config.fit.steps,
            trained: self.description.trained,
            share: self.description.share(),
            seconds_per_step: self.seconds_per_step(),
            score: self.log.validations.last().map(|last| Figure::Plain(last.score)),
            rows: self.rows().iter().map(line).collect(),
        }
    }
}

impl Series {
    /// Every run, with runs that differ only in their seed one after the other, followed by their
    /// mean. A repeated seed counts once.
    pub fn all(runs: Vec<Run>) -> Vec<Self> {
        let mut groups: Vec<Vec<Run>> = Vec::new();
        for run in runs {
            match groups.iter_mut().find(|group| group[0].key() == run.key()) {
                Some(group) => group.push(run),
                None => groups.push(vec![run]),
            }
        }
        let of_group = |group: &Vec<Run>| {
            let mut seeds = BTreeSet::new();
            let distinct = group.iter().filter(|run| seeds.insert(run.config.seed));
            let distinct: Vec<&Run> = distinct.collect();
            let mean = (distinct.len() > 1).then(|| Self::over_seeds(&distinct));
            group.iter().map(Run::series).chain(mean).collect::<Vec<_>>()
        };
        groups.iter().flat_map(of_group).collect()
    }

    fn over_seeds(runs: &[&Run]) -> Self {
        let mut values: BTreeMap<(String, PromptKind), Vec<&Row>> = BTreeMap::new();
        for row in runs.iter().flat_map(|run| run.rows()) {
            values.entry((row.class.clone(), row.prompt)).or_default().push(row);
        }
        // Runs of one configuration are validated on the same classes and prompts.
        let line = |((class, prompt), rows): ((String, PromptKind), Vec<&Row>)| {
            let metric = |m: usize| {
                let means = rows.iter().map(|row| Some(row.metrics()[m]?.mean));
                Some(Figure::of_seeds(&means.collect::<Option<Vec<f64>>>()?))
            };
            let metrics = (0..Row::METRICS.len()).map(metric).collect();
            Line { class, prompt, count: rows[0].dice.count, metrics }
        };
        let scores = runs.iter().filter_map(|run| Some(run.log.validations.last()?.score));
        let scores: Vec<f64> = scores.collect();
        let seconds: f64 = runs.iter().map(|run| run.seconds_per_step()).sum();
        let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
        Series {
            name: names.join(" "),
            seeds: runs.len(),
            seconds_per_step: seconds / runs.len() as f64,
            score: (!scores.is_empty()).then(|| Figure::of_seeds(&scores)),
            rows: values.into_iter().map(line).collect(),
            ..runs[0].series()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviation_is_that_of_a_sample() {
        let found = Figure::of_seeds(&[1.0, 3.0, 5.0]);
        assert_eq!(found, Figure::OfSeeds { mean: 3.0, deviation: 2.0 });
    }
}
