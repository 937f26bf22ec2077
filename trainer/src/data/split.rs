//! Training and validation, by similarity: frames of one scan that look alike are on one side.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::dataset::Dataset;
use super::problem::Problem;
use super::similarity::{Scene, group};

/// Which items are for training, and which for validation, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// Names for training.
    pub train: Vec<String>,
    /// Names for validation.
    pub validation: Vec<String>,
}

/// A split that cannot be read, written or used.
#[derive(Debug, thiserror::Error)]
pub enum SplitError {
    /// The file cannot be read or written, or holds something else.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The split is of another data set, or one of its files is missing.
    #[error("{name} is not in the data set")]
    UnknownName {
        /// The item's name.
        name: String,
    },
    /// The split names an item twice.
    #[error("{name} is named twice, expected once, for training or for validation")]
    NamedTwice {
        /// The item's name.
        name: String,
    },
}

impl Split {
    /// Splits `dataset` so that about `share` of its items are for validation.
    ///
    /// Pictures of one scene are one group, directly or through others, and so are all slices of
    /// a volume and all frames of a recording. Groups go to one side as a whole: in an order that
    /// `seed` decides first one for each class, then all that still fit, and at the end one more
    /// if that brings the share closer. A class stays in training in any case; where it is in one
    /// group only, validation lacks it, and a data set of one group has no validation.
    ///
    /// # Errors
    /// A picture that cannot be read.
    pub fn by_similarity(dataset: &Dataset, share: f64, seed: u64) -> Result<Self, Problem> {
        let groups = groups(dataset)?;
        let wanted = (share.clamp(0.0, 1.0) * dataset.items().len() as f64).round() as usize;
        let chosen = Choice::new(&groups, wanted, seed).run();
        let (mut train, mut validation) = (Vec::new(), Vec::new());
        for (group, chosen) in groups.iter().zip(chosen) {
            let side = if chosen { &mut validation } else { &mut train };
            side.extend(group.members.iter().map(|&i| dataset.items()[i].name.clone()));
        }
        train.sort();
        validation.sort();
        Ok(Self { train, validation })
    }

    /// Where the named items are in `dataset`: for training, and for validation.
    ///
    /// # Errors
    /// [`SplitError`] names the item that is not there or that is named twice. Items that the
    /// split does not name are used for nothing.
    pub fn indices(&self, dataset: &Dataset) -> Result<(Vec<usize>, Vec<usize>), SplitError> {
        let places = dataset.items().iter().enumerate().map(|(i, item)| (item.name.as_str(), i));
        let mut places: BTreeMap<&str, Option<usize>> =
            places.map(|(name, i)| (name, Some(i))).collect();
        let mut find = |name: &String| match places.get_mut(name.as_str()) {
            None => Err(SplitError::UnknownName { name: name.clone() }),
            // Each place is taken once.
            Some(place) => {
                place.take().ok_or_else(|| SplitError::NamedTwice { name: name.clone() })
            }
        };
        let train = self.train.iter().map(&mut find).collect::<Result<_, _>>()?;
        let validation = self.validation.iter().map(&mut find).collect::<Result<_, _>>()?;
        Ok((train, validation))
    }

    /// Reads a split from JSON.
    ///
    /// # Errors
    /// [`SplitError::File`].
    pub fn read(path: &Path) -> Result<Self, SplitError> {
        let text = fs::read_to_string(path).map_err(|e| SplitError::file(path, e))?;
        serde_json::from_str(&text).map_err(|e| SplitError::file(path, e))
    }

