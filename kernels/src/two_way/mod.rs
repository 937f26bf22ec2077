//! The mask decoder's two-way transformer: a few tokens attend to the image, and the image to
//! them.

mod final_attention;
mod memory;
mod projections;
mod to_tokens;

use crate::decoder_adapter::{ParallelAdapter, Prompt, SerialAdapter};
use crate::limits;
use crate::misfit::{Misfit, check, check_channels, check_lanes};
use crate::norm::Norm;
use crate::output::Strips;
use crate::packed::Packed;
use crate::pool::Pool;
use crate::rows::{ROWS, linear, norm_rows};
use crate::scratch::Slices;
use crate::simd::Isa;
use projections::HeadScratch;
use to_tokens::{POSITIONS, ToTokens, ToTokensScratch};

pub use final_attention::{FinalAttention, FinalAttentionLayers};
pub use memory::{TwoWayInput, TwoWayMemory};
pub use projections::Projections;

/// Attention of tokens to each other, attention of tokens to the image, an MLP, and attention of
/// the image to the tokens, with a norm after each.
pub struct TwoWayBlock {
    isa: Isa,
    heads: usize,
    residual: bool,
    self_attention: Projections,
    token_to_image: Projections,
    after_tokens: Option<SerialAdapter>,
    mlp: [Packed; 2],
    beside_mlp: Option<ParallelAdapter>,
    image_to_token: Projections,
    after_image: Option<SerialAdapter>,
    norms: [Norm; 4],
}

/// Layers of a [`TwoWayBlock`].
pub struct TwoWayLayers {
    /// Projections of the attention of tokens to each other.
    pub self_attention: Projections,
    /// Projections of the attention of tokens to the image.
    pub token_to_image: Projections,
    /// Adapter after it.
    pub after_tokens: Option<SerialAdapter>,
    /// Layers of the MLP, ReLU between them.
    pub mlp: [Packed; 2],
    /// Adapter parallel to the MLP.
    pub beside_mlp: Option<ParallelAdapter>,
    /// Projections of the attention of the image to the tokens.
    pub image_to_token: Projections,
    /// Adapter after it; not HyP-Adpt.
    pub after_image: Option<SerialAdapter>,
    /// Norms after each attention and the MLP, in their order.
    pub norms: [Norm; 4],
}

impl TwoWayBlock {
    /// A block with this number of heads in each attention. With `residual`, tokens are added to
    /// the output of their attention to each other. The first block has no such residual, because
    /// its tokens equal their positions.
    ///
    /// # Errors
    /// If the layers do not match each other or `heads`, or HyP-Adpt is used after the image.
    pub fn new(
        isa: Isa,
        heads: usize,
        residual: bool,
        layers: TwoWayLayers,
    ) -> Result<Self, Misfit> {
        let TwoWayLayers { self_attention, token_to_image, after_tokens, mlp, .. } = layers;
        let TwoWayLayers { beside_mlp, image_to_token, after_image, norms, .. } = layers;
        let channels = norms[0].channels();
        for (norm, name) in norms.iter().zip(["norm1", "norm2", "norm3", "norm4"]) {
            check_channels(name, norm.channels(), channels)?;
        }
        let bottleneck = |adapter: &Option<SerialAdapter>| {
            adapter.as_ref().map_or(0, |adapter| adapter.up.inputs())
        };
        self_attention.check("self_attention", isa, heads, channels, 0)?;
        if let Some(adapter) = &after_tokens {
            adapter.check("after_tokens", isa, channels)?;
        }
        let length = bottleneck(&after_tokens);
        token_to_image.check("token_to_image", isa, heads, channels, length)?;
        let hidden = mlp[0].outputs();
        mlp[0].check("mlp.layer1", isa, channels, hidden)?;
        check_lanes("mlp.layer1", "outputs", hidden)?;
        mlp[1].check("mlp.layer2", isa, hidden, channels)?;
        if let Some(adapter) = &beside_mlp {
            adapter.check("beside_mlp", isa, channels)?;
        }
        if let Some(adapter) = &after_image {
            let (found, expected) = (format_args!("HyP-Adpt"), format_args!("an activation"));
            check(!adapter.is_hyper(), "after_image.bottleneck", found, expected)?;
            adapter.check("after_image", isa, channels)?;
        }
        let length = bottleneck(&after_image);
        image_to_token.check("image_to_token", isa, heads, channels, length)?;
        Ok(Self {
            isa,
            heads,
            residual,
            self_attention,
            token_to_image,
            after_tokens,
            mlp,
            beside_mlp,
            image_to_token,
            after_image,
            norms,
        })
    }

    /// Channels of tokens and image.
    pub fn channels(&self) -> usize {
        self.norms[0].channels()
    }

    /// Bytes of scratch memory that each thread needs for these numbers of tokens and positions of
    /// the image.
    pub fn scratch_bytes(&self, tokens: usize, positions: usize) -> usize {
        let [tokens, positions] = [tokens, positions].map(|rows| rows.min(limits::ROWS));
        let attentions = [&self.self_attention, &self.token_to_image, &self.image_to_token];
        let adapters = self.after_tokens.iter().flat_map(SerialAdapter::layers);
        let parallel = self.beside_mlp.iter().flat_map(|adapter| [&adapter.down, &adapter.up]);
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
        if let Some(parallel) = &self.beside_mlp {
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
