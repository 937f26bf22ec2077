//! TinyViT: the image encoder of LiteMedSAM and MobileSAM.

mod block;
mod config;
mod mbconv;
mod stem;

pub use config::{Stage, Stem, TinyVitConfig};

use self::block::TinyVitBlock;
use self::mbconv::{MbConv, PatchMerging};
use self::stem::PatchEmbed;
use crate::adapter::{AdapterConfig, BlockAdapters};
use crate::backend::{Backend, Output};
use crate::error::Error;
use crate::neck::Neck;
use crate::weights::Reader;

/// Stem, one stage of MBConv, three of window attention with a merging between stages, and
/// SAM's neck.
#[derive(Clone, Debug)]
pub struct TinyVit {
    patch_embed: PatchEmbed,
    conv_blocks: Vec<MbConv>,
    stages: Vec<AttentionStage>,
    neck: Neck,
}

/// The merging that leads into a stage, and its blocks.
#[derive(Clone, Debug)]
struct AttentionStage {
    merging: PatchMerging,
    blocks: Vec<TinyVitBlock>,
}

impl TinyVit {
    pub(crate) fn read(
        from: &Reader,
        config: &TinyVitConfig,
        outputs: usize,
    ) -> Result<Self, Error> {
        let layer = |index: usize| from.at("layers").at(index);
        let dim = config.stem_dim;
        let conv_blocks = (0..config.conv_blocks)
            .map(|i| MbConv::read(&layer(0).at("blocks").at(i), dim))
            .collect::<Result<_, _>>()?;
        let mut inputs = dim;
        let mut stages = Vec::new();
        for (index, stage) in config.stages.iter().enumerate() {
            let merging = PatchMerging::read(
                &layer(index).at("downsample"),
                inputs,
                stage.dim,
                stage.stride,
            )?;
            let blocks = (0..stage.depth)
                .map(|i| TinyVitBlock::read(&layer(index + 1).at("blocks").at(i), stage))
                .collect::<Result<_, _>>()?;
            stages.push(AttentionStage { merging, blocks });
            inputs = stage.dim;
        }
        // The classifier's last norm, which the encoder of SAM never runs.
        for name in ["norm_head.weight", "norm_head.bias", "head.weight", "head.bias"] {
            from.ignore(name);
        }
        Ok(Self {
            patch_embed: PatchEmbed::read(&from.at("patch_embed").at("seq"), config.stem, dim)?,
            conv_blocks,
            stages,
            neck: Neck::read(&from.at("neck"), inputs, outputs)?,
        })
    }

    /// Puts adapters into blocks; `from` is at `encoder.blocks`.
    pub(crate) fn adapt(&mut self, from: &Reader, config: &AdapterConfig) -> Result<(), Error> {
        for (stage, AttentionStage { blocks, .. }) in self.stages.iter_mut().enumerate() {
            for (i, block) in blocks.iter_mut().enumerate() {
                let from = from.at(stage + 1).at(i);
                block.adapters = BlockAdapters::read(&from, block.dim(), config)?;
            }
        }
        Ok(())
    }

    /// `[B, 3, S, S]` -> embedding `[B, S/r, S/r, C]`.
    pub(crate) fn forward<B: Backend>(&self, b: &B, image: &B::Tensor) -> Output<B> {
        self.neck.forward(b, &self.tokens(b, image)?)
    }

    /// The map after the stem: `[B, 3, S, S]` -> `[B, S/p, S/p, C]`.
    pub fn patch_embed<B: Backend>(&self, b: &B, image: &B::Tensor) -> Output<B> {
        self.patch_embed.forward(b, image)
    }

    /// The map before the neck: `[B, 3, S, S]` -> `[B, S/r, S/r, C]`.
    pub fn tokens<B: Backend>(&self, b: &B, image: &B::Tensor) -> Output<B> {
        let mut x = self.patch_embed(b, image)?;
        for block in &self.conv_blocks {
            x = block.forward(b, &x)?;
        }
        for stage in &self.stages {
            x = stage.merging.forward(b, &x)?;
            for block in &stage.blocks {
                x = block.forward(b, &x)?;
            }
        }
        Ok(x)
    }
}
