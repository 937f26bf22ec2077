//! Attention in windows or over the whole map, with decomposed relative positions, and an MLP.

use super::config::VitConfig;
use super::position::relative;
use crate::adapter::BlockAdapters;
use crate::backend::{Backend, Output};
use crate::error::Error;
use crate::layers::{Activation, LayerNorm, Linear, Mlp, Windows, attention, merge_heads};
use crate::weights::{Param, Reader};

#[derive(Clone, Debug)]
pub(super) struct VitBlock {
    norm1: LayerNorm,
    attention: Attention,
    norm2: LayerNorm,
    mlp: Mlp,
    pub(super) adapters: BlockAdapters,
}

impl VitBlock {
    /// Block `index` for a map of side `grid`.
    pub(super) fn read(
        from: &Reader,
        config: &VitConfig,
        index: usize,
        grid: usize,
    ) -> Result<Self, Error> {
        let (dim, hidden) = (config.dim, config.mlp_dim);
        let mlp = from.at("mlp");
        let layers = vec![
            Linear::read(&mlp.at("lin1"), dim, hidden)?,
            Linear::read(&mlp.at("lin2"), hidden, dim)?,
        ];
        let (trained, side) = if config.global_blocks.contains(&index) {
            (config.trained_grid, grid)
        } else {
            (config.window, config.window)
        };
        Ok(Self {
            norm1: LayerNorm::read(&from.at("norm1"), dim, LayerNorm::EPSILON_SAM)?,
            attention: Attention::read(&from.at("attn"), config, trained, side)?,
            norm2: LayerNorm::read(&from.at("norm2"), dim, LayerNorm::EPSILON_SAM)?,
            mlp: Mlp::new(layers, Activation::Gelu),
            adapters: BlockAdapters::default(),
        })
    }

    /// `[B, H, W, C]` -> `[B, H, W, C]`.
    pub(super) fn forward<B: Backend>(&self, b: &B, x: &B::Tensor) -> Output<B> {
        let normed = b.layer_norm(x, &self.norm1)?;
        // A global block is one window that covers the map.
        let windows = Windows::new(b, &normed, self.attention.side);
        let attended = self.attention.forward(b, &windows.split(b, &normed)?)?;
        let attended = self.adapters.after_attention(b, windows.join(b, &attended)?)?;
        let x = b.add(x, &attended)?;
        let normed = b.layer_norm(&x, &self.norm2)?;
        let mlp = self.mlp.forward(b, &normed)?;
        b.add(&x, &self.adapters.beside_mlp(b, &normed, mlp)?)
    }
}

#[derive(Clone, Debug)]
struct Attention {
    qkv: Linear,
    proj: Linear,
    /// `[side, d, side]`: row of the query, channel, row of the key.
    rel_pos_h: Param,
    /// The same for columns.
    rel_pos_w: Param,
    side: usize,
    heads: usize,
}

impl Attention {
    fn read(from: &Reader, config: &VitConfig, trained: usize, side: usize) -> Result<Self, Error> {
        let VitConfig { dim, heads, .. } = *config;
        let rel_pos = |name: &str| -> Result<Param, Error> {
            let table = from.array(name, &[2 * trained - 1, dim / heads])?;
            Ok(Param::new(from.name(name), relative(table, side)))
        };
        Ok(Self {
            qkv: Linear::read(&from.at("qkv"), dim, 3 * dim)?,
            proj: Linear::read(&from.at("proj"), dim, dim)?,
            rel_pos_h: rel_pos("rel_pos_h")?,
            rel_pos_w: rel_pos("rel_pos_w")?,
            side,
            heads,
        })
    }

    /// `[B, side, side, C]` -> `[B, side, side, C]`.
    fn forward<B: Backend>(&self, b: &B, windows: &B::Tensor) -> Output<B> {
        let shape = b.shape(windows);
        let (batch, dim) = (shape[0], shape[3]);
        let (tokens, head_dim) = (self.side * self.side, dim / self.heads);
        let x = b.reshape(windows, &[batch, tokens, dim])?;
        let qkv =
            b.reshape(&b.linear(&x, &self.qkv)?, &[batch, tokens, 3, self.heads, head_dim])?;
        let qkv = b.permute(&qkv, &[2, 0, 3, 1, 4])?;
        let part =
            |i: usize| b.reshape(&b.narrow(&qkv, 0, i, 1)?, &[batch, self.heads, tokens, head_dim]);
        let q = part(0)?;
        let bias = self.relative_bias(b, &q)?;
        let x = attention(b, &q, &part(1)?, &part(2)?, Some(&bias))?;
        b.reshape(&b.linear(&merge_heads(b, &x)?, &self.proj)?, &shape)
    }

    /// `[B, heads, N, d]` -> `[B, heads, N, N]`, from the unscaled queries.
    fn relative_bias<B: Backend>(&self, b: &B, q: &B::Tensor) -> Output<B> {
        let [batch, heads, tokens, d] = b.shape(q)[..] else {
            unreachable!("heads have four axes")
        };
        let (side, all) = (self.side, batch * heads);
        let map = b.reshape(q, &[all, side, side, d])?;
        let rows = b.matmul(&map, &b.param(&self.rel_pos_h)?)?;
        let columns = b.permute(&map, &[0, 2, 1, 3])?;
        let columns = b.matmul(&columns, &b.param(&self.rel_pos_w)?)?;
        let columns = b.permute(&columns, &[0, 2, 1, 3])?;
        let rows = b.reshape(&rows, &[all, side, side, side, 1])?;
        let columns = b.reshape(&columns, &[all, side, side, 1, side])?;
        b.reshape(&b.add(&rows, &columns)?, &[batch, heads, tokens, tokens])
    }
}
