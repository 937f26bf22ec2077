//! SAM's own image encoder: a ViT with windowed and global attention.

mod block;
mod config;
mod position;

pub use config::VitConfig;

use self::block::VitBlock;
use self::position::resize_grid;
use crate::adapter::{AdapterConfig, BlockAdapters};
use crate::backend::{Backend, Output};
use crate::error::Error;
use crate::layers::{ConvBias, Linear, pixel_patches};
use crate::neck::Neck;
use crate::weights::{Param, Reader};

/// Patches, absolute positions, blocks and neck.
#[derive(Clone, Debug)]
pub struct Vit {
    patch: usize,
    patch_embed: Linear,
    /// `[1, H/p, W/p, C]`.
    pos_embed: Param,
    blocks: Vec<VitBlock>,
    neck: Neck,
}

impl Vit {
    /// The encoder for inputs of side `input_size`, whatever size its positions were trained at.
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

    /// Puts adapters into blocks; `from` is at `encoder.blocks`.
    pub(crate) fn adapt(&mut self, from: &Reader, config: &AdapterConfig) -> Result<(), Error> {
        let dim = self.patch_embed.outputs();
        for (i, block) in self.blocks.iter_mut().enumerate() {
            block.adapters = BlockAdapters::read(&from.at(0).at(i), dim, config)?;
        }
        Ok(())
    }

    /// `[B, 3, S, S]` -> embedding `[B, S/p, S/p, C]`.
    pub(crate) fn forward<B: Backend>(&self, b: &B, image: &B::Tensor) -> Output<B> {
        let x = b.linear(&pixel_patches(b, image, self.patch)?, &self.patch_embed)?;
        let mut x = b.add(&x, &b.param(&self.pos_embed)?)?;
        for block in &self.blocks {
            x = block.forward(b, &x)?;
        }
        self.neck.forward(b, &x)
    }
}
