//! SAM's neck: projects the map to the embedding's channels, then applies a 3x3 convolution.

use crate::backend::{Backend, Output};
use crate::block::{Block, BlockKind};
use crate::error::Error;
use crate::layers::{Conv2d, ConvBias, LayerNorm, Linear};
use crate::weights::Reader;

#[derive(Clone, Debug)]
pub(crate) struct Neck {
    reduce: Linear,
    norm1: LayerNorm,
    conv: Conv2d,
    norm2: LayerNorm,
}

impl Neck {
    pub(crate) fn read(from: &Reader, inputs: usize, outputs: usize) -> Result<Self, Error> {
        let epsilon = LayerNorm::EPSILON_SAM;
        Ok(Self {
            reduce: Linear::read_patch_conv(&from.at(0), inputs, outputs, 1, ConvBias::No)?,
            norm1: LayerNorm::read(&from.at(1), outputs, epsilon)?,
            conv: Conv2d::read(&from.at(2), outputs, outputs)?,
            norm2: LayerNorm::read(&from.at(3), outputs, epsilon)?,
        })
    }

    /// `[B, H, W, in]` -> `[B, H, W, out]`.
    pub(crate) fn forward<B: Backend>(&self, b: &B, x: &B::Tensor) -> Output<B> {
        let block = Block::new(BlockKind::Neck)
            .with("reduce", &self.reduce)
            .with("norm1", &self.norm1)
            .with("conv", &self.conv)
            .with("norm2", &self.norm2);
        b.single_block(block, &[x], || {
            let x = b.layer_norm(&b.linear(x, &self.reduce)?, &self.norm1)?;
            b.layer_norm(&b.conv2d(&x, &self.conv)?, &self.norm2)
        })
    }
}
