//! The attention after the last two-way block.

use super::memory::{TwoWayInput, TwoWayMemory};
use super::projections::{HeadScratch, Projections};
use crate::limits;
use crate::misfit::Misfit;
use crate::norm::Norm;
use crate::pool::Pool;
use crate::rows::{ROWS, norm_rows};
use crate::scratch::Slices;
use crate::simd::Isa;

/// Attention of tokens to the image, and a norm.
pub struct FinalAttention {
    isa: Isa,
    heads: usize,
    token_to_image: Projections,
    norm: Norm,
}

/// Layers of a [`FinalAttention`].
pub struct FinalAttentionLayers {
    /// Projections of the attention of tokens to the image.
    pub token_to_image: Projections,
    /// Norm after the attention and its residual.
    pub norm: Norm,
}

impl FinalAttention {
    /// An attention with this number of heads.
    ///
    /// # Errors
    /// If the layers do not match each other or `heads`.
    pub fn new(isa: Isa, heads: usize, layers: FinalAttentionLayers) -> Result<Self, Misfit> {
        let FinalAttentionLayers { token_to_image, norm } = layers;
        token_to_image.check("token_to_image", isa, heads, norm.channels(), 0)?;
        Ok(Self { isa, heads, token_to_image, norm })
    }

    /// Channels of tokens and image.
    pub fn channels(&self) -> usize {
        self.norm.channels()
    }

    /// Bytes of scratch memory that each thread needs for an image with this number of positions.
    /// It is the same for any number of tokens.
    pub fn scratch_bytes(&self, _tokens: usize, positions: usize) -> usize {
        let positions = positions.min(limits::ROWS);
        let layers = self.token_to_image.layers().into_iter();
        let layers = layers.map(|layer| Slices::bytes(|slices| layer.operand(slices, ROWS)));
        let depth = self.token_to_image.inner() / self.heads;
        let head = Slices::bytes(|slices| HeadScratch::new(depth, positions, slices));
        layers.max().unwrap_or_default().max(head)
    }

    /// The tokens `[N, C]` after the attention.
    ///
    /// # Panics
    /// If a slice is shorter than the shapes say, there is no token or no position of the image,
    /// or less scratch memory was reserved than [`FinalAttention::scratch_bytes`].
    pub fn run(
        &self,
        pool: &Pool,
        input: TwoWayInput,
        memory: &mut TwoWayMemory,
        tokens_out: &mut [f32],
    ) {
        input.counts(self.channels());
        let tokens_out = &mut tokens_out[..input.tokens.len()];
        let TwoWayMemory { attention, tokens, .. } = memory;
        self.token_to_image.attend_to_image(pool, self.isa, self.heads, input, attention, tokens);
        tokens_out.copy_from_slice(tokens);
        norm_rows(self.isa, &self.norm, tokens_out, Some(input.tokens));
    }
}
