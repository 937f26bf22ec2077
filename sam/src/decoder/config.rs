//! Shape of the prompt encoder and mask decoder.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::weights::Weights;

/// Shape of the prompt encoder and mask decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecoderConfig {
    /// Channels of the embedding and of the tokens.
    pub dim: usize,
    /// Hidden width of the two-way blocks' MLP.
    pub mlp_dim: usize,
    /// Attention heads. The weights do not determine this number; SAM has 8.
    pub heads: usize,
    /// Channels of the mask prompt's downscaling.
    pub mask_channels: usize,
    /// Order in which the network was trained to read a point's coordinates.
    #[serde(default)]
    pub points: PointOrder,
}

/// Order of a point's coordinates in training. Prompts are (x, y) in every interface; for a network
/// trained on (row, column) they are swapped internally.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PointOrder {
    /// Column, then row (SAM).
    #[default]
    Xy,
    /// Row, then column (the released Med-SA code).
    Yx,
}

impl DecoderConfig {
    /// Detects the shape from the tensors of a checkpoint.
    ///
    /// # Errors
    /// [`Error::UnknownNetwork`] names the missing tensor.
    pub(crate) fn detect(weights: &Weights, heads: usize) -> Result<Self, Error> {
        let rows = |name: &str| {
            let found = weights.get(name).and_then(|value| value.shape().first().copied());
            found.ok_or_else(|| Error::UnknownNetwork(format!("tensor {name} is missing")))
        };
        Ok(Self {
            dim: rows("prompt_encoder.mask_downscaling.6.weight")?,
            mlp_dim: rows("mask_decoder.transformer.layers.0.mlp.lin1.weight")?,
            heads,
            mask_channels: rows("prompt_encoder.mask_downscaling.3.weight")?,
            points: PointOrder::Xy,
        })
    }
}
