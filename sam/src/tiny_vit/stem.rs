//! Stems: from pixels to the first map.

use super::config::Stem;
use crate::backend::{Backend, Output};
use crate::block::{Block, BlockKind};
use crate::error::Error;
use crate::layers::{Conv2d, Linear, pixel_patches};
use crate::weights::{Param, Reader, VisitParams};

#[derive(Clone, Debug)]
pub(super) enum PatchEmbed {
    Pointwise(Box<(Linear, Linear)>),
    Patches(Box<(Linear, Linear)>),
    Strided(Box<(Conv2d, Conv2d)>),
}

impl PatchEmbed {
    pub(super) fn read(from: &Reader, stem: Stem, dim: usize) -> Result<Self, Error> {
        let (first, second) = (from.at(0), from.at(2));
        let half = dim / 2;
        Ok(match stem {
            Stem::Pointwise => Self::Pointwise(Box::new((
                Linear::read_conv_bn(&first, 3, half)?,
                Linear::read_conv_bn(&second, half, dim)?,
            ))),
            Stem::Patches => Self::Patches(Box::new((
                Linear::read_patch_conv_bn(&first, 3, half, stem.stride())?,
                Linear::read_conv_bn(&second, half, dim)?,
            ))),
            Stem::Strided => Self::Strided(Box::new((
                Conv2d::read_dense_bn(&first, 3, half, 2)?,
                Conv2d::read_dense_bn(&second, half, dim, 2)?,
            ))),
        })
    }

    /// Weights of a stem that can be trained.
    pub(super) fn params(&self) -> Vec<Param> {
        let mut params = Vec::new();
        if let Self::Patches(linears) = self {
            let (mut first, mut second) = (**linears).clone();
            let mut add = |param: &mut Param| params.push(param.clone());
            first.visit(&mut add);
            second.visit(&mut add);
        }
        params
    }

    pub(super) fn forward<B: Backend>(&self, b: &B, image: &B::Tensor) -> Output<B> {
        // Patches and pixels use the same operator, for which devices have a kernel.
        let pointwise = |x: B::Tensor, (first, second): &(Linear, Linear)| {
            let block =
                Block::new(BlockKind::PatchEmbed).with("first", first).with("second", second);
            b.single_block(block, &[&x], || b.linear(&b.gelu(&b.linear(&x, first)?)?, second))
        };
        let channels_last = || b.permute(image, &[0, 2, 3, 1]);
        match self {
            Self::Pointwise(linears) => pointwise(channels_last()?, linears),
            Self::Patches(linears) => {
                pointwise(pixel_patches(b, image, Stem::Patches.stride())?, linears)
            }
            Self::Strided(convs) => {
                b.conv2d(&b.gelu(&b.conv2d(&channels_last()?, &convs.0)?)?, &convs.1)
            }
        }
    }
}