    /// Writes the split as JSON, for everybody who compares with this training.
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

/// Items that stay together.
struct Group {
    members: Vec<usize>,
    classes: BTreeSet<u8>,
}

/// Most slices or frames of one sequence that are compared with other pictures. They are of one
/// group anyway, and what resembles some of them resembles others.
const MAX_COMPARED: usize = 32;

fn groups(dataset: &Dataset) -> Result<Vec<Group>, Problem> {
    let items = dataset.items();
    let mut sequences: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, item) in items.iter().enumerate() {
        if let Some((stem, _)) = &item.sequence {
            sequences.entry(stem).or_default().push(i);
        }
    }
    let mut bundle: Vec<usize> = (0..items.len()).collect();
    let mut compared = vec![true; items.len()];
    for members in sequences.values() {
        let part = |k: usize| k * MAX_COMPARED / members.len();
        for (k, &i) in members.iter().enumerate() {
            bundle[i] = members[0];
            // The first of each of as many equal parts.
            compared[i] = k == 0 || part(k) != part(k - 1);
        }
    }
    let looked_at = (items, &compared)
        .into_par_iter()
        .map(|(item, compared)| {
            let picture = item.read()?;
            Ok((compared.then(|| Scene::new(&picture)), picture.class_indices()))
        })
        .collect::<Result<Vec<_>, Problem>>()?;
    let (scenes, classes): (Vec<_>, Vec<_>) = looked_at.into_iter().unzip();
    let group = |members: Vec<usize>| {
        let classes = members.iter().flat_map(|&i| classes[i].iter().copied()).collect();
        Group { members, classes }
    };
    Ok(self::group(&scenes, &bundle).into_iter().map(group).collect())
}

/// Groups on their way to validation.
struct Choice<'a> {
    groups: &'a [Group],
    /// Items wanted.
    wanted: usize,
    /// Indices of groups, in the order in which they are asked.
    order: Vec<usize>,
    chosen: Vec<bool>,
    /// Items in the chosen ones.
    count: usize,
}

impl<'a> Choice<'a> {
    fn new(groups: &'a [Group], wanted: usize, seed: u64) -> Self {
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
                // A class counts for more than the share, up to half of all items.
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

    /// Groups that training can do without, in order.
    fn free(&self) -> impl Iterator<Item = usize> {
        let left = self.chosen.iter().filter(|&&chosen| !chosen).count();
        let spare = move |&&g: &&usize| {
            let mut classes = self.groups[g].classes.iter();
            !self.chosen[g] && left > 1 && classes.all(|&class| self.holders(class, false) > 1)
        };
        self.order.iter().filter(spare).copied()
    }

    /// Groups with that class, among the chosen or the others.
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

    /// Groups of these sizes and classes; which were chosen, and how many items that is.
    fn choose(groups: &[(usize, &[u8])], wanted: usize, seed: u64) -> (Vec<bool>, usize) {
        let group = |&(len, classes): &(usize, &[u8])| Group {
            members: vec![0; len],
            classes: classes.iter().copied().collect(),
        };
        let groups: Vec<Group> = groups.iter().map(group).collect();
        let chosen = Choice::new(&groups, wanted, seed).run();
        let sizes = groups.iter().zip(&chosen).filter(|(_, c)| **c).map(|(g, _)| g.members.len());
        let count = sizes.sum();
        (chosen, count)
    }

    #[test]
    fn the_share_is_met_whatever_the_sizes_of_groups() {
        let many = [(1, &[1u8][..]); 40];
        let mixed = [(30, &[1u8][..]), (12, &[1]), (7, &[1]), (5, &[1]), (3, &[1]), (2, &[1])];
        for seed in 0..50 {
            assert_eq!(choose(&many, 8, seed).1, 8);
            let count = choose(&mixed, 12, seed).1;
            assert!((10..=14).contains(&count), "{count} of 12 with seed {seed}");
        }
    }

    #[test]
    fn groups_that_all_overshoot_give_the_one_that_comes_closest() {
        let volumes = [(40, &[1u8][..]), (30, &[1]), (50, &[1])];
        assert_eq!(choose(&volumes, 24, 0), (vec![false, true, false], 30));
        // Nothing would be closer to 10, but then no class could be validated.
        assert_eq!(choose(&volumes, 10, 0).1, 30);
        assert_eq!(choose(&[(40, &[1])], 8, 0).1, 0);
    }

    #[test]
    fn every_class_is_on_both_sides_where_that_is_possible() {
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
    fn seeds_choose_differently_and_the_same_again() {
        let many = [(1, &[1u8][..]); 40];
        assert_eq!(choose(&many, 8, 1), choose(&many, 8, 1));
        assert_ne!(choose(&many, 8, 1), choose(&many, 8, 2));
        assert_eq!(choose(&many, 0, 1).1, 0);
        assert_eq!(choose(&many, 40, 1).1, 39);
    }
}
