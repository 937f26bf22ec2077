//! Folding of a network, with its effect on cost and on the results.

use candle_core::Device;
use medsa_frames::Frame;
use medsa_sam::{Cost, Folding, Sam};
use medsa_trainer::train::Network;

use crate::error::Error;
use crate::runner::{Runner, boxes};

/// A network before and after folding.
#[derive(Clone, Debug)]
pub struct Folded {
    /// Cost of encoder and decoder as trained.
    pub before: [Cost; 2],
    /// Cost of encoder and decoder as exported.
    pub after: [Cost; 2],
    /// Largest difference of a mask logit between both, on one frame.
    pub difference: f32,
    /// Largest absolute mask logit on that frame.
    pub largest: f32,
}

/// Applies all folding rules, and compares the predictions for boxes on `frame`.
///
/// # Errors
/// The frame cannot be used, or candle failed.
pub fn fold(sam: &Sam, frame: &Frame) -> Result<(Sam, Folded), Error> {
    let folded = sam.clone().folded(&Folding::ALL);
    let (before, after) = (sam.cost(), folded.cost());
    let prompts = boxes(frame)?;
    let predict = |sam: &Sam| {
        Runner::Candle(Box::new(Network::new(sam.clone(), Device::Cpu))).logits(frame, &prompts)
    };
    let (mut difference, mut largest) = (0.0f32, 0.0f32);
    for (expected, found) in predict(sam)?.iter().zip(&predict(&folded)?) {
        for (expected, found) in expected.iter().zip(found) {
            difference = difference.max((found - expected).abs());
            largest = largest.max(expected.abs());
        }
    }
    Ok((folded, Folded { before, after, difference, largest }))
}
