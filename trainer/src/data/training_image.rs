//! Decoded images with their masks, and the targets of prompts in them.

use std::collections::BTreeSet;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::values::{IGNORED, MAX_CLASS};
use crate::region::components;

/// Target of one prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Targets {
    /// All pixels of a class
    Class,
    /// Each connected component of a class
    Component,
    /// The largest connected component of a class
    Largest,
}

/// A decoded image with its mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainingImage {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// `[H, W, 3]`.
    pub rgb: Vec<u8>,
    /// Class of each pixel, `[H, W]`: 0 for background, [`IGNORED`] for a pixel without loss and
    /// score.
    pub classes: Array2<u8>,
}

impl TrainingImage {
    /// Target masks `[H, W]` of prompts, each with its class. Components of fewer than `min_px`
    /// pixels are annotation noise and left out.
    pub fn targets(&self, kind: Targets, min_px: usize) -> Vec<(u8, Array2<bool>)> {
        let mut targets = Vec::new();
        for class in self.class_indices() {
            let mask = self.classes.mapv(|value| value == class);
            match kind {
                Targets::Class => targets.push((class, mask)),
                Targets::Component => {
                    let parts = components(mask.view(), min_px).into_iter();
                    targets.extend(parts.map(|part| (class, part)));
                }
                Targets::Largest => {
                    let largest = components(mask.view(), min_px).into_iter().next();
                    targets.extend(largest.map(|part| (class, part)));
                }
            }
        }
        targets
    }

    /// Classes that occur in the mask.
    pub fn class_indices(&self) -> BTreeSet<u8> {
        let mut present = [false; 256];
        self.classes.iter().for_each(|&class| present[usize::from(class)] = true);
        (1..=MAX_CLASS).filter(|&class| present[usize::from(class)]).collect()
    }

    /// Pixels to ignore `[H, W]`; `None` if there are none.
    pub fn ignored(&self) -> Option<Array2<bool>> {
        let ignored = self.classes.mapv(|class| class == IGNORED);
        ignored.iter().any(|&ignored| ignored).then_some(ignored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_classes_or_components() {
        let mut classes = Array2::zeros((10, 10));
        for (y, x, class) in [(1, 1, 1), (1, 2, 1), (5, 5, 1), (8, 1, 3), (8, 2, 3), (8, 3, 3)] {
            classes[(y, x)] = class;
        }
        let image = TrainingImage { width: 10, height: 10, rgb: vec![0; 300], classes };
        let found = |kind, min_px| -> Vec<(u8, usize)> {
            let targets = image.targets(kind, min_px).into_iter();
            targets.map(|(class, mask)| (class, mask.iter().filter(|&&p| p).count())).collect()
        };
        assert_eq!(found(Targets::Class, 2), [(1, 3), (3, 3)]);
        assert_eq!(found(Targets::Component, 1), [(1, 2), (1, 1), (3, 3)]);
        assert_eq!(found(Targets::Component, 2), [(1, 2), (3, 3)]);
    }

    #[test]
    fn ignored_pixels_are_no_target() {
        let classes = ndarray::array![[0, 1, 1, IGNORED], [2, IGNORED, 0, 0]];
        let image = TrainingImage { width: 4, height: 2, rgb: vec![0; 24], classes };
        assert_eq!(image.class_indices().into_iter().collect::<Vec<_>>(), [1, 2]);
        let targets = image.targets(Targets::Class, 1);
        assert_eq!(targets.iter().map(|(class, _)| *class).collect::<Vec<_>>(), [1, 2]);
        let ignored = image.ignored().unwrap();
        assert_eq!(ignored.indexed_iter().filter(|(_, at)| **at).count(), 2);
        assert!(ignored[(0, 3)] && ignored[(1, 1)]);
        let plain = TrainingImage { classes: Array2::zeros((2, 4)), ..image };
        assert_eq!(plain.ignored(), None);
    }
}
