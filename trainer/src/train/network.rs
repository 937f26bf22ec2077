//! A network with the backend that computes it.

use std::ops::Range;
use std::rc::Rc;

use candle_core::{Device, Result, Tensor};
use medsa_sam::backend::Backend;
use medsa_sam::prompt::PromptTokens;
use medsa_sam::{MaskPrompt, Masks, PromptInput, Quantization, Sam};
use ndarray::{Array, Array1, Array4, ArrayD, Dimension};

use crate::backend::CandleBackend;
use crate::tape::Node;

/// A network on a device.
pub struct Network {
    sam: Rc<Sam>,
    pub(super) backend: CandleBackend,
    frozen_steps: usize,
}

/// Mask prompts, usually logits of an earlier frame.
pub struct Previous {
    /// `[T, 1, 4h, 4w]`.
    pub logits: Array4<f32>,
    /// `[T]`: 1 if the prompt has a mask, else 0.
    pub present: Array1<f32>,
}

impl Network {
    /// The network `sam` on `device`.
    pub fn new(sam: Sam, device: Device) -> Self {
        Self::on(sam, CandleBackend::new(device))
    }

    fn on(sam: Sam, backend: CandleBackend) -> Self {
        let frozen_steps = sam.frozen_encoder_steps();
        Self { sam: Rc::new(sam), backend, frozen_steps }
    }

    /// The network `sam` on a backend that was configured for it.
    pub fn with_backend(sam: Sam, backend: CandleBackend) -> Self {
        Self::on(sam, backend)
    }

    /// The same network with its current weights, for predictions without gradients.
    pub fn detached(&self) -> Self {
        let Self { sam, backend, frozen_steps } = self;
        Self { sam: sam.clone(), backend: backend.detached(), frozen_steps: *frozen_steps }
    }

    /// Simulates the int8 arithmetic of another quantization from now on. Weights in float stay on
    /// the device.
    pub fn requantize(&mut self, quantization: Rc<Quantization>) {
        self.backend.requantize(quantization);
    }

    /// The network's structure.
    pub fn sam(&self) -> &Sam {
        &self.sam
    }

    /// Number of encoder steps before the first adapter. Their features of an image never change
    /// and can be kept.
    pub fn frozen_steps(&self) -> usize {
        self.frozen_steps
    }

    /// Output of the frozen steps for images `[B, 3, S, S]`, without gradient.
    ///
    /// # Errors
    /// The device failed.
    pub fn features(&self, image: &Array4<f32>, slices: usize) -> Result<Tensor> {
        let image = self.backend.tensor(image.clone())?;
        Ok(self.encode(&image, 0..self.frozen_steps, slices)?.value().clone())
    }

    /// Output of the other steps: features to embeddings `[B, C, h, w]`.
    ///
    /// # Errors
    /// The device failed.
    pub fn embedding(&self, features: &Tensor, slices: usize) -> Result<Node> {
        let rest = self.frozen_steps..self.sam.encoder_steps();
        // Features from a cache are in CPU memory.
        let features = Node::constant(self.backend.on_device(features)?);
        self.encode(&features, rest, slices)?.permute(&[0, 3, 1, 2])
    }

    /// Some steps of the encoder, see [`Sam::encode_steps`].
    ///
    /// # Errors
    /// The device failed.
    pub fn encode(&self, x: &Node, steps: Range<usize>, slices: usize) -> Result<Node> {
        self.sam.encode_steps(&self.backend, x, steps, slices)
    }

    /// Logits `[T, 4h, 4w]` of the single-mask prediction for T prompts about one image, whose
    /// embedding is `[1, C, h, w]`.
    ///
    /// # Errors
    /// The device failed.
    pub fn predict(
        &self,
        embedding: &Node,
        tokens: &PromptTokens,
        previous: Option<Previous>,
    ) -> Result<Node> {
        Ok(self.predict_scored(embedding, tokens, previous)?.0)
    }

    /// Like [`Network::predict`], with the scores (predicted IoU) `[T, 1]`.
    ///
    /// # Errors
    /// The device failed.
    pub fn predict_scored(
        &self,
        embedding: &Node,
        tokens: &PromptTokens,
        previous: Option<Previous>,
    ) -> Result<(Node, Node)> {
        let constant = |array: ArrayD<f32>| self.backend.tensor(array);
        let embedding = match tokens.labels.nrows() {
            1 => embedding.clone(),
            prompts => self.backend.concat(&vec![embedding; prompts], 0)?,
        };
        let mask = match previous {
            Some(Previous { logits, present }) => Some(MaskPrompt {
                logits: constant(logits.into_dyn())?,
                present: constant(present.into_dyn())?,
            }),
            None => None,
        };
        let coords = constant(tokens.coords.clone().into_dyn())?;
        let labels = constant(tokens.labels.clone().into_dyn())?;
        let prompt = PromptInput { coords, labels, mask };
        let Masks { logits, iou } = self.sam.decode(&self.backend, &embedding, &prompt)?;
        let [targets, _, height, width] = *logits.dims() else {
            unreachable!("logits have four axes")
        };
        Ok((logits.narrow(1, 0, 1)?.reshape(&[targets, height, width])?, iou.narrow(1, 0, 1)?))
    }

    /// Converts an array to a tensor.
    ///
    /// # Errors
    /// The device failed.
    pub fn tensor<D: Dimension>(&self, array: Array<f32, D>) -> Result<Tensor> {
        Ok(self.backend.tensor(array)?.value().clone())
    }

    /// Converts a tensor to an array.
    ///
    /// # Errors
    /// The device failed.
    pub fn array(&self, tensor: &Tensor) -> Result<ArrayD<f32>> {
        self.backend.array(&Node::constant(tensor.clone()))
    }
}
