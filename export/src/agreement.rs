//! Agreement of two versions of a network on real frames.

use medsa_bundle::Agreement;
use medsa_engine::acceptance::iou;
use medsa_frames::Frame;

use crate::error::Error;
use crate::runner::{Runner, boxes};

/// Compares the masks of `tested` for boxes with those of `reference`. `progress` receives the
/// number of finished frames and their total.
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
