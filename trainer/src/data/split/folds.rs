//! Folds for cross-validation.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use regex::Regex;

use super::groups::{Group, Groups, groups};
use super::plan::{SplitError, SplitPlan};
use super::{Split, across, names};
use crate::data::dataset::Dataset;

/// Splits for cross-validation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folds {
    /// One split for each fold: the fold is the test part, the next one the validation part.
    pub splits: Vec<Split>,
    /// Number of subjects, or of groups of similar images, in each fold.
    pub groups: Vec<usize>,
    /// Number of pairs of similar images in different folds; `None` with a pattern for the subject.
    pub alike_across: Option<usize>,
}

impl Folds {
    /// Divides `dataset` into `count` folds. Each item is in the test part of one split, and in the
    /// validation part of another.
    ///
    /// Groups are those of [`Split::make`], by `subject` or by similarity, and are in one fold as a
    /// whole. They are placed in order of their rarest class, then of their size, and otherwise in
    /// an order that depends on `seed`. Each goes to the fold with the fewest items in groups of
    /// that class, or with the fewest items.
    ///
    /// # Errors
    /// [`SplitError::TooFewGroups`], or an image cannot be read, or `subject` does not match a name.
    pub fn make(
        dataset: &Dataset,
        subject: Option<&Regex>,
        count: usize,
        seed: u64,
    ) -> Result<Self, SplitError> {
        let plan = SplitPlan { subject: subject.cloned(), ..SplitPlan::default() };
        let Groups { groups, alike } = groups(dataset, &plan)?;
        if groups.len() < count {
            return Err(SplitError::TooFewGroups { groups: groups.len(), folds: count });
        }
        let fold_of = place(&groups, count, seed);
        let members = |is_in: &dyn Fn(usize) -> bool| {
            let groups = groups.iter().zip(&fold_of).filter(|(_, fold)| is_in(**fold));
            names(dataset, groups.map(|(group, _)| group))
        };
        let split = |test: usize| {
            let validation = (test + 1) % count;
            Split {
                train: members(&|fold| fold != test && fold != validation),
                validation: members(&|fold| fold == validation),
                test: members(&|fold| fold == test),
            }
        };
        let in_fold = |fold: usize| fold_of.iter().filter(|&&of| of == fold).count();
        Ok(Self {
            splits: (0..count).map(split).collect(),
            groups: (0..count).map(in_fold).collect(),
            alike_across: alike.map(|pairs| across(&pairs, &groups, &fold_of)),
        })
    }
}

/// Fold of each group.
fn place(groups: &[Group], count: usize, seed: u64) -> Vec<usize> {
    let holders = |class: &u8| groups.iter().filter(|group| group.classes.contains(class)).count();
    let rarest = |group: &Group| group.classes.iter().copied().min_by_key(holders);
    let mut order: Vec<usize> = (0..groups.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    order.sort_by_key(|&g| {
        let frequency = rarest(&groups[g]).map_or(usize::MAX, |class| holders(&class));
        (frequency, usize::MAX - groups[g].members.len())
    });
    let mut fold_of: Vec<Option<usize>> = vec![None; groups.len()];
    for g in order {
        let class = rarest(&groups[g]);
        let items = |fold: usize, of_class: bool| -> usize {
            let placed = groups.iter().zip(&fold_of).filter(|(_, of)| **of == Some(fold));
            let wanted = |group: &Group| {
                !of_class || class.is_none_or(|class| group.classes.contains(&class))
            };
            placed.filter(|(group, _)| wanted(group)).map(|(group, _)| group.members.len()).sum()
        };
        fold_of[g] = (0..count).min_by_key(|&fold| (items(fold, true), items(fold, false)));
    }
    fold_of.into_iter().map(|fold| fold.expect("every group was placed")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Folds of groups of these sizes and classes.
    fn folds(groups: &[(usize, &[u8])], count: usize, seed: u64) -> Vec<usize> {
        let group = |&(len, classes): &(usize, &[u8])| Group {
            members: vec![0; len],
            classes: classes.iter().copied().collect(),
            subject: None,
        };
        place(&groups.iter().map(group).collect::<Vec<_>>(), count, seed)
    }

    #[test]
    fn folds_have_similar_sizes() {
        let groups = [(30, &[1u8][..]), (12, &[1]), (7, &[1]), (5, &[1]), (3, &[1]), (2, &[1])];
        let fold_of = folds(&groups, 3, 0);
        let size = |fold| -> usize {
            groups.iter().zip(&fold_of).filter(|(_, of)| **of == fold).map(|(g, _)| g.0).sum()
        };
        let mut sizes = [0, 1, 2].map(size);
        sizes.sort_unstable();
        assert_eq!(sizes, [14, 15, 30]);
    }

    #[test]
    fn rare_class_is_spread_over_folds() {
        let mut groups = vec![(4, &[1u8][..]); 12];
        groups.extend([(2, &[1u8, 2][..]); 4]);
        for seed in 0..20 {
            let fold_of = folds(&groups, 4, seed);
            let mut with_rare = fold_of[12..].to_vec();
            with_rare.sort_unstable();
            assert_eq!(with_rare, [0, 1, 2, 3], "seed {seed}");
            let items = |fold: usize| fold_of[..12].iter().filter(|&&of| of == fold).count();
            assert_eq!([0, 1, 2, 3].map(items), [3; 4], "seed {seed}");
        }
    }

    #[test]
    fn seed_decides_among_equal_groups() {
        let groups = [(1, &[1u8][..]); 20];
        assert_eq!(folds(&groups, 5, 1), folds(&groups, 5, 1));
        assert_ne!(folds(&groups, 5, 1), folds(&groups, 5, 2));
    }
}
