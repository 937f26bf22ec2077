//! The network, as the pipeline sees it.

use medsa_engine::{Decoded, Embedding, Engine};
use medsa_sam::image::Preprocess;
use medsa_sam::prompt::PromptTokens;
use ndarray::{Array4, ArrayView2};

use super::error::Error;

/// What turns frames and prompts into masks: the engine, or a stand-in whose pace a test sets.
/// Frames are encoded on one thread and prompts answered on another.
pub trait Segmenter: Send + Sync + 'static {
    /// What the encoder makes of a frame.
    type Embedding: Send + 'static;

    /// From a frame to the encoder's input.
    fn preprocess(&self) -> &Preprocess;

    /// Side of its square masks, in pixels.
    fn mask_side_px(&self) -> usize;

    /// The embedding of an image `[1, 3, S, S]`.
    ///
    /// # Errors
    /// The runtime's.
    fn encode(&self, image: &Array4<f32>) -> Result<Self::Embedding, Error>;

    /// Masks for one prompt; `previous_mask` `[4h, 4w]` holds logits that they refine.
    ///
    /// # Errors
    /// The runtime's.
    fn decode(
        &self,
        embedding: &Self::Embedding,
        prompt: &PromptTokens,
        previous_mask: Option<ArrayView2<f32>>,
    ) -> Result<Decoded, Error>;
}

impl Segmenter for Engine {
    type Embedding = Embedding;

    fn preprocess(&self) -> &Preprocess {
        self.preprocess()
    }

    fn mask_side_px(&self) -> usize {
        self.mask_side_px()
    }

    fn encode(&self, image: &Array4<f32>) -> Result<Embedding, Error> {
        Ok(Engine::encode(self, image)?)
    }

    fn decode(
        &self,
        embedding: &Embedding,
        prompt: &PromptTokens,
        previous_mask: Option<ArrayView2<f32>>,
    ) -> Result<Decoded, Error> {
        Ok(Engine::decode(self, embedding, prompt, previous_mask)?)
    }
}
