//! TinyViT: the image encoder of LiteMedSAM and MobileSAM.

mod block;
mod config;
mod mbconv;
mod stem;
mod strided;

use std::ops::Range;

pub use config::{Stage, Stem, TinyVitConfig};

pub use self::block::TinyVitBlock;
use self::mbconv::{MbConv, PatchMerging};
use self::stem::PatchEmbed;
pub use self::strided::{set_stem, strided};
use crate::adapter::AdapterConfig;
use crate::backend::{Backend, Output};
use crate::error::Error;
use crate::fold::{Fold, Folding};
use crate::neck::Neck;
use crate::weights::{Param, Reader};

/// Sequential encoder steps: stem, one stage of MBConv, three stages of window attention with a
/// merging between stages, and SAM's neck.
#[derive(Clone, Debug)]
pub struct TinyVit {
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Step {
    PatchEmbed(PatchEmbed),
    Convolutions(Box<MbConv>),
    Merging(Box<PatchMerging>),
    Block {
        /// Number of the stage, counted from 1 as in the names of adapters.
        stage: usize,
        index: usize,
        block: Box<TinyVitBlock>,
    },
    Neck(Box<Neck>),
}

impl TinyVit {
    pub(crate) fn read(
        from: &Reader,
        config: &TinyVitConfig,
        outputs: usize,
    ) -> Result<Self, Error> {
        let layer = |index: usize| from.at("layers").at(index);
        let dim = config.stem_dim;
        let patch_embed = PatchEmbed::read(&from.at("patch_embed").at("seq"), config.stem, dim)?;
        let mut steps = vec![Step::PatchEmbed(patch_embed)];
        for i in 0..config.conv_blocks {
            let block = MbConv::read(&layer(0).at("blocks").at(i), dim)?;
            steps.push(Step::Convolutions(Box::new(block)));
        }
        let mut inputs = dim;
        for (stage, config) in (1..).zip(&config.stages) {
            let merging = layer(stage - 1).at("downsample");
            let merging = PatchMerging::read(&merging, inputs, config.dim, config.stride)?;
            steps.push(Step::Merging(Box::new(merging)));
            for index in 0..config.depth {
                let from = layer(stage).at("blocks").at(index);
                let block = Box::new(TinyVitBlock::read(&from, config)?);
                steps.push(Step::Block { stage, index, block });
            }
            inputs = config.dim;
        }
        // The classifier's last norm and head, which SAM's encoder never uses.
        for name in ["norm_head.weight", "norm_head.bias", "head.weight", "head.bias"] {
            from.ignore(name);
        }
        steps.push(Step::Neck(Box::new(Neck::read(&from.at("neck"), inputs, outputs)?)));
        Ok(Self { steps })
    }

    /// Puts adapters into blocks; `from` points to `encoder.blocks`.
    pub(crate) fn adapt(&mut self, from: &Reader, config: &AdapterConfig) -> Result<(), Error> {
        for step in &mut self.steps {
            if let Step::Block { stage, index, block } = step {
                block.adapt(&from.at(*stage).at(*index), config)?;
            }
        }
        Ok(())
    }

    /// Applies a folding rule to all blocks.
    pub(crate) fn fold(&mut self, rule: Folding) {
        for step in &mut self.steps {
            if let Step::Block { block, .. } = step {
                block.fold(rule);
            }
        }
    }

    /// Weights of the stem, as in [`crate::Sam::stem_params`].
    pub(crate) fn stem_params(&self) -> Vec<Param> {
        match self.steps.first() {
            Some(Step::PatchEmbed(patch_embed)) => patch_embed.params(),
            _ => Vec::new(),
        }
    }

    /// Number of steps.
    pub(crate) fn steps(&self) -> usize {
        self.steps.len()
    }

    /// Number of steps before the first adapter.
    pub(crate) fn frozen_steps(&self) -> usize {
        let adapted = |step: &Step| matches!(step, Step::Block { block, .. } if block.is_adapted());
        self.steps.iter().position(adapted).unwrap_or(self.steps.len())
    }

    /// Computes a range of the steps in order. The first step takes the image `[B, 3, S, S]`, all
    /// others a map `[B, H, W, C]`.
    pub(crate) fn forward<B: Backend>(
        &self,
        b: &B,
        x: &B::Tensor,
        steps: Range<usize>,
        slices: usize,
    ) -> Output<B> {
        let mut x = x.clone();
        for step in &self.steps[steps] {
            x = match step {
                Step::PatchEmbed(patch_embed) => patch_embed.forward(b, &x),
                Step::Convolutions(block) => block.forward(b, &x),
                Step::Merging(merging) => merging.forward(b, &x),
                Step::Block { block, .. } => block.forward(b, &x, slices),
                Step::Neck(neck) => neck.forward(b, &x),
            }?;
        }
        Ok(x)
    }
}
