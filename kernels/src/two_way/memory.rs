//! Inputs and memory of the two-way transformer.

use crate::attention::MASKED;
use crate::decoder_adapter::AdapterMemory;
use crate::simd::padded;

/// Input of a two-way block: N tokens and M positions of an image, of C channels.
#[derive(Clone, Copy)]
pub struct TwoWayInput<'a> {
    /// `[N, C]`.
    pub tokens: &'a [f32],
    /// `[M, C]`.
    pub image: &'a [f32],
    /// Added to tokens that are queries or keys, `[N, C]`.
    pub token_positions: &'a [f32],
    /// Added to the image where it is queries or keys, `[M, C]`.
    pub image_positions: &'a [f32],
}

impl TwoWayInput<'_> {
    /// N and M.
    ///
    /// # Panics
    /// If a slice is not whole rows of `channels`, positions are fewer than tokens or image, or
    /// there is no token or no image.
    pub(super) fn counts(&self, channels: usize) -> [usize; 2] {
        let Self { tokens, image, token_positions, image_positions } = self;
        assert!(
            !tokens.is_empty()
                && !image.is_empty()
                && tokens.len().is_multiple_of(channels)
                && image.len().is_multiple_of(channels)
                && token_positions.len() >= tokens.len()
                && image_positions.len() >= image.len(),
            "{} values of tokens with {} of positions, {} of the image with {} of positions, in \
             rows of {channels}",
            tokens.len(),
            token_positions.len(),
            image.len(),
            image_positions.len()
        );
        [tokens, image].map(|rows| rows.len() / channels)
    }
}

/// Memory for a block; it grows in the first run.
#[derive(Default)]
pub struct TwoWayMemory {
    pub(super) attention: AttentionMemory,
    /// Hidden values of the MLP.
    pub(super) hidden: Vec<f32>,
    /// Tokens between two steps.
    pub(super) tokens: Vec<f32>,
    pub(super) adapter: AdapterMemory,
}

/// Memory for an attention.
#[derive(Default)]
pub(super) struct AttentionMemory {
    pub q: Vec<f32>,
    pub k: Vec<f32>,
    pub v: Vec<f32>,
    /// Keys of all heads, `[inner, padded tokens]`.
    pub transposed_keys: Vec<f32>,
    /// Added to the scores of each key, padded with [`MASKED`].
    pub bias: Vec<f32>,
    pub attended: Vec<f32>,
}

impl AttentionMemory {
    /// Sets the biases of the keys.
    pub(super) fn set_bias(&mut self, bias: impl ExactSizeIterator<Item = f32>) {
        let padded = padded(bias.len());
        self.bias.clear();
        self.bias.extend(bias);
        self.bias.resize(padded, MASKED);
    }

    /// Transposes the keys of all heads, `inner` channels together.
    pub(super) fn transpose_keys(&mut self, inner: usize) {
        let columns = padded(self.k.len() / inner);
        self.transposed_keys.clear();
        self.transposed_keys.resize(inner * columns, 0.0);
        for (token, row) in self.k.chunks_exact(inner).enumerate() {
            for (channel, key) in row.iter().enumerate() {
                self.transposed_keys[channel * columns + token] = *key;
            }
        }
    }
}
