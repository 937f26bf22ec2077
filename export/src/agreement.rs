//! How well two versions of a network agree on real frames.

use std::num::NonZeroUsize;

use medsa_bundle::Agreement;
use medsa_edge::engine::Engine;
use medsa_frames::{Clip, Frame};
use medsa_sam::image::RgbView;
use medsa_sam::prompt::{BoxXyxy, Prompt};
use ndarray::Array2;

use crate::error::Error;

/// Box prompts in parts of the frame, `[x0, y0, x1, y1]`: the middle, and two smaller ones off
/// it, so that a frame is judged by more than one structure.
const BOXES: [BoxXyxy; 3] = [[0.25, 0.25, 0.75, 0.75], [0.1, 0.2, 0.5, 0.6], [0.5, 0.4, 0.9, 0.9]];

/// Compares the masks of `tested` with those of `reference` on at most `limit` frames of
/// `clip`, spread evenly. `progress` is told how many of how many are done.
///
/// # Errors
/// A frame that cannot be read, or an engine that fails.
pub fn measure(
    reference: &Engine,
    tested: &Engine,
    clip: &Clip,
    limit: NonZeroUsize,
    mut progress: impl FnMut(usize, usize),
) -> Result<Agreement, Error> {
    let count = clip.len().min(limit.get());
    let mut ious = Vec::new();
    for i in 0..count {
        progress(i, count);
        let frame = clip.frame(i * clip.len() / count)?;
        let (expected, found) = (masks(reference, &frame)?, masks(tested, &frame)?);
        ious.extend(expected.iter().zip(&found).map(|(a, b)| iou(a, b)));
    }
    progress(count, count);
    Ok(Agreement {
        frames: count,
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

fn masks(engine: &Engine, frame: &Frame) -> Result<Vec<Array2<bool>>, Error> {
    let (width, height) = (frame.width as usize, frame.height as usize);
    let view = RgbView::new(width, height, &frame.rgb)?;
    let (image, geometry) = engine.preprocess().run(view);
    let embedding = engine.encode(&image)?;
    let (w, h) = (width as f32, height as f32);
    BOXES
        .iter()
        .map(|[x0, y0, x1, y1]| {
            let bbox = [x0 * w, y0 * h, x1 * w, y1 * h];
            let prompt = Prompt::new(Vec::new(), Some(bbox), (width, height))?;
            let decoded = engine.decode(&embedding, &prompt.tokens(&geometry), None)?;
            Ok(geometry.mask_in_frame(decoded.single().0))
        })
        .collect()
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
