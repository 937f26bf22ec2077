//! Training and validation, by similarity: frames of one scan that look alike are on one side.

use std::fs;
use std::path::{Path, PathBuf};

use medsa_sam::image::RgbView;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::dataset::Dataset;
use super::problem::Problem;

/// Which items are for training, and which for validation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// Names for training.
    pub train: Vec<String>,
    /// Names for validation.
    pub validation: Vec<String>,
}

/// Side of the grey thumbnails that are compared.
const THUMBNAIL_PX: usize = 64;

/// Normalized correlation of two thumbnails from which on they count as one group.
const ALIKE: f32 = 0.75;

impl Split {
    /// Splits `dataset`: pictures whose thumbnails correlate are one group, directly or through
    /// others, and whole groups go to validation, in an order that `seed` decides, until it has
    /// `share` of all pictures.
    ///
    /// # Errors
    /// A picture that cannot be read.
    pub fn by_similarity(dataset: &Dataset, share: f64, seed: u64) -> Result<Self, Problem> {
        let thumbnails = dataset
            .items()
            .iter()
            .map(|item| {
                let picture = item.read()?;
                Ok(thumbnail(picture.width, picture.height, &picture.rgb))
            })
            .collect::<Result<Vec<_>, Problem>>()?;
        let mut groups = group(&thumbnails);
        groups.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let wanted = (share * thumbnails.len() as f64).round() as usize;
        let (mut train, mut validation) = (Vec::new(), Vec::new());
        for members in groups {
            let fits = validation.len() + members.len() <= wanted;
            let side = if fits { &mut validation } else { &mut train };
            side.extend(members.iter().map(|&i| dataset.items()[i].name.clone()));
        }
        train.sort();
        validation.sort();
        Ok(Self { train, validation })
    }

    /// Reads a split.
    ///
    /// # Errors
    /// [`SplitError`] names the file.
    pub fn read(path: &Path) -> Result<Self, SplitError> {
        let text = fs::read_to_string(path).map_err(|e| SplitError::new(path, e))?;
        serde_json::from_str(&text).map_err(|e| SplitError::new(path, e))
    }

    /// Writes the split, for everybody who compares with this training.
    ///
    /// # Errors
    /// [`SplitError`] names the file.
    pub fn write(&self, path: &Path) -> Result<(), SplitError> {
        let text = serde_json::to_string_pretty(self).expect("a split is plain data");
        fs::write(path, text + "\n").map_err(|e| SplitError::new(path, e))
    }
}

/// A split file that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct SplitError {
    /// The file.
    path: PathBuf,
    /// What is wrong with it.
    reason: String,
}

impl SplitError {
    fn new(path: &Path, reason: impl ToString) -> Self {
        Self { path: path.to_owned(), reason: reason.to_string() }
    }
}

/// Grey values of a small version, mean 0 and length 1, so that a product is a correlation.
fn thumbnail(width: usize, height: usize, rgb: &[u8]) -> Vec<f32> {
    let frame = RgbView::new(width, height, rgb).expect("a decoded picture is whole");
    let small = medsa_sam::image::resize_bilinear_u8(frame, THUMBNAIL_PX, THUMBNAIL_PX);
    let grey: Vec<f32> =
        small.chunks_exact(3).map(|p| p.iter().map(|&v| f32::from(v)).sum()).collect();
    let mean = grey.iter().sum::<f32>() / grey.len() as f32;
    let length = grey.iter().map(|v| (v - mean).powi(2)).sum::<f32>().sqrt().max(1e-6);
    grey.iter().map(|v| (v - mean) / length).collect()
}

/// Groups of indices that are alike, directly or through others.
fn group(thumbnails: &[Vec<f32>]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (i, thumbnail) in thumbnails.iter().enumerate() {
        let alike = |&j: &usize| {
            thumbnail.iter().zip(&thumbnails[j]).map(|(a, b)| a * b).sum::<f32>() > ALIKE
        };
        let (mut same, others): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|members| members.iter().any(alike));
        groups = others;
        same.push(vec![i]);
        let mut merged = same.concat();
        merged.sort_unstable();
        groups.push(merged);
    }
    groups.sort();
    groups
}
