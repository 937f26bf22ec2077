//! Selection of groups for one part of a split.

use std::collections::BTreeSet;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::groups::Group;

/// Selection of groups for validation or test.
pub(super) struct Choice<'a> {
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
    /// Selects `wanted` items; `seed` orders the groups.
    pub(super) fn new(groups: &'a [&'a Group], wanted: usize, seed: u64) -> Self {
        let mut order: Vec<usize> = (0..groups.len()).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        Self { groups, wanted, order, chosen: vec![false; groups.len()], count: 0 }
    }

    /// Marks the selected groups.
    pub(super) fn run(mut self) -> Vec<bool> {
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
