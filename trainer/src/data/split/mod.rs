//! Split of a data set into training, validation and test parts. Images of one subject or scene are
//! in one part.

mod choice;
mod folds;
mod groups;
mod plan;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::dataset::Dataset;
use choice::Choice;
use groups::{Group, Groups, groups};

pub use folds::Folds;
pub use plan::{SplitError, SplitPlan};

/// Names of the items of each part. Items that are not named are not used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// Items for training.
    pub train: Vec<String>,
    /// Items for selecting the best checkpoint.
    pub validation: Vec<String>,
    /// Items for the final report, used neither for training nor for selection.
    #[serde(default)]
    pub test: Vec<String>,
}

/// A part of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Images for training
    Train,
    /// Images for selecting the best checkpoint
    Validation,
    /// Images used neither for training nor for selection
    Test,
}

/// A new split with its statistics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitReport {
    /// The split.
    pub split: Split,
    /// Number of subjects, or of groups of similar images, in each part: train, validation, test.
    pub groups: [usize; 3],
    /// Number of pairs of similar images in different parts. Such pairs exist if a group of similar
    /// images reached its size limit. `None` with a pattern for the subject, since nothing is
    /// compared.
    pub alike_across: Option<usize>,
}

impl Split {
    /// Splits `dataset` by the rules of `plan`.
    ///
    /// Images of one subject are one group. Without a pattern for subjects, all slices of a volume
    /// and all frames of a recording are one group. So are similar images, directly or
    /// transitively, up to a tenth of the data set; the most similar ones stay together.
    ///
    /// Each group goes to one part as a whole. In an order that depends on the seed, a part first
    /// gets one group for each class, then all groups that still fit, and finally one more if that
    /// brings its share closer. Every class stays in training: if only one group has it, the other
    /// parts lack it. A data set of one group is used completely for training.
    ///
    /// # Errors
    /// A [`SplitError`]: an image cannot be read, or the plan does not match the names.
    pub fn make(dataset: &Dataset, plan: &SplitPlan) -> Result<SplitReport, SplitError> {
        let Groups { groups, alike } = groups(dataset, plan)?;
        let count =
            |share: f64| (share.clamp(0.0, 1.0) * dataset.items().len() as f64).round() as usize;
        let named = |group: &Group| {
            let is_in = |subjects: &[String]| {
                group.subject.as_ref().is_some_and(|subject| subjects.contains(subject))
            };
            match () {
                () if is_in(&plan.test_subjects) => Part::Test,
                () if is_in(&plan.validation_subjects) => Part::Validation,
                () => Part::Train,
            }
        };
        let mut parts: Vec<Part> = groups.iter().map(named).collect();
        for (part, share) in [(Part::Validation, plan.validation), (Part::Test, plan.test)] {
            let of_part = groups.iter().zip(&parts).filter(|(_, at)| **at == part);
            let taken: usize = of_part.map(|(group, _)| group.members.len()).sum();
            let free: Vec<usize> = (0..groups.len()).filter(|&g| parts[g] == Part::Train).collect();
            let candidates: Vec<&Group> = free.iter().map(|&g| &groups[g]).collect();
            let wanted = count(share).saturating_sub(taken);
            let chosen = Choice::new(&candidates, wanted, plan.seed).run();
            free.into_iter().zip(chosen).filter(|(_, c)| *c).for_each(|(g, _)| parts[g] = part);
        }
        let names = |part: Part| {
            let members = groups.iter().zip(&parts).filter(|(_, at)| **at == part);
            names(dataset, members.map(|(group, _)| group))
        };
        let [train, validation, test] = Part::ALL.map(names);
        Ok(SplitReport {
            split: Self { train, validation, test },
            groups: Part::ALL.map(|part| parts.iter().filter(|&&at| at == part).count()),
            alike_across: alike.map(|pairs| across(&pairs, &groups, &parts)),
        })
    }

    /// Indices in `dataset` of the items of each part: train, validation, test.
    ///
    /// # Errors
    /// [`SplitError::UnknownName`] or [`SplitError::NamedTwice`].
    pub fn indices(&self, dataset: &Dataset) -> Result<[Vec<usize>; 3], SplitError> {
        let places = dataset.items().iter().enumerate().map(|(i, item)| (item.name.as_str(), i));
        let mut places: BTreeMap<&str, Option<usize>> =
            places.map(|(name, i)| (name, Some(i))).collect();
        let mut find = |name: &String| match places.get_mut(name.as_str()) {
            None => Err(SplitError::UnknownName { name: name.clone() }),
            // Each index is used once.
            Some(place) => {
                place.take().ok_or_else(|| SplitError::NamedTwice { name: name.clone() })
            }
        };
        let mut all = |names: &[String]| names.iter().map(&mut find).collect::<Result<_, _>>();
        Ok([all(&self.train)?, all(&self.validation)?, all(&self.test)?])
    }

    /// Reads a split from JSON.
    ///
    /// # Errors
    /// [`SplitError::File`].
    pub fn read(path: &Path) -> Result<Self, SplitError> {
        let text = fs::read_to_string(path).map_err(|e| SplitError::file(path, e))?;
        serde_json::from_str(&text).map_err(|e| SplitError::file(path, e))
    }

    /// Writes the split as JSON, so that others can compare with this training.
    ///
    /// # Errors
    /// [`SplitError::File`].
    pub fn write(&self, path: &Path) -> Result<(), SplitError> {
        let text = serde_json::to_string_pretty(self).expect("a split is plain data");
        fs::write(path, text + "\n").map_err(|e| SplitError::file(path, e))
    }
}

/// Sorted names of all items of `groups`.
fn names<'a>(dataset: &Dataset, groups: impl Iterator<Item = &'a Group>) -> Vec<String> {
    let members = groups.flat_map(|group| &group.members);
    let mut names: Vec<_> = members.map(|&i| dataset.items()[i].name.clone()).collect();
    names.sort();
    names
}

/// Number of pairs of items in different parts; `parts` holds the part of each group.
fn across<T: PartialEq>(pairs: &[[usize; 2]], groups: &[Group], parts: &[T]) -> usize {
    let members = groups.iter().zip(parts);
    let part_of: BTreeMap<usize, &T> =
        members.flat_map(|(group, part)| group.members.iter().map(move |&i| (i, part))).collect();
    pairs.iter().filter(|[a, b]| part_of[a] != part_of[b]).count()
}

impl Part {
    /// All parts, in the order of reports.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// Name of the part.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "training",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}
