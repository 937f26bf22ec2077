//! SAM ViT: SAM's original image encoder, with windowed and global attention.

mod block;
mod config;
mod position;

use std::ops::Range;

pub use config::VitConfig;

pub use self::block::VitBlock;
use self::position::resize_grid;
use crate::adapter::AdapterConfig;
use crate::backend::{Backend, Output};
use crate::error::Error;
use crate::fold::{Fold, Folding};
use crate::layers::{ConvBias, Linear, pixel_patches};
use crate::neck::Neck;
use crate::weights::{Param, Reader};

/// Patch embedding, absolute positions, blocks and neck.
#[derive(Clone, Debug)]
pub struct Vit {
    patch: usize,
    patch_embed: Linear,
    /// Absolute positions, `[1, H/p, W/p, C]`.
    pos_embed: Param,
    blocks: Vec<VitBlock>,
    neck: Neck,
}

impl Vit {
    /// Reads the encoder for inputs of side `input_size` px; positions trained at another size are
    /// interpolated.
    pub(crate) fn read(
        from: &Reader,
        config: &VitConfig,
        input_size: usize,
        outputs: usize,
    ) -> Result<Self, Error> {
        let VitConfig { patch, dim, trained_grid, .. } = *config;
        let pixels = from.at("patch_embed").at("proj");
        let patch_embed = Linear::read_patch_conv(&pixels, 3, dim, patch, ConvBias::Yes)?;
        let grid = input_size / patch;
        let pos_embed = from.array("pos_embed", &[1, trained_grid, trained_grid, dim])?;
        let pos_embed = Param::new(from.name("pos_embed"), resize_grid(pos_embed, grid));
        let blocks = (0..config.depth)
            .map(|i| VitBlock::read(&from.at("blocks").at(i), config, i, grid))
            .collect::<Result<_, _>>()?;
        let neck = Neck::read(&from.at("neck"), dim, outputs)?;
        Ok(Self { patch, patch_embed, pos_embed, blocks, neck })
    }

    /// Puts adapters into blocks; `from` points to `encoder.blocks`.
    pub(crate) fn adapt(&mut self, from: &Reader, config: &AdapterConfig) -> Result<(), Error> {
        for (i, block) in self.blocks.iter_mut().enumerate() {
            block.adapt(&from.at(0).at(i), config)?;
        }
        Ok(())
    }

    /// Applies a folding rule to all blocks.
    pub(crate) fn fold(&mut self, rule: Folding) {
        self.blocks.iter_mut().for_each(|block| block.fold(rule));
    }

    /// Number of steps: patch embedding, blocks and neck.
    pub(crate) fn steps(&self) -> usize {
        self.blocks.len() + 2
    }

    /// Number of steps before the first adapter.
    pub(crate) fn frozen_steps(&self) -> usize {
        let adapted = self.blocks.iter().position(VitBlock::is_adapted);
        adapted.map_or(self.steps(), |block| block + 1)
    }

    /// Computes a range of the steps in order. The first step takes the image `[B, 3, S, S]`, all
    /// others a map `[B, S/p, S/p, C]`.
    pub(crate) fn forward<B: Backend>(
        &self,
        b: &B,
        x: &B::Tensor,
        steps: Range<usize>,
        slices: usize,
    ) -> Output<B> {
        let mut x = x.clone();
        for step in steps {
            x = match step.checked_sub(1).map(|block| self.blocks.get(block)) {
                None => {
                    let x = b.linear(&pixel_patches(b, &x, self.patch)?, &self.patch_embed)?;
                    b.add(&x, &b.param(&self.pos_embed)?)
                }
                Some(Some(block)) => block.forward(b, &x, slices),
                Some(None) => self.neck.forward(b, &x),
            }?;
        }
        Ok(x)
    }
}
