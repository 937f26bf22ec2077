//! Window attention, a depthwise convolution over the whole map, and an MLP.

use super::config::Stage;
use crate::adapter::BlockAdapters;
use crate::backend::{Backend, Output};
use crate::error::Error;
use crate::layers::{Activation, Conv2d, LayerNorm, Linear, Mlp, Windows, attention, merge_heads};
use crate::weights::{Indices, Param, Reader};

#[derive(Clone, Debug)]
pub(super) struct TinyVitBlock {
    attention: WindowAttention,
    local_conv: Conv2d,
    norm: LayerNorm,
    mlp: Mlp,
    pub(super) adapters: BlockAdapters,
}

impl TinyVitBlock {
    const MLP_RATIO: usize = 4;

    pub(super) fn read(from: &Reader, stage: &Stage) -> Result<Self, Error> {
        let dim = stage.dim;
        let mlp = from.at("mlp");
        let hidden = dim * Self::MLP_RATIO;
        let layers = vec![
            Linear::read(&mlp.at("fc1"), dim, hidden)?,
            Linear::read(&mlp.at("fc2"), hidden, dim)?,
        ];
        Ok(Self {
            attention: WindowAttention::read(&from.at("attn"), stage)?,
            local_conv: Conv2d::read_depthwise_bn(&from.at("local_conv"), dim, 1)?,
            norm: LayerNorm::read(&mlp.at("norm"), dim, LayerNorm::EPSILON)?,
            mlp: Mlp::new(layers, Activation::Gelu),
            adapters: BlockAdapters::default(),
        })
    }

    /// Channels.
    pub(super) fn dim(&self) -> usize {
        self.attention.proj.outputs()
    }

    /// `[B, H, W, C]` -> `[B, H, W, C]`.
    pub(super) fn forward<B: Backend>(&self, b: &B, x: &B::Tensor) -> Output<B> {
        let windows = Windows::new(b, x, self.attention.window);
        let attended = self.attention.forward(b, &windows.split(b, x)?)?;
        let attended = self.adapters.after_attention(b, windows.join(b, &attended)?)?;
        let x = b.conv2d(&b.add(x, &attended)?, &self.local_conv)?;
        let normed = b.layer_norm(&x, &self.norm)?;
        let mlp = self.mlp.forward(b, &normed)?;
        b.add(&x, &self.adapters.beside_mlp(b, &normed, mlp)?)
    }
}

/// Attention within a window, with a learned bias for each offset between two positions.
#[derive(Clone, Debug)]
struct WindowAttention {
    norm: LayerNorm,
    qkv: Linear,
    proj: Linear,
    /// `[heads, window * window]`: by how many rows and columns two positions are apart.
    offset_bias: Param,
    /// For each pair of positions, its offset: N * N.
    offsets: Indices,
    window: usize,
    heads: usize,
}

impl WindowAttention {
    fn read(from: &Reader, stage: &Stage) -> Result<Self, Error> {
        let Stage { dim, heads, window, .. } = *stage;
        Ok(Self {
            norm: LayerNorm::read(&from.at("norm"), dim, LayerNorm::EPSILON)?,
            qkv: Linear::read(&from.at("qkv"), dim, 3 * dim)?,
            proj: Linear::read(&from.at("proj"), dim, dim)?,
            offset_bias: from.param("attention_biases", &[heads, window * window])?,
            offsets: offsets(window),
            window,
            heads,
        })
    }

    /// `[B, side, side, C]` -> `[B, side, side, C]`.
    fn forward<B: Backend>(&self, b: &B, windows: &B::Tensor) -> Output<B> {
        let shape = b.shape(windows);
        let (batch, dim) = (shape[0], shape[3]);
        let tokens = self.window * self.window;
        let x = b.reshape(windows, &[batch, tokens, dim])?;
        let qkv = b.linear(&b.layer_norm(&x, &self.norm)?, &self.qkv)?;
        // Interleaved by head: each head's q, k and v stand side by side.
        let head_dim = dim / self.heads;
        let qkv = b.reshape(&qkv, &[batch, tokens, self.heads, 3, head_dim])?;
        let qkv = b.permute(&qkv, &[3, 0, 2, 1, 4])?;
        let part =
            |i: usize| b.reshape(&b.narrow(&qkv, 0, i, 1)?, &[batch, self.heads, tokens, head_dim]);
        let bias = b.take(&b.param(&self.offset_bias)?, &self.offsets)?;
        let bias = b.reshape(&bias, &[self.heads, tokens, tokens])?;
        let x = attention(b, &part(0)?, &part(1)?, &part(2)?, Some(&bias))?;
        b.reshape(&b.linear(&merge_heads(b, &x)?, &self.proj)?, &shape)
    }
}

/// The offset of each pair of positions in a window. TinyViT numbers offsets in the order in
/// which they first appear when all pairs are listed, which is row-major.
fn offsets(window: usize) -> Indices {
    let tokens = window * window;
    let offset = |pair: usize| {
        let (i, j) = (pair / tokens, pair % tokens);
        let dy = (i / window).abs_diff(j / window);
        let dx = (i % window).abs_diff(j % window);
        (dy * window + dx) as u32
    };
    Indices {
        name: format!("window_offsets.{window}").into(),
        values: (0..tokens * tokens).map(offset).collect(),
    }
}
