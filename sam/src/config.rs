//! Shape of a whole SAM, detected from a checkpoint.

use serde::{Deserialize, Serialize};

use crate::check::check_lengths;
use crate::decoder::DecoderConfig;
use crate::error::Error;
use crate::image::{Fit, Normalization, Preprocess};
use crate::tiny_vit::{Stem, TinyVitConfig};
use crate::vit::VitConfig;
use crate::weights::Weights;

/// Shape of a SAM-family network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamConfig {
    /// Preprocessing, from a frame to the network's input.
    pub preprocess: Preprocess,
    /// The image encoder.
    pub encoder: EncoderConfig,
    /// Prompt encoder and mask decoder.
    pub decoder: DecoderConfig,
}

/// Shape of an image encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EncoderConfig {
    /// LiteMedSAM, MobileSAM.
    TinyVit(TinyVitConfig),
    /// SAM ViT-B, -L, -H.
    Vit(VitConfig),
}

impl SamConfig {
    pub(crate) const ENCODER: &'static str = "image_encoder";
    /// Attention heads of the decoder in every published SAM.
    const DECODER_HEADS: usize = 8;

    /// Detects the shape from the tensors of a checkpoint.
    ///
    /// # Errors
    /// [`Error::UnknownNetwork`] names the tensor that does not match a known network.
    pub fn detect(weights: &Weights) -> Result<Self, Error> {
        // The code below divides by lengths.
        if let Some((name, value)) = weights.iter().find(|(_, value)| value.is_empty()) {
            let found = format!("tensor {name} is empty, shape {:?}", value.shape());
            return Err(Error::UnknownNetwork(found));
        }
        let prefix = Self::ENCODER;
        let (encoder, input_size, normalization) =
            if weights.contains_key(&format!("{prefix}.pos_embed")) {
                let (vit, grid) = VitConfig::detect(weights, prefix)?;
                let input_size = grid.saturating_mul(vit.patch);
                (EncoderConfig::Vit(vit), input_size, Normalization::MeanStd)
            } else if weights.contains_key(&format!("{prefix}.patch_embed.seq.0.c.weight")) {
                let tiny = TinyVitConfig::detect(weights, prefix)?;
                let (size, normalization) = match tiny.stem {
                    Stem::Pointwise | Stem::Patches => (256, Normalization::MinMax),
                    Stem::Strided => (1024, Normalization::MeanStd),
                };
                (EncoderConfig::TinyVit(tiny), size, normalization)
            } else {
                let found = weights.keys().take(3).cloned().collect::<Vec<_>>().join(", ");
                return Err(Error::UnknownNetwork(format!(
                    "expected {prefix}.pos_embed (SAM ViT) or \
                     {prefix}.patch_embed.seq.0.c.weight (TinyViT), found {} tensors: {found} ...",
                    weights.len()
                )));
            };
        let decoder = DecoderConfig::detect(weights, Self::DECODER_HEADS)?;
        let preprocess = Preprocess { input_size, normalization, fit: Fit::Pad };
        Ok(Self { preprocess, encoder, decoder })
    }

    /// Checks a shape that was read from a file: no length is 0, and heads divide channels.
    ///
    /// # Errors
    /// [`Error::UnknownNetwork`] names the invalid key.
    pub fn check(&self) -> Result<(), Error> {
        let DecoderConfig { dim, mlp_dim, heads, mask_channels, points: _ } = self.decoder;
        // Upscaling reduces the channels to an eighth; cross-attention to half.
        check_lengths(&[
            ("decoder.dim", dim, 8),
            ("decoder.dim", dim, heads.saturating_mul(2)),
            ("decoder.mlp_dim", mlp_dim, 1),
            ("decoder.mask_channels", mask_channels, 4),
        ])?;
        match &self.encoder {
            EncoderConfig::TinyVit(tiny) => tiny.check()?,
            EncoderConfig::Vit(vit) => vit.check()?,
        }
        self.clone().with_input_size(self.preprocess.input_size).map(drop)
    }

    /// The same network for inputs of `input_size` x `input_size` px.
    ///
    /// # Errors
    /// [`Error::InputSize`].
    pub fn with_input_size(mut self, input_size: usize) -> Result<Self, Error> {
        let (min, max) = (64, 2048);
        let multiple = self.stride();
        if !(min..=max).contains(&input_size) || !input_size.is_multiple_of(multiple) {
            return Err(Error::InputSize { found: input_size, multiple, min, max });
        }
        self.preprocess.input_size = input_size;
        Ok(self)
    }

    /// Side of the embedding, in cells.
    pub fn grid(&self) -> usize {
        self.preprocess.input_size / self.stride()
    }

    /// Side of the mask logits, in cells.
    pub fn mask_side(&self) -> usize {
        4 * self.grid()
    }

    fn stride(&self) -> usize {
        match &self.encoder {
            EncoderConfig::TinyVit(tiny) => tiny.stride(),
            EncoderConfig::Vit(vit) => vit.patch,
        }
    }
}
