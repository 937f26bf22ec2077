//! A network on candle, in the form that tests use.

use std::sync::OnceLock;

use candle_core::Device;
use medsa_frames::Clip;
use medsa_sam::image::{Geometry, RgbView};
use medsa_sam::prompt::PromptTokens;
use medsa_sam::{Folding, MaskPrompt, PromptInput, Quantization, Sam};
use medsa_trainer::{CandleBackend, Checkpoint, Node};
use ndarray::{Array1, ArrayD};

use crate::golden::Golden;
use crate::place;

/// LiteMedSAM and its reference tensors. Tests that use it need `litemedsam`.
///
/// # Panics
/// If the checkpoint is missing.
pub fn litemedsam() -> (Model, Golden) {
    let checkpoint = Checkpoint::read(&place::lite_medsam()).unwrap();
    let model = Model::new(checkpoint.sam(None).unwrap());
    (model, Golden::open("litemedsam.safetensors"))
}

/// The small SAM with a plain ViT from the reference tensors, and these tensors.
///
/// # Panics
/// If the files are not as described in their README.
pub fn sam_vit() -> (Model, Golden) {
    (Model::new(small_vit().sam(None).unwrap()), Golden::open("sam_vit_io.safetensors"))
}

/// Weights of the small SAM with a plain ViT.
///
/// # Panics
/// If the file is not as described in its README.
pub fn small_vit() -> Checkpoint {
    let mut checkpoint = Checkpoint::read(&place::small_vit()).unwrap();
    // The weights do not determine the number of heads.
    checkpoint.config.decoder.heads = 4;
    checkpoint
}

/// `sam` quantized to int8 on a frame of the cine. Tests that use it need `dicom`.
///
/// # Panics
/// If the cine is missing.
pub fn quantized(sam: &Sam) -> Quantization {
    let frame = Clip::open(place::cine()).unwrap().frame(0).unwrap();
    medsa_export::quantize(sam, &[frame], |_, _, _| {}).unwrap().0
}

/// LiteMedSAM at 64 px and its int8 quantization, made once for all tests. Tests that use them need
/// `dicom` and `litemedsam`.
///
/// # Panics
/// If the checkpoint or the cine is missing.
pub fn quantized_litemedsam() -> &'static (Sam, Quantization) {
    static MADE: OnceLock<(Sam, Quantization)> = OnceLock::new();
    MADE.get_or_init(|| {
        let checkpoint = Checkpoint::read(&place::lite_medsam()).unwrap();
        let sam = checkpoint.sam(Some(64)).unwrap().folded(&Folding::ALL);
        let quantization = quantized(&sam);
        (sam, quantization)
    })
}

/// Frame of the reference tensors as input `[1, 3, S, S]` of `sam`.
///
/// # Panics
/// If the file is not as described in its README.
pub fn preprocessed(sam: &Sam) -> (ArrayD<f32>, Geometry) {
    let frame = image::open(place::data("golden/frame.png")).unwrap().into_rgb8();
    let (width, height) = frame.dimensions();
    let view = RgbView::new(width as usize, height as usize, &frame).unwrap();
    let (image, geometry) = sam.config().preprocess.run(view);
    (image.into_dyn(), geometry)
}

/// A network on candle with arrays as inputs and outputs; panics at the first error.
pub struct Model {
    /// The network.
    pub sam: Sam,
    /// Backend of the network.
    pub candle: CandleBackend,
}

impl Model {
    /// The network `sam` on the CPU.
    pub fn new(sam: Sam) -> Self {
        Self { sam, candle: CandleBackend::new(Device::Cpu) }
    }

    /// Converts an array to a tensor.
    pub fn tensor(&self, array: ArrayD<f32>) -> Node {
        self.candle.tensor(array).unwrap()
    }

    /// Converts a tensor to an array.
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
