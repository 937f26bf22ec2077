//! Shape of a TinyViT, detected from its weights.

use serde::{Deserialize, Serialize};

use crate::check::check_lengths;
use crate::error::Error;
use crate::weights::Weights;

/// Shape of a TinyViT encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TinyVitConfig {
    /// Kind of stem.
    pub stem: Stem,
    /// Channels after the stem and in the MBConv stage.
    pub stem_dim: usize,
    /// Blocks in the MBConv stage.
    pub conv_blocks: usize,
    /// Stages with window attention.
    pub stages: Vec<Stage>,
}

/// Stem: the layers that turn pixels into the first map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stem {
    /// Two 1x1 convolutions at full resolution (LiteMedSAM).
    Pointwise,
    /// A 2x2 convolution of stride 2, then a 1x1: made from [`Stem::Pointwise`] by
    /// [`strided`](super::strided).
    Patches,
    /// Two 3x3 convolutions of stride 2 (MobileSAM).
    Strided,
}

impl Stem {
    /// Factor by which the stem reduces the map's side.
    pub fn stride(self) -> usize {
        match self {
            Self::Pointwise => 1,
            Self::Patches => 2,
            Self::Strided => 4,
        }
    }
}

/// One stage of window attention.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Channels.
    pub dim: usize,
    /// Blocks.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
    /// Side of a window, in positions.
    pub window: usize,
    /// Stride of the merging before the stage.
    pub stride: usize,
}

impl TinyVitConfig {
    /// Detects the shape from the weights of an image encoder whose names start with `prefix`.
    pub(crate) fn detect(weights: &Weights, prefix: &str) -> Result<Self, Error> {
        let shape = |name: &str| -> Result<&[usize], Error> {
            let name = format!("{prefix}.{name}");
            let found = weights.get(&name).map(|value| value.shape());
            found.ok_or_else(|| Error::UnknownNetwork(format!("tensor {name} is missing")))
        };
        let channels = |name: &str| {
            let found = shape(name)?;
            let scalar = || Error::UnknownNetwork(format!("tensor {prefix}.{name} has no axis"));
            found.first().copied().ok_or_else(scalar)
        };
        let depth = |layer: usize, block: &str| {
            let exists = |i: &usize| shape(&format!("layers.{layer}.blocks.{i}.{block}")).is_ok();
            (0..).take_while(exists).count()
        };
        let kernel = shape("patch_embed.seq.0.c.weight")?;
        let stem = match kernel.last() {
            Some(1) => Stem::Pointwise,
            Some(2) => Stem::Patches,
            Some(3) => Stem::Strided,
            _ => {
                let found = format!(
                    "{prefix}.patch_embed.seq.0.c.weight has shape {kernel:?}, expected a 1x1, 2x2 or 3x3 kernel"
                );
                return Err(Error::UnknownNetwork(found));
            }
        };
        let mut stages = Vec::new();
        for layer in 1.. {
            let Ok(biases) = shape(&format!("layers.{layer}.blocks.0.attn.attention_biases"))
            else {
                break;
            };
            let [heads, offsets] = biases[..] else {
                let name = format!("{prefix}.layers.{layer}.blocks.0.attn.attention_biases");
                return Err(Error::UnknownNetwork(format!(
                    "{name} has shape {biases:?}, expected two axes"
                )));
            };
            let dim = channels(&format!("layers.{layer}.blocks.0.attn.norm.weight"))?;
            stages.push(Stage {
                dim,
                depth: depth(layer, "attn.attention_biases"),
                heads,
                window: offsets.isqrt(),
                // The weights do not determine the stride. TinyViT derives it from the width.
                stride: if [320, 448, 576].contains(&dim) { 1 } else { 2 },
            });
        }
        Ok(Self {
            stem,
            stem_dim: channels("patch_embed.seq.2.c.weight")?,
            conv_blocks: depth(0, "conv1.c.weight"),
            stages,
        })
    }

    /// Part of [`crate::SamConfig::check`].
    pub(crate) fn check(&self) -> Result<(), Error> {
        check_lengths(&[("encoder.stem_dim", self.stem_dim, 2)])?;
        for Stage { dim, heads, window, stride, .. } in &self.stages {
            check_lengths(&[
                ("encoder.stages.dim", *dim, *heads),
                ("encoder.stages.window", *window, 1),
                ("encoder.stages.stride", *stride, 1),
            ])?;
        }
        Ok(())
    }

    /// Factor by which the encoder reduces the map's side, from the image to the embedding.
    pub fn stride(&self) -> usize {
        let strides = self.stages.iter().map(|stage| stage.stride);
        strides.fold(self.stem.stride(), usize::saturating_mul)
    }
}
