//! Interface between the pipeline and the network.

use medsa_engine::{Decoded, Embedding, Engine};
use medsa_sam::image::Preprocess;
use medsa_sam::prompt::PromptTokens;
use ndarray::{Array4, ArrayView3, Axis};

use super::error::Error;

/// A network that converts frames and prompts to masks: the engine, or a stand-in whose speed a
/// test controls. Frames are encoded on one thread and prompts decoded on another.
pub trait Segmenter: Send + Sync + 'static {
    /// Output of the encoder for one frame.
    type Embedding: Send + 'static;

    /// Preprocessing from a frame to the encoder's input.
    fn preprocess(&self) -> &Preprocess;

    /// Side of the square masks, in pixels.
    fn mask_side_px(&self) -> usize;

    /// Computes the embedding of an image `[1, 3, S, S]`.
    ///
    /// # Errors
    /// Errors of the runtime.
    fn encode(&self, image: &Array4<f32>) -> Result<Self::Embedding, Error>;

    /// Features `[C, h, w]` of an embedding, by which objects are recognized; `None` if there are
    /// none. Masks have four times as many cells along each axis.
    fn features<'a>(&self, embedding: &'a Self::Embedding) -> Option<ArrayView3<'a, f32>>;

    /// Predicts masks for one prompt.
    ///
    /// # Errors
    /// Errors of the runtime.
    fn decode(&self, embedding: &Self::Embedding, prompt: &PromptTokens) -> Result<Decoded, Error>;
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

    fn features<'a>(&self, embedding: &'a Embedding) -> Option<ArrayView3<'a, f32>> {
        embedding.view().ok().map(|features| features.index_axis_move(Axis(0), 0))
    }

    fn decode(&self, embedding: &Embedding, prompt: &PromptTokens) -> Result<Decoded, Error> {
        Ok(Engine::decode(self, embedding, prompt, None)?)
    }
}
