//! Attention in windows or over the whole map, with decomposed relative positions, and an MLP.

use super::config::VitConfig;
use super::position::relative;
use crate::adapter::{AdapterConfig, BlockAdapters, Lora, attend_over_depth};
use crate::backend::{Backend, Output};
use crate::error::Error;
use crate::layers::{Activation, LayerNorm, Linear, Mlp, Packing, Windows, attend, unpack};
use crate::weights::{Param, Reader};

/// A block of a SAM ViT.
#[derive(Clone, Debug)]
pub struct VitBlock {
    norm1: LayerNorm,
    attention: Attention,
    norm2: LayerNorm,
    mlp: Mlp,
    adapters: BlockAdapters,
}

impl VitBlock {
    /// Reads block `index` for a map of side `grid`. Relative positions may be missing: then
    /// there are none.
    ///
    /// # Errors
    /// A missing or misshapen tensor, by name.
    pub fn read(
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

    /// Puts adapters into the block, as far as there are any.
    ///
    /// # Errors
    /// A missing or misshapen tensor, by name.
    pub fn adapt(&mut self, from: &Reader, config: &AdapterConfig) -> Result<(), Error> {
        self.adapters = BlockAdapters::read(from, self.attention.proj.outputs(), config)?;
        Ok(())
    }

    /// Whether it has adapters.
    pub(super) fn is_adapted(&self) -> bool {
        !self.adapters.is_empty()
    }

    /// `[B, H, W, C]` -> `[B, H, W, C]`; B holds volumes of `slices` maps each.
    ///
    /// # Errors
    /// The backend's.
    pub fn forward<B: Backend>(&self, b: &B, x: &B::Tensor, slices: usize) -> Output<B> {
        let Self { attention, adapters, .. } = self;
        let normed = b.layer_norm(x, &self.norm1)?;
        // A global block is one window that covers the map.
        let windows = Windows::new(b, &normed, attention.side);
        let split = if adapters.pads_before_norm {
            b.layer_norm(&windows.split(b, x)?, &self.norm1)?
        } else {
            windows.split(b, &normed)?
        };
        let attended = attention.in_windows(b, &split, adapters.lora.as_ref())?;
        let over_depth = || {
            let attend = |x: &B::Tensor| attention.forward(b, x, None, adapters.lora.as_ref());
            attend_over_depth(b, &normed, slices, attend)
        };
        let attended = adapters.after_attention(b, windows.join(b, &attended)?, over_depth)?;
        let x = b.add(x, &attended)?;
        let normed = b.layer_norm(&x, &self.norm2)?;
        let mlp = self.mlp.forward(b, &normed)?;
        b.add(&x, &adapters.beside_mlp(b, &x, &normed, mlp)?)
    }
}

#[derive(Clone, Debug)]
struct Attention {
    qkv: Linear,
    proj: Linear,
    relative: Option<Relative>,
    side: usize,
    heads: usize,
}

/// Positions of keys relative to queries, by axis.
#[derive(Clone, Debug)]
struct Relative {
    /// `[side, d, side]`: row of the query, channel, row of the key.
    h: Param,
    /// The same for columns.
    w: Param,
}

impl Attention {
    fn read(from: &Reader, config: &VitConfig, trained: usize, side: usize) -> Result<Self, Error> {
        let VitConfig { dim, heads, .. } = *config;
        let positions = |name: &str| -> Result<Param, Error> {
            let table = from.array(name, &[2 * trained - 1, dim / heads])?;
            Ok(Param::new(from.name(name), relative(table, side)))
        };
        let relative = match from.rows("rel_pos_h") {
            Some(_) => Some(Relative { h: positions("rel_pos_h")?, w: positions("rel_pos_w")? }),
            None => None,
        };
        Ok(Self {
            qkv: Linear::read(&from.at("qkv"), dim, 3 * dim)?,
            proj: Linear::read(&from.at("proj"), dim, dim)?,
            relative,
            side,
            heads,
        })
    }

    /// `[B, side, side, C]` -> `[B, side, side, C]`.
    fn in_windows<B: Backend>(&self, b: &B, windows: &B::Tensor, lora: Option<&Lora>) -> Output<B> {
        let shape = b.shape(windows);
        let x = b.reshape(windows, &[shape[0], self.side * self.side, shape[3]])?;
        b.reshape(&self.forward(b, &x, self.relative.as_ref(), lora)?, &shape)
    }

    /// `[B, N, C]` -> `[B, N, C]`.
    fn forward<B: Backend>(
        &self,
        b: &B,
        x: &B::Tensor,
        relative: Option<&Relative>,
        lora: Option<&Lora>,
    ) -> Output<B> {
        let mut qkv = b.linear(x, &self.qkv)?;
        if let Some(lora) = lora {
            qkv = lora.add_to_packed(b, x, &qkv, self.heads, Packing::ByPart)?;
        }
        let attended = match relative {
            Some(relative) => {
                let parts = unpack(b, &qkv, self.heads, Packing::ByPart)?;
                let bias = relative.bias(b, &parts[0], self.side)?;
                attend(b, &parts, Some(&bias))
            }
            None => b.self_attention(&qkv, self.heads, Packing::ByPart, None),
        }?;
        b.linear(&attended, &self.proj)
    }
}

impl Relative {
    /// `[B, heads, N, d]` -> `[B, heads, N, N]`, from the unscaled queries.
    fn bias<B: Backend>(&self, b: &B, q: &B::Tensor, side: usize) -> Output<B> {
        let [batch, heads, tokens, d] = b.shape(q)[..] else {
            unreachable!("heads have four axes")
        };
        let all = batch * heads;
        let map = b.reshape(q, &[all, side, side, d])?;
        let rows = b.matmul(&map, &b.param(&self.h)?)?;
        let columns = b.permute(&map, &[0, 2, 1, 3])?;
        let columns = b.matmul(&columns, &b.param(&self.w)?)?;
        let columns = b.permute(&columns, &[0, 2, 1, 3])?;
        let rows = b.reshape(&rows, &[all, side, side, side, 1])?;
        let columns = b.reshape(&columns, &[all, side, side, 1, side])?;
        b.reshape(&b.add(&rows, &columns)?, &[batch, heads, tokens, tokens])
    }
}
