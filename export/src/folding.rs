//! What folding changes: nothing but rounding, and what a network costs.

use candle_core::Device;
use medsa_frames::Frame;
use medsa_sam::{Cost, Folding, Sam};
use medsa_trainer::train::Network;

use crate::error::Error;
use crate::runner::{Runner, boxes};

/// A network before and after folding.
#[derive(Clone, Debug)]
pub struct Folded {
    /// Cost of encoder and decoder as they were trained.
    pub before: [Cost; 2],
    /// As they are exported.
    pub after: [Cost; 2],
    /// Largest difference of a mask logit on a frame, and the largest logit.
    pub difference: f32,
    /// The largest logit.
    pub largest: f32,
}

/// Folds all that can be, and compares the answers to boxes on `frame`.
///
/// # Errors
/// A frame that cannot be used, or candle's.
pub fn fold(sam: &Sam, frame: &Frame) -> Result<(Sam, Folded), Error> {
    let folded = sam.clone().folded(&Folding::ALL);
    let (before, after) = (sam.cost(), folded.cost());
    let prompts = boxes(frame)?;
    let answer = |sam: &Sam| {
        Runner::Candle(Box::new(Network::new(sam.clone(), Device::Cpu))).logits(frame, &prompts)
    };
    let (mut difference, mut largest) = (0.0f32, 0.0f32);
    for (expected, found) in answer(sam)?.iter().zip(&answer(&folded)?) {
        for (expected, found) in expected.iter().zip(found) {
            difference = difference.max((found - expected).abs());
            largest = largest.max(expected.abs());
        }
    }
    Ok((folded, Folded { before, after, difference, largest }))
}
