//! Split of a data set into training, validation and test parts. Images of one subject or scene are
//! in one part.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use regex::Regex;
use serde::{Deserialize, Serialize};

use super::dataset::Dataset;
use super::picture::Picture;
use super::problem::Problem;
use super::similarity::{Scene, alike_pairs, group};

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

/// Rules for making a split.
#[derive(Clone, Debug, Default)]
pub struct SplitPlan {
    /// Share of the items for validation, 0 to 1.
    pub validation: f64,
    /// Share of the items for test, 0 to 1.
    pub test: f64,
    /// Seed of the order in which groups are considered.
    pub seed: u64,
    /// Pattern of the subject in an item's name: its first capture group, or the whole match.
    /// `None` groups items by similarity.
    pub subject: Option<Regex>,
    /// Subjects that are always in the validation part, regardless of its share.
    pub validation_subjects: Vec<String>,
    /// Subjects that are always in the test part, regardless of its share.
    pub test_subjects: Vec<String>,
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

/// An error of reading, writing, making or using a split.
#[derive(Debug, thiserror::Error)]
pub enum SplitError {
    /// The file cannot be read or written, or is not a split.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// Cause.
        reason: String,
    },
    /// The split belongs to another data set, or an image of this one is missing.
    #[error("{name} is not in the data set")]
    UnknownName {
        /// Name of the item.
        name: String,
    },
    /// The split names an item twice.
    #[error("{name} is named twice, expected once, for training, validation or test")]
    NamedTwice {
        /// Name of the item.
        name: String,
    },
    /// The pattern for the subject does not match an item's name.
    #[error("the pattern {pattern} for the subject does not match the name {name}")]
    NoSubject {
        /// The pattern.
        pattern: String,
        /// Name of the item.
        name: String,
    },
    /// The plan names a subject of which there is no item.
    #[error("no image of subject {subject}; the pattern {pattern} finds {found}")]
    UnknownSubject {
        /// The subject.
        subject: String,
        /// The pattern.
        pattern: String,
        /// Subjects that exist.
        found: String,
    },
    /// The plan names subjects but has no pattern.
    #[error("subjects are given ({named}) without a pattern that finds them in image names")]
    NoPattern {
        /// The subjects.
        named: String,
    },
    /// An image cannot be read.
    #[error(transparent)]
    Image(#[from] Problem),
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
    pub fn new(dataset: &Dataset, plan: &SplitPlan) -> Result<SplitReport, SplitError> {
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
            let members = members.flat_map(|(group, _)| &group.members);
            let mut names: Vec<_> = members.map(|&i| dataset.items()[i].name.clone()).collect();
            names.sort();
            names
        };
        let [train, validation, test] = Part::ALL.map(names);
        let mut part_of = vec![Part::Train; dataset.items().len()];
        for (group, part) in groups.iter().zip(&parts) {
            group.members.iter().for_each(|&i| part_of[i] = *part);
        }
        let across = |pairs: Vec<[usize; 2]>| {
            pairs.iter().filter(|[a, b]| part_of[*a] != part_of[*b]).count()
        };
        Ok(SplitReport {
            split: Self { train, validation, test },
            groups: Part::ALL.map(|part| parts.iter().filter(|&&at| at == part).count()),
            alike_across: alike.map(across),
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

impl SplitError {
    fn file(path: &Path, reason: impl ToString) -> Self {
        Self::File { path: path.to_owned(), reason: reason.to_string() }
    }
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

/// Items that stay in one part.
struct Group {
    members: Vec<usize>,
    classes: BTreeSet<u8>,
    /// Subject found by the pattern, if there is one.
    subject: Option<String>,
}

/// Largest number of slices or frames of one file that are compared with other images. They are one
/// group anyway, and images similar to some of them are similar to others.
const MAX_COMPARED: usize = 32;

/// Similarity alone joins at most one in this many items of a data set into one group.
const MAX_SIMILAR_SHARE: usize = 10;

/// Group size that similarity may always reach; a smaller cap would separate true neighbours.
const MIN_SIMILAR_CAP: usize = 8;

/// All items in groups.
struct Groups {
    groups: Vec<Group>,
    /// Pairs of similar items; `None` if items were not compared.
    alike: Option<Vec<[usize; 2]>>,
}

fn groups(dataset: &Dataset, plan: &SplitPlan) -> Result<Groups, SplitError> {
    match &plan.subject {
        Some(pattern) => groups_by_subject(dataset, plan, pattern),
        None => {
            let named = [&plan.validation_subjects[..], &plan.test_subjects].concat();
            if !named.is_empty() {
                return Err(SplitError::NoPattern { named: named.join(", ") });
            }
            Ok(groups_by_similarity(dataset)?)
        }
    }
}

/// Reads every item; returns the result of `look` and the classes.
fn look_at<T: Send>(
    dataset: &Dataset,
    look: impl Fn(usize, &Picture) -> T + Sync,
) -> Result<Vec<(T, BTreeSet<u8>)>, Problem> {
    let looked_at = dataset.items().par_iter().enumerate().map(|(i, item)| {
        let picture = item.read()?;
        Ok((look(i, &picture), picture.class_indices()))
    });
    looked_at.collect()
}

fn groups_by_subject(
    dataset: &Dataset,
    plan: &SplitPlan,
    pattern: &Regex,
) -> Result<Groups, SplitError> {
    let mut subjects: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, item) in dataset.items().iter().enumerate() {
        let found = pattern.captures(&item.name);
        let found = found.and_then(|captures| captures.get(1).or_else(|| captures.get(0)));
        let Some(subject) = found else {
            let (pattern, name) = (pattern.to_string(), item.name.clone());
            return Err(SplitError::NoSubject { pattern, name });
        };
        subjects.entry(subject.as_str()).or_default().push(i);
    }
    for subject in plan.validation_subjects.iter().chain(&plan.test_subjects) {
        if !subjects.contains_key(subject.as_str()) {
            let found = subjects.keys().copied().collect::<Vec<_>>().join(", ");
            let (subject, pattern) = (subject.clone(), pattern.to_string());
            return Err(SplitError::UnknownSubject { subject, pattern, found });
        }
    }
    let looked_at = look_at(dataset, |_, _| ())?;
    let group = |(subject, members): (&str, Vec<usize>)| Group {
        classes: members.iter().flat_map(|&i| looked_at[i].1.iter().copied()).collect(),
        members,
        subject: Some(subject.to_owned()),
    };
    Ok(Groups { groups: subjects.into_iter().map(group).collect(), alike: None })
}

fn groups_by_similarity(dataset: &Dataset) -> Result<Groups, Problem> {
    let items = dataset.items();
    // Slices of a volume, frames of a recording, or masks of one image.
    let mut files: BTreeMap<&Path, Vec<usize>> = BTreeMap::new();
    for (i, item) in items.iter().enumerate() {
        files.entry(&item.image).or_default().push(i);
    }
    let mut bundle: Vec<usize> = (0..items.len()).collect();
    let mut compared = vec![true; items.len()];
    for members in files.values() {
        let part = |k: usize| k * MAX_COMPARED / members.len();
        for (k, &i) in members.iter().enumerate() {
            bundle[i] = members[0];
            // The first of each of `MAX_COMPARED` equal parts.
            compared[i] = k == 0 || part(k) != part(k - 1);
        }
    }
    let looked_at = look_at(dataset, |i, picture| compared[i].then(|| Scene::new(picture)))?;
    let (scenes, classes): (Vec<_>, Vec<_>) = looked_at.into_iter().unzip();
    let pairs = alike_pairs(&scenes, &bundle);
    let cap = (items.len() / MAX_SIMILAR_SHARE).max(MIN_SIMILAR_CAP);
    let group = |members: Vec<usize>| {
        let classes = members.iter().flat_map(|&i| classes[i].iter().copied()).collect();
        Group { members, classes, subject: None }
    };
    Ok(Groups {
        groups: self::group(&pairs, &bundle, cap).into_iter().map(group).collect(),
        alike: Some(pairs.iter().map(|pair| [pair.first, pair.second]).collect()),
    })
}

/// Selection of groups for validation or test.
struct Choice<'a> {
    groups: &'a [&'a Group],
    /// Wanted number of items.
    wanted: usize,
    /// Indices of groups, in the order of consideration.
    order: Vec<usize>,
    chosen: Vec<bool>,
    /// Number of items in the selected groups.
    count: usize,
}

impl<'a> Choice<'a> {
    fn new(groups: &'a [&'a Group], wanted: usize, seed: u64) -> Self {
        let mut order: Vec<usize> = (0..groups.len()).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        Self { groups, wanted, order, chosen: vec![false; groups.len()], count: 0 }
    }

    fn run(mut self) -> Vec<bool> {
        if self.wanted == 0 {
            return self.chosen;
        }
        for class in self.classes_rarest_first() {
            if self.holders(class, true) == 0 {
                let free = self.free().filter(|&g| self.groups[g].classes.contains(&class));
                let free: Vec<usize> = free.collect();
                let fits = free.iter().copied().find(|&g| self.fits(g));
                // Having every class is more important than the share, up to half of all items.
                let smallest = free.into_iter().min_by_key(|&g| self.len(g));
                let small = smallest.filter(|&g| self.count + self.len(g) <= self.total() / 2);
                if let Some(group) = fits.or(small) {
                    self.choose(group);
                }
            }
        }
        while let Some(group) = { self.free().find(|&g| self.fits(g)) } {
            self.choose(group);
        }
        let smallest = self.free().min_by_key(|&g| self.len(g));
        if let Some(group) = smallest {
            let missing = self.wanted.saturating_sub(self.count);
            if self.len(group).abs_diff(missing) < missing {
                self.choose(group);
            }
        }
        self.chosen
    }

    fn choose(&mut self, group: usize) {
        self.chosen[group] = true;
        self.count += self.len(group);
    }

    /// Groups that training does not need, in order.
    fn free(&self) -> impl Iterator<Item = usize> {
        let left = self.chosen.iter().filter(|&&chosen| !chosen).count();
        let spare = move |&&g: &&usize| {
            let mut classes = self.groups[g].classes.iter();
            !self.chosen[g] && left > 1 && classes.all(|&class| self.holders(class, false) > 1)
        };
        self.order.iter().filter(spare).copied()
    }

    /// Number of groups with a class, among the selected (`chosen`) or the other ones.
    fn holders(&self, class: u8, chosen: bool) -> usize {
        let all = self.groups.iter().zip(&self.chosen);
        all.filter(|(group, c)| **c == chosen && group.classes.contains(&class)).count()
    }

    fn classes_rarest_first(&self) -> Vec<u8> {
        let classes: BTreeSet<u8> = self.groups.iter().flat_map(|g| g.classes.clone()).collect();
        let mut classes: Vec<u8> = classes.into_iter().collect();
        classes.sort_by_key(|&class| self.holders(class, false));
        classes
    }

    fn fits(&self, group: usize) -> bool {
        self.count + self.len(group) <= self.wanted
    }

    fn len(&self, group: usize) -> usize {
        self.groups[group].members.len()
    }

    fn total(&self) -> usize {
        self.groups.iter().map(|group| group.members.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Selects from groups of these sizes and classes; returns the selection and its number of
    /// items.
    fn choose(groups: &[(usize, &[u8])], wanted: usize, seed: u64) -> (Vec<bool>, usize) {
        let group = |&(len, classes): &(usize, &[u8])| Group {
            members: vec![0; len],
            classes: classes.iter().copied().collect(),
            subject: None,
        };
        let groups: Vec<Group> = groups.iter().map(group).collect();
        let candidates: Vec<&Group> = groups.iter().collect();
        let chosen = Choice::new(&candidates, wanted, seed).run();
        let sizes = groups.iter().zip(&chosen).filter(|(_, c)| **c).map(|(g, _)| g.members.len());
        let count = sizes.sum();
        (chosen, count)
    }

    #[test]
    fn share_is_met_for_any_group_sizes() {
        let many = [(1, &[1u8][..]); 40];
        let mixed = [(30, &[1u8][..]), (12, &[1]), (7, &[1]), (5, &[1]), (3, &[1]), (2, &[1])];
        for seed in 0..50 {
            assert_eq!(choose(&many, 8, seed).1, 8);
            let count = choose(&mixed, 12, seed).1;
            assert!((10..=14).contains(&count), "{count} of 12 with seed {seed}");
        }
    }

    #[test]
    fn closest_group_is_chosen_when_all_exceed_the_share() {
        let volumes = [(40, &[1u8][..]), (30, &[1]), (50, &[1])];
        assert_eq!(choose(&volumes, 24, 0), (vec![false, true, false], 30));
        // Selecting nothing would be closer to 10, but then no class could be validated.
        assert_eq!(choose(&volumes, 10, 0).1, 30);
        assert_eq!(choose(&[(40, &[1])], 8, 0).1, 0);
    }

    #[test]
    fn every_class_is_in_both_parts_where_possible() {
        let groups = [
            (6, &[1u8][..]),
            (6, &[1]),
            (6, &[1]),
            (6, &[1]),
            (4, &[2]),
            (5, &[2, 1]),
            (3, &[3]),
            (2, &[]),
        ];
        for seed in 0..50 {
            let (chosen, _) = choose(&groups, 10, seed);
            for class in [1u8, 2] {
                for side in [true, false] {
                    let has = |i: usize| chosen[i] == side && groups[i].1.contains(&class);
                    assert!((0..groups.len()).any(has), "class {class}, seed {seed}");
                }
            }
            assert!(!chosen[6], "the only group with class 3 is for training");
        }
    }

    #[test]
    fn equal_seeds_choose_equally_and_other_seeds_differently() {
        let many = [(1, &[1u8][..]); 40];
        assert_eq!(choose(&many, 8, 1), choose(&many, 8, 1));
        assert_ne!(choose(&many, 8, 1), choose(&many, 8, 2));
        assert_eq!(choose(&many, 0, 1).1, 0);
        assert_eq!(choose(&many, 40, 1).1, 39);
    }
}
