//! Items of a data set folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::item::{Item, Source};
use super::layout::{self, Content};
use super::problem::Problem;
use super::records::RecordsReport;
use super::values::{MaskRule, ValueCounts, ValueMap};
use crate::Error;

/// Images with masks, sorted by stem and, within a volume or recording, by number.
#[derive(Clone, Debug)]
pub struct Dataset {
    items: Vec<Item>,
    labels: Vec<String>,
    records: Option<RecordsReport>,
}

impl Dataset {
    /// Opens `path`, a folder in one of the forms of [`data`](super). Also returns the problems that
    /// can be found before pixels are decoded.
    ///
    /// # Errors
    /// A folder of the data set cannot be listed, or its COCO file cannot be read.
    pub fn open(path: &Path) -> Result<(Self, Vec<Problem>), Error> {
        let mut problems = Vec::new();
        let Content { mut items, labels, records } = layout::open(path, &mut problems)?;
        // For example `a#0001.png` next to the slices of `a.nii`.
        let mut names: BTreeMap<String, PathBuf> = BTreeMap::new();
        items.retain(|item: &Item| match names.get(&item.name) {
            None => names.insert(item.name.clone(), item.image.clone()).is_none(),
            Some(used) => {
                let (path, used) = (item.image.clone(), used.clone());
                problems.push(Problem::SameName { path, used });
                false
            }
        });
        Ok((Self { items, labels, records }, problems))
    }

    /// The items.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Facts about the records; `None` for other data sets.
    pub fn records(&self) -> Option<&RecordsReport> {
        self.records.as_ref()
    }

    /// Labels of records and annotations, in the order of the classes 1, 2, ...; empty for masks with
    /// values, whose classes have no names.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// `depth` consecutive slices or frames of one volume or recording, starting with item `start`;
    /// `None` if there are not that many.
    pub fn run(&self, start: usize, depth: usize) -> Option<&[Item]> {
        let items = self.items.get(start..start.checked_add(depth)?)?;
        let (stem, first) = items.first()?.sequence.as_ref()?;
        let follows = |(step, item): (usize, &Item)| {
            item.sequence.as_ref().is_some_and(|(s, n)| s == stem && *n == first + step)
        };
        items.iter().enumerate().all(follows).then_some(items)
    }

    /// Reads all masks and counts their values. Masks that cannot be read are left out;
    /// [`Dataset::check`] reports them.
    pub fn count_values(&self) -> ValueCounts {
        let mut masks: BTreeMap<&Path, &Item> = BTreeMap::new();
        for item in &self.items {
            masks.entry(&item.mask).or_insert(item);
        }
        // A volume may take a gigabyte, so that only one is in memory.
        let (volumes, others): (Vec<&Item>, Vec<&Item>) =
            masks.into_values().partition(|item| matches!(item.source, Source::Slice(..)));
        let count = |item: &Item| Some((item.mask.clone(), item.count_values().ok()?));
        let of_others: Vec<_> = others.into_par_iter().filter_map(count).collect();
        of_others.into_iter().chain(volumes.into_iter().filter_map(count)).collect()
    }

    /// Classes of the values by `rule`, with classes of the given names.
    ///
    /// # Errors
    /// [`Problem::AmbiguousValues`] or [`Problem::UnknownName`].
    pub fn value_map(&self, rule: &MaskRule, names: &[String]) -> Result<ValueMap, Problem> {
        rule.resolve(&self.count_values(), names, |value| usize::from(value) <= names.len())
    }

    /// Reads every item with `values` and passes problems to `report`; the remaining items are still
    /// read. A slice without a label is valid, but a volume without any is a problem. With
    /// `classes`, other classes are reported once for each file.
    pub fn check(
        &self,
        values: &ValueMap,
        classes: Option<&[u8]>,
        mut report: impl FnMut(Problem),
    ) {
        let mut broken: BTreeSet<&Path> = BTreeSet::new();
        let mut found: BTreeMap<PathBuf, BTreeSet<u8>> = BTreeMap::new();
        for item in &self.items {
            // Every item of a broken volume or recording would have the same problem.
            if broken.contains(item.image.as_path()) {
                continue;
            }
            match item.read(values) {
                Ok(sample) => {
                    found.entry(item.mask.clone()).or_default().extend(sample.class_indices());
                }
                Err(problem) => {
                    let about_image =
                        matches!(&problem, Problem::Unreadable { path, .. } if *path == item.image);
                    if about_image || item.shares_mask() {
                        broken.insert(&item.image);
                    }
                    report(problem);
                }
            }
        }
        for (mask, found) in found {
            if found.is_empty() {
                report(Problem::EmptyMask { mask: mask.clone() });
            }
            let Some(expected) = classes else { continue };
            for class in found.into_iter().filter(|class| !expected.contains(class)) {
                let (mask, expected) = (mask.clone(), expected.to_vec());
                report(Problem::UnlistedClass { mask, class, expected });
            }
        }
    }
}
