//! A network on candle, as tests use it.

use candle_core::Device;
use medsa_frames::Clip;
use medsa_sam::prompt::PromptTokens;
use medsa_sam::{MaskPrompt, PromptInput, Quantization, Sam};
use medsa_trainer::{CandleBackend, Checkpoint, Node};
use ndarray::{Array1, ArrayD};

use crate::golden::Golden;
use crate::place;

/// LiteMedSAM and its reference tensors, where they are.
///
/// # Panics
/// If the checkpoint is missing.
pub fn litemedsam() -> Option<(Model, Golden)> {
    let golden = Golden::read(&place::shared()?.join("golden/litemedsam.safetensors"));
    let checkpoint = Checkpoint::read(&place::lite_medsam()).unwrap();
    Some((Model::new(checkpoint.sam(None).unwrap()), golden))
}

/// `sam` fitted to 8 bits on a frame of the cine.
///
/// # Panics
/// If the cine is missing.
pub fn quantized(sam: &Sam) -> Quantization {
    let frame = Clip::open(place::cine()).unwrap().frame(0).unwrap();
    medsa_export::quantize(sam, &[frame], |_, _, _| {}).unwrap().0
}

/// A network on candle, arrays in and out; a test stops at the first error.
pub struct Model {
    /// The network.
    pub sam: Sam,
    /// Its backend.
    pub candle: CandleBackend,
}

impl Model {
    /// A network on the CPU.
    pub fn new(sam: Sam) -> Self {
        Self { sam, candle: CandleBackend::new(Device::Cpu) }
    }

    /// An array as a tensor.
    pub fn tensor(&self, array: ArrayD<f32>) -> Node {
        self.candle.tensor(array).unwrap()
    }

    /// A tensor as an array.
    pub fn array(&self, tensor: &Node) -> ArrayD<f32> {
        self.candle.array(tensor).unwrap()
    }

    /// Sparse prompt embeddings.
    pub fn sparse(&self, tokens: &PromptTokens) -> ArrayD<f32> {
        let coords = self.tensor(tokens.coords.clone().into_dyn());
        let labels = self.tensor(tokens.labels.clone().into_dyn());
        self.array(&self.sam.sparse_prompt(&self.candle, &coords, &labels).unwrap())
    }

    /// Masks `[1, 4, 4h, 4w]` and predicted IoU `[1, 4]`.
    pub fn decode(
        &self,
        embedding: &Node,
        tokens: &PromptTokens,
        mask: Option<ArrayD<f32>>,
    ) -> (ArrayD<f32>, ArrayD<f32>) {
        let prompt = PromptInput {
            coords: self.tensor(tokens.coords.clone().into_dyn()),
            labels: self.tensor(tokens.labels.clone().into_dyn()),
            mask: mask.map(|logits| MaskPrompt {
                logits: self.tensor(logits),
                present: self.tensor(Array1::ones(1).into_dyn()),
            }),
        };
        let masks = self.sam.decode(&self.candle, embedding, &prompt).unwrap();
        (self.array(&masks.logits), self.array(&masks.iou))
    }
}
