//! Rules for making a split, and errors of splits.

use std::path::{Path, PathBuf};

use regex::Regex;

use crate::data::problem::Problem;

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
    /// The data set has fewer groups than folds.
    #[error(
        "{groups} groups of images that stay together, expected {folds} or more, at least one for \
         each fold"
    )]
    TooFewGroups {
        /// Number of groups.
        groups: usize,
        /// Number of folds.
        folds: usize,
    },
    /// An image cannot be read.
    #[error(transparent)]
    Image(#[from] Problem),
}

impl SplitError {
    pub(super) fn file(path: &Path, reason: impl ToString) -> Self {
        Self::File { path: path.to_owned(), reason: reason.to_string() }
    }
}
