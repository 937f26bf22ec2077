//! From pixels to the first map.

use super::config::Stem;
use crate::backend::{Backend, Block, Output};
use crate::error::Error;
use crate::layers::{Conv2d, Linear};
use crate::weights::Reader;

#[derive(Clone, Debug)]
pub(super) enum PatchEmbed {
    Pointwise(Box<(Linear, Linear)>),
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
            Stem::Strided => Self::Strided(Box::new((
                Conv2d::read_dense_bn(&first, 3, half, 2)?,
                Conv2d::read_dense_bn(&second, half, dim, 2)?,
            ))),
        })
    }

    pub(super) fn forward<B: Backend>(&self, b: &B, image: &B::Tensor) -> Output<B> {
        let x = b.permute(image, &[0, 2, 3, 1])?;
        match self {
            Self::Pointwise(linears) => {
                let block = Block { operator: "PatchEmbed", attributes: vec![] };
                block.run(b, &[&x], || b.linear(&b.gelu(&b.linear(&x, &linears.0)?)?, &linears.1))
            }
            Self::Strided(convs) => b.conv2d(&b.gelu(&b.conv2d(&x, &convs.0)?)?, &convs.1),
        }
    }
}
