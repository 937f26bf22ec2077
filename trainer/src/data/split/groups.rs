//! Groups of items that stay in one part of a split.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rayon::prelude::*;
use regex::Regex;

use super::plan::{SplitError, SplitPlan};
use crate::data::dataset::Dataset;
use crate::data::problem::Problem;
use crate::data::similarity::{self, Scene, alike_pairs};
use crate::data::training_image::TrainingImage;
use crate::data::values::ValueMap;

/// Items that stay in one part.
pub(super) struct Group {
    /// Indices of the items.
    pub members: Vec<usize>,
    /// Classes of all items.
    pub classes: BTreeSet<u8>,
    /// Subject found by the pattern, if there is one.
    pub subject: Option<String>,
}

/// Largest number of slices or frames of one file that are compared with other images. They are one
/// group anyway, and images similar to some of them are similar to others.
const MAX_COMPARED: usize = 32;

/// Similarity alone joins at most one in this many items of a data set into one group.
const MAX_SIMILAR_SHARE: usize = 10;

/// Group size that similarity may always reach; a smaller cap would separate true neighbours.
const MIN_SIMILAR_CAP: usize = 8;

/// All items in groups.
pub(super) struct Groups {
    /// The groups.
    pub groups: Vec<Group>,
    /// Pairs of similar items; `None` if items were not compared.
    pub alike: Option<Vec<[usize; 2]>>,
}

/// Groups the items of `dataset` by subject or by similarity.
///
/// # Errors
/// A [`SplitError`]: an image cannot be read, or the plan does not match the names.
pub(super) fn groups(dataset: &Dataset, plan: &SplitPlan) -> Result<Groups, SplitError> {
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

/// Reads every item; returns the result of `look` and the classes. Which value is which class does
/// not matter here, so that ambiguous values are classes of their own.
fn look_at<T: Send>(
    dataset: &Dataset,
    look: impl Fn(usize, &TrainingImage) -> T + Sync,
) -> Result<Vec<(T, BTreeSet<u8>)>, Problem> {
    let values = ValueMap::stored();
    let looked_at = dataset.items().par_iter().enumerate().map(|(i, item)| {
        let image = item.read(&values)?;
        Ok((look(i, &image), image.class_indices()))
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
    let looked_at = look_at(dataset, |i, image| compared[i].then(|| Scene::new(image)))?;
    let (scenes, classes): (Vec<_>, Vec<_>) = looked_at.into_iter().unzip();
    let pairs = alike_pairs(&scenes, &bundle);
    let cap = (items.len() / MAX_SIMILAR_SHARE).max(MIN_SIMILAR_CAP);
    let group = |members: Vec<usize>| {
        let classes = members.iter().flat_map(|&i| classes[i].iter().copied()).collect();
        Group { members, classes, subject: None }
    };
    Ok(Groups {
        groups: similarity::group(&pairs, &bundle, cap).into_iter().map(group).collect(),
        alike: Some(pairs.iter().map(|pair| [pair.first, pair.second]).collect()),
    })
}
