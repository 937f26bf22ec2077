//! Pixels of each value in the masks of a data set.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::map::ValueMap;
use crate::data::problem::Problem;

/// Number of pixels of each value, by mask.
#[derive(Clone, Debug, Default)]
pub struct ValueCounts {
    masks: Vec<(PathBuf, BTreeMap<u8, u64>)>,
}

impl ValueCounts {
    /// Counts the values of one mask.
    #[cfg(test)]
    pub(super) fn add(&mut self, mask: PathBuf, values: &[u8]) {
        self.masks.push((mask, count(values)));
    }

    /// Values that occur, ascending.
    pub fn values(&self) -> Vec<u8> {
        let values: BTreeSet<u8> =
            self.masks.iter().flat_map(|(_, counts)| counts.keys().copied()).collect();
        values.into_iter().collect()
    }

    /// Number of pixels with `value`, and of masks that have such pixels.
    pub fn of(&self, value: u8) -> (u64, usize) {
        let counts = self.masks.iter().filter_map(|(_, counts)| counts.get(&value));
        counts.fold((0, 0), |(pixels, masks), count| (pixels + count, masks + 1))
    }

    /// Checks that every value has a meaning in `map`.
    pub(super) fn check(&self, map: &ValueMap) -> Result<(), Problem> {
        let Some((value, mask, pixels)) = self.without_meaning(map) else { return Ok(()) };
        let found = self.values();
        Err(Problem::AmbiguousValues { mask: mask.to_owned(), value, pixels, found })
    }

    /// The first value without meaning, the first mask that has it, and its pixels there.
    fn without_meaning(&self, map: &ValueMap) -> Option<(u8, &Path, u64)> {
        self.values().into_iter().filter(|&value| map.class(value).is_none()).find_map(|value| {
            let mut masks = self.masks.iter();
            masks.find_map(|(mask, counts)| Some((value, mask.as_path(), *counts.get(&value)?)))
        })
    }
}

impl FromIterator<(PathBuf, BTreeMap<u8, u64>)> for ValueCounts {
    fn from_iter<I: IntoIterator<Item = (PathBuf, BTreeMap<u8, u64>)>>(masks: I) -> Self {
        Self { masks: masks.into_iter().collect() }
    }
}

/// Number of pixels of each value.
pub(in crate::data) fn count(values: &[u8]) -> BTreeMap<u8, u64> {
    let mut counts = [0u64; 256];
    values.iter().for_each(|&value| counts[usize::from(value)] += 1);
    (0..=255u8).zip(counts).filter(|&(_, count)| count > 0).collect()
}
