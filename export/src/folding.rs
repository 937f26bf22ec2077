//! What folding changes: nothing but rounding, and what a network costs.

use candle_core::Device;
use medsa_frames::Frame;
use medsa_sam::image::RgbView;
use medsa_sam::prompt::Prompt;
use medsa_sam::{Cost, Folding, Sam};
use medsa_trainer::train::Network;
use ndarray::ArrayD;

use crate::error::Error;

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

/// Folds all that can be, and compares the answers on `frame` to a box in its middle.
///
/// # Errors
/// A frame that cannot be used, or candle's.
pub fn fold(sam: &Sam, frame: &Frame) -> Result<(Sam, Folded), Error> {
    let folded = sam.clone().folded(&Folding::ALL);
    let (before, after) = (sam.cost(), folded.cost());
    let (expected, found) = (answer(sam, frame)?, answer(&folded, frame)?);
    let largest = |values: ArrayD<f32>| values.iter().fold(0.0f32, |most, v| most.max(v.abs()));
    let difference = largest(&found - &expected);
    Ok((folded, Folded { before, after, difference, largest: largest(expected) }))
}

fn answer(sam: &Sam, frame: &Frame) -> Result<ArrayD<f32>, Error> {
    let (width, height) = (frame.width as usize, frame.height as usize);
    let view = RgbView::new(width, height, &frame.rgb)?;
    let (image, geometry) = sam.config().preprocess.run(view);
    let (w, h) = (width as f32, height as f32);
    let bbox = [0.25 * w, 0.25 * h, 0.75 * w, 0.75 * h];
    let tokens = Prompt::new(Vec::new(), Some(bbox), (width, height))?.tokens(&geometry);
    let network = Network::new(sam.clone(), Device::Cpu);
    let embedding = network.embedding(&network.features(&image, 1)?, 1)?;
    Ok(network.array(network.answer(&embedding, &tokens, None)?.value())?)
}
