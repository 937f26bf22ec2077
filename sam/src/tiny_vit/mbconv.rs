//! The two convolutional blocks, each a 1x1, a depthwise 3x3 and a 1x1 convolution.

use crate::backend::{Backend, Output};
use crate::block::{Block, BlockKind};
use crate::error::Error;
use crate::layers::{Conv2d, Linear};
use crate::weights::Reader;

/// Inverted bottleneck with a residual; GELU follows every layer and the sum.
#[derive(Clone, Debug)]
pub(super) struct MbConv {
    expand: Linear,
    depthwise: Conv2d,
    project: Linear,
}

impl MbConv {
    const EXPANSION: usize = 4;

    pub(super) fn read(from: &Reader, dim: usize) -> Result<Self, Error> {
        let hidden = dim * Self::EXPANSION;
        Ok(Self {
            expand: Linear::read_conv_bn(&from.at("conv1"), dim, hidden)?,
            depthwise: Conv2d::read_depthwise_bn(&from.at("conv2"), hidden, 1)?,
            project: Linear::read_conv_bn(&from.at("conv3"), hidden, dim)?,
        })
    }

    pub(super) fn forward<B: Backend>(&self, b: &B, x: &B::Tensor) -> Output<B> {
        let block = Block::new(BlockKind::MbConv)
            .with("expand", &self.expand)
            .with("depthwise", &self.depthwise)
            .with("project", &self.project);
        b.single_block(block, &[x], || {
            let hidden = b.gelu(&b.linear(x, &self.expand)?)?;
            let hidden = b.gelu(&b.conv2d(&hidden, &self.depthwise)?)?;
            b.gelu(&b.add(&b.linear(&hidden, &self.project)?, x)?)
        })
    }
}

/// Transition to the next stage: changes the number of channels and, with stride 2, halves the
/// side.
#[derive(Clone, Debug)]
pub(super) struct PatchMerging {
    expand: Linear,
    depthwise: Conv2d,
    project: Linear,
}

impl PatchMerging {
    pub(super) fn read(
        from: &Reader,
        inputs: usize,
        dim: usize,
        stride: usize,
    ) -> Result<Self, Error> {
        Ok(Self {
            expand: Linear::read_conv_bn(&from.at("conv1"), inputs, dim)?,
            depthwise: Conv2d::read_depthwise_bn(&from.at("conv2"), dim, stride)?,
            project: Linear::read_conv_bn(&from.at("conv3"), dim, dim)?,
        })
    }

    pub(super) fn forward<B: Backend>(&self, b: &B, x: &B::Tensor) -> Output<B> {
        let block = Block::new(BlockKind::PatchMerging { stride: self.depthwise.stride })
            .with("expand", &self.expand)
            .with("depthwise", &self.depthwise)
            .with("project", &self.project);
        b.single_block(block, &[x], || {
            let x = b.gelu(&b.linear(x, &self.expand)?)?;
            let x = b.gelu(&b.conv2d(&x, &self.depthwise)?)?;
            b.linear(&x, &self.project)
        })
    }
}
