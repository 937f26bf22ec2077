//! Window attention, a depthwise convolution over the whole map, and an MLP.

use ndarray::Array3;

use super::config::Stage;
use crate::backend::{Backend, Output};
use crate::error::Error;
use crate::layers::{Activation, Conv2d, LayerNorm, Linear, Mlp, Windows, attention, merge_heads};
use crate::weights::{Param, Reader};

#[derive(Clone, Debug)]
pub(super) struct TinyVitBlock {
    attention: WindowAttention,
    local_conv: Conv2d,
    norm: LayerNorm,
    mlp: Mlp,
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
        })
    }

    /// `[B, H, W, C]` -> `[B, H, W, C]`.
    pub(super) fn forward<B: Backend>(&self, b: &B, x: &B::Tensor) -> Output<B> {
        let windows = Windows::new(b, x, self.attention.window);
        let attended = self.attention.forward(b, &windows.split(b, x)?)?;
        let x = b.add(x, &windows.join(b, &attended)?)?;
        let x = b.conv2d(&x, &self.local_conv)?;
        b.add(&x, &self.mlp.forward(b, &b.layer_norm(&x, &self.norm)?)?)
    }
}

/// Attention within a window, with a learned bias for each offset between two positions.
#[derive(Clone, Debug)]
struct WindowAttention {
    norm: LayerNorm,
    qkv: Linear,
    proj: Linear,
    /// `[heads, N, N]`.
    bias: Param,
    window: usize,
    heads: usize,
}

impl WindowAttention {
    fn read(from: &Reader, stage: &Stage) -> Result<Self, Error> {
        let Stage { dim, heads, window, .. } = *stage;
        let offsets = from.array("attention_biases", &[heads, window * window])?;
        let tokens = window * window;
        let bias = Array3::from_shape_fn((heads, tokens, tokens), |(head, i, j)| {
            let dy = (i / window).abs_diff(j / window);
            let dx = (i % window).abs_diff(j % window);
            offsets[[head, offset_index(dy, dx, window)]]
        });
        Ok(Self {
            norm: LayerNorm::read(&from.at("norm"), dim, LayerNorm::EPSILON)?,
            qkv: Linear::read(&from.at("qkv"), dim, 3 * dim)?,
            proj: Linear::read(&from.at("proj"), dim, dim)?,
            bias: Param::new(from.name("attention_bias"), bias),
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
        let bias = b.param(&self.bias)?;
        let x = attention(b, &part(0)?, &part(1)?, &part(2)?, Some(&bias))?;
        b.reshape(&b.linear(&merge_heads(b, &x)?, &self.proj)?, &shape)
    }
}

/// Where TinyViT stores the bias of an offset: in the order in which offsets first appear when
/// all pairs of positions are listed, which is row-major.
fn offset_index(dy: usize, dx: usize, window: usize) -> usize {
    dy * window + dx
}
