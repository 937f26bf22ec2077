//! The mask decoder's two-way transformer: a few tokens attend to the image, and the image to
//! them.

mod final_attention;
mod layers;
mod memory;
mod projections;
mod to_tokens;

use crate::decoder_adapter::{Prompt, SerialAdapter};
use crate::limits;
use crate::output::Strips;
use crate::pool::Pool;
use crate::rows::{ROWS, linear, norm_rows};
use crate::scratch::Slices;
use projections::HeadScratch;
use to_tokens::{POSITIONS, ToTokens, ToTokensScratch};

pub use final_attention::{FinalAttention, FinalAttentionLayers};
pub use layers::{TwoWayBlock, TwoWayLayers};
pub use memory::{TwoWayInput, TwoWayMemory};
pub use projections::Projections;

impl TwoWayBlock {
    /// Bytes of scratch memory that each thread needs for these numbers of tokens and positions of
    /// the image.
    pub fn scratch_bytes(&self, tokens: usize, positions: usize) -> usize {
        let [tokens, positions] = [tokens, positions].map(|rows| rows.min(limits::ROWS));
        let attentions = [&self.self_attention, &self.token_to_image, &self.image_to_token];
        let adapters = self.after_tokens.iter().flat_map(SerialAdapter::layers);
        let parallel = self.parallel_mlp.iter().flat_map(|adapter| [&adapter.down, &adapter.up]);
        let layers = attentions.iter().flat_map(|attention| attention.layers());
        let layers = layers.chain(&self.mlp).chain(adapters).chain(parallel);
        let linear = layers.map(|layer| Slices::bytes(|slices| layer.operand(slices, ROWS))).max();
        let heads = attentions.iter().map(|attention| {
            let depth = attention.inner() / self.heads;
            Slices::bytes(|slices| HeadScratch::new(depth, positions.max(tokens), slices))
        });
        let image = Slices::bytes(|slices| ToTokensScratch::new(self, tokens, slices));
        heads.chain(linear).max().unwrap_or_default().max(image)
    }

    /// The tokens `[N, C]` and the image `[M, C]` after the block. `token_bias` `[N]` is added to
    /// scores where a token is the key. HyP-Adpt generates its matrices from `prompt`.
    ///
    /// # Panics
    /// If a slice is shorter than the shapes say, there is no token or no position of the image,
    /// or less scratch memory was reserved than [`TwoWayBlock::scratch_bytes`].
    pub fn run(
        &self,
        pool: &Pool,
        input: TwoWayInput,
        token_bias: &[f32],
        prompt: Prompt,
        memory: &mut TwoWayMemory,
        [tokens_out, image_out]: [&mut [f32]; 2],
    ) {
        let (isa, channels, heads) = (self.isa, self.channels(), self.heads);
        let [count, _] = input.counts(channels);
        let TwoWayInput { tokens, image, token_positions, image_positions } = input;
        let tokens_out = &mut tokens_out[..tokens.len()];
        let image_out = &mut image_out[..image.len()];
        let (token_positions, token_bias) =
            (&token_positions[..tokens.len()], &token_bias[..count]);
        let TwoWayMemory { attention, hidden, tokens: between, adapter } = memory;
        let [norm1, norm2, norm3, _] = &self.norms;

        // Tokens to each other.
        let added = self.residual.then_some(token_positions);
        let Projections { q, k, v, .. } = &self.self_attention;
        linear(pool, isa, q, (tokens, added), &mut attention.q);
        linear(pool, isa, k, (tokens, added), &mut attention.k);
        linear(pool, isa, v, (tokens, None), &mut attention.v);
        attention.set_bias(token_bias.iter().copied());
        self.self_attention.attend(pool, isa, heads, attention, between);
        tokens_out.copy_from_slice(between);
        norm_rows(isa, norm1, tokens_out, self.residual.then_some(tokens));

        // Tokens to the image.
        let to_image = TwoWayInput { tokens: tokens_out, ..input };
        self.token_to_image.attend_to_image(pool, isa, heads, to_image, attention, between);
        if let Some(serial) = &self.after_tokens {
            serial.forward(pool, isa, prompt, between, adapter);
        }
        norm_rows(isa, norm2, tokens_out, Some(between));

        let [layer1, layer2] = &self.mlp;
        linear(pool, isa, layer1, (tokens_out, None), hidden);
        hidden.iter_mut().for_each(|x| *x = x.max(0.0));
        linear(pool, isa, layer2, (hidden, None), between);
        if let Some(parallel) = &self.parallel_mlp {
            parallel.forward(pool, isa, tokens_out, between, adapter);
        }
        norm_rows(isa, norm3, tokens_out, Some(between));

        // The image to the tokens.
        let Projections { k, v, .. } = &self.image_to_token;
        linear(pool, isa, k, (tokens_out, Some(token_positions)), &mut attention.k);
        linear(pool, isa, v, (tokens_out, None), &mut attention.v);
        attention.set_bias(token_bias.iter().copied());
        attention.transpose_keys(self.image_to_token.inner());
        let attention = &*attention;
        let strips = Strips::new(1, image.len() / channels, POSITIONS);
        strips.run(pool, image_out, channels, |strip, output, scratch| {
            let part = strip.first * channels..(strip.first + strip.columns.len()) * channels;
            isa.run(ToTokens {
                block: self,
                image: &image[part.clone()],
                positions: &image_positions[part],
                keys: &attention.transposed_keys,
                values: &attention.v,
                bias: &attention.bias,
                output,
                scratch,
            });
        });
    }
}
