//! How well two versions of a network agree on real frames.

use medsa_bundle::Agreement;
use medsa_frames::Frame;
use ndarray::Array2;

use crate::error::Error;
use crate::runner::{Runner, boxes};

/// Compares the masks of `tested` for boxes with those of `reference`. `progress` is told how many
/// frames of how many are done.
///
/// # Errors
/// A frame that cannot be used, or a runtime that fails.
pub fn measure(
    reference: &Runner,
    tested: &Runner,
    frames: &[Frame],
    mut progress: impl FnMut(usize, usize),
) -> Result<Agreement, Error> {
    let mut ious = Vec::new();
    for (i, frame) in frames.iter().enumerate() {
        progress(i, frames.len());
        let prompts = boxes(frame)?;
        let (expected, found) = (reference.masks(frame, &prompts)?, tested.masks(frame, &prompts)?);
        ious.extend(expected.iter().zip(&found).map(|(a, b)| iou(a, b)));
    }
    progress(frames.len(), frames.len());
    Ok(Agreement {
        frames: frames.len(),
        masks: ious.len(),
        mean_iou: ious.iter().sum::<f64>() / ious.len() as f64,
        min_iou: ious.iter().copied().fold(1.0, f64::min),
    })
}

/// Intersection over union; 1 for two empty masks.
pub fn iou(a: &Array2<bool>, b: &Array2<bool>) -> f64 {
    let count = |both: fn(bool, bool) -> bool| {
        a.iter().zip(b).filter(|&(&a, &b)| both(a, b)).count() as f64
    };
    let union = count(|a, b| a || b);
    if union == 0.0 { 1.0 } else { count(|a, b| a && b) / union }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn iou_counts_pixels() {
        let a = array![[true, true, false], [false, false, false]];
        let b = array![[true, false, true], [false, false, false]];
        assert_eq!(iou(&a, &b), 1.0 / 3.0);
        assert_eq!(iou(&a, &a), 1.0);
        let empty = Array2::from_elem((2, 3), false);
        assert_eq!((iou(&empty, &empty), iou(&a, &empty)), (1.0, 0.0));
    }
}
