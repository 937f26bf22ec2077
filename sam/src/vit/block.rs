//! SAM ViT block: attention in windows or over the whole map, with decomposed relative positions,
//! and an MLP.

use ndarray::Array3;

use super::config::VitConfig;
use super::position::relative;
use crate::adapter::{AdapterConfig, BlockAdapters, Lora, attend_over_depth};
use crate::backend::compose::{attend, unpack};
use crate::backend::{Backend, Output};
use crate::block::{Block, BlockKind, Layer, Roles};
use crate::error::Error;
use crate::fold::{Fold, Folding};
use crate::layers::{
    Activation, LayerNorm, Linear, Mlp, PackedQkv, Packing, Projected, Projection, Windows,
};
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
    /// Reads block `index` for a map of side `grid`. A checkpoint without relative positions gives
    /// a block without them.
    ///
    /// # Errors
    /// Names the first missing or misshapen tensor.
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
        // The tables of global blocks are interpolated, so any length is accepted.
        let attn = from.at("attn");
        let (rows, side) = if config.global_blocks.contains(&index) {
            (attn.rows("rel_pos_h").unwrap_or(0), grid)
        } else {
            (2 * config.window - 1, config.window)
        };
        Ok(Self {
            norm1: LayerNorm::read(&from.at("norm1"), dim, LayerNorm::EPSILON_SAM)?,
            attention: Attention::read(&attn, config, rows, side)?,
            norm2: LayerNorm::read(&from.at("norm2"), dim, LayerNorm::EPSILON_SAM)?,
            mlp: Mlp::new(layers, Activation::Gelu),
            adapters: BlockAdapters::default(),
        })
    }

    /// Adds the adapters that `from` holds to the block.
    ///
    /// # Errors
    /// Names the first missing or misshapen tensor.
    pub fn adapt(&mut self, from: &Reader, config: &AdapterConfig) -> Result<(), Error> {
        self.adapters = BlockAdapters::read(from, self.attention.projection.outputs(), config)?;
        Ok(())
    }

    /// True if the block has adapters.
    pub(super) fn is_adapted(&self) -> bool {
        !self.adapters.is_empty()
    }

    /// Computes the block, `[B, H, W, C]` -> `[B, H, W, C]`. B counts volumes of `slices` maps
    /// each.
    ///
    /// # Errors
    /// The backend failed.
    pub fn forward<B: Backend>(&self, b: &B, x: &B::Tensor, slices: usize) -> Output<B> {
        let Self { norm1, attention, norm2, mlp, adapters } = self;
        let kind = BlockKind::VitBlock {
            window: attention.side,
            heads: attention.qkv.heads,
            space: adapters.space_activation(),
        };
        let padding = Windows::new(b, x, attention.side).padding();
        let mut block = Block::new(kind)
            .with("norm1", norm1)
            .within("attn", attention)
            .with("norm2", norm2)
            .within("mlp", mlp)
            .within("adapter", adapters);
        if let Some(padding) = &padding {
            block = block.with("attn.window_padding", padding);
        }
        b.single_block(block, &[x], || self.compute(b, x, slices))
    }

    fn compute<B: Backend>(&self, b: &B, x: &B::Tensor, slices: usize) -> Output<B> {
        let Self { attention, adapters, .. } = self;
        let normed = b.layer_norm(x, &self.norm1)?;
        let of_padding = || match (&attention.padding, adapters.pads_before_norm) {
            (Some(qkv), _) => b.param(qkv),
            // The padding is zeros before the norm, which turns them into beta.
            (None, true) => {
                let beta = b.param(&self.norm1.beta)?;
                let beta = b.reshape(&beta, &[1, 1, attention.projection.outputs()])?;
                attention.qkv.forward(b, &beta, adapters.lora.as_ref())
            }
            (None, false) => {
                let zeros = Array3::zeros((1, 1, attention.projection.outputs()));
                let zeros = Param::new(format!("vit.zeros.{}", zeros.len()), zeros);
                attention.qkv.forward(b, &b.param(&zeros)?, adapters.lora.as_ref())
            }
        };
        let attended = attention.in_windows(b, &normed, adapters.lora.as_ref(), of_padding)?;
        let over_depth = || {
            let attend = |x: &B::Tensor| attention.forward(b, x, adapters.lora.as_ref());
            attend_over_depth(b, &normed, slices, attend)
        };
        let attended = adapters.after_attention(b, attended, over_depth)?;
        let x = b.add(x, &attended)?;
        let normed = b.layer_norm(&x, &self.norm2)?;
        let mlp = self.mlp.forward(b, &normed)?;
        b.add(&x, &adapters.add_parallel_to_mlp(b, &x, &normed, mlp)?)
    }
}

impl Fold for VitBlock {
    fn fold(&mut self, rule: Folding) {
        let Self { norm1, attention, norm2, mlp, adapters } = self;
        attention.fold(rule, norm1, adapters);
        if rule == Folding::Norms {
            norm2.move_into(adapters.at_mlp_norm().chain([mlp.first_mut()]));
        }
        adapters.fold(rule, mlp, &mut attention.projection);
    }
}

#[derive(Clone, Debug)]
struct Attention {
    qkv: PackedQkv,
    projection: Projection,
    relative: Option<Relative>,
    /// Output of `qkv` at positions beyond the map, `[3C]`. Present once gamma and beta of the norm
    /// are folded into `qkv`.
    padding: Option<Param>,
    side: usize,
}

/// Positions of keys relative to queries, for each axis.
#[derive(Clone, Debug)]
struct Relative {
    /// Table of rows, `[side, d, side]`: row of the query, channel, row of the key.
    h: Param,
    /// Table of columns, in the same layout.
    w: Param,
}

impl Attention {
    /// Reads attention with tables of `rows` relative positions.
    fn read(from: &Reader, config: &VitConfig, rows: usize, side: usize) -> Result<Self, Error> {
        let VitConfig { dim, heads, .. } = *config;
        let positions = |name: &str| -> Result<Param, Error> {
            let table = from.array(name, &[rows, dim / heads])?;
            Ok(Param::new(from.name(name), relative(table, side)))
        };
        let relative = match from.rows("rel_pos_h") {
            Some(_) => Some(Relative { h: positions("rel_pos_h")?, w: positions("rel_pos_w")? }),
            None => None,
        };
        Ok(Self {
            qkv: PackedQkv::read(&from.at("qkv"), dim, heads, Packing::ByPart)?,
            projection: Projection::read(&from.at("proj"), dim, dim)?,
            relative,
            padding: None,
            side,
        })
    }

    /// Attention in windows of a map, `[B, H, W, C]` -> `[B, H, W, C]`. A global block is one
    /// window that covers the map. `of_padding` gives the output of `qkv` beyond the map.
    fn in_windows<B: Backend>(
        &self,
        b: &B,
        x: &B::Tensor,
        lora: Option<&Lora>,
        of_padding: impl FnOnce() -> Output<B>,
    ) -> Result<Projected<B::Tensor>, B::Error> {
        let [batch, height, width, channels] = b.shape(x)[..] else {
            unreachable!("maps have four axes")
        };
        let tokens = b.reshape(x, &[batch, height * width, channels])?;
        let qkv = self.qkv.forward(b, &tokens, lora)?;
        let qkv = b.reshape(&qkv, &[batch, height, width, 3 * channels])?;
        let windows = Windows::new(b, x, self.side);
        let of_padding = || b.reshape(&of_padding()?, &[1, 1, 1, 3 * channels]);
        let qkv = windows.split(b, &qkv, of_padding)?;
        let count = b.shape(&qkv)[0];
        let qkv = b.reshape(&qkv, &[count, self.side * self.side, 3 * channels])?;
        let attended = self.attend(b, &qkv)?;
        self.projection.forward(b, &windows.join(b, &attended)?)
    }

    /// Attention of all tokens to each other without relative positions, `[B, N, C]` -> `[B, N,
    /// C]`.
    fn forward<B: Backend>(&self, b: &B, x: &B::Tensor, lora: Option<&Lora>) -> Output<B> {
        let attended = self.qkv.attend(b, &self.qkv.forward(b, x, lora)?, None)?;
        Ok(self.projection.forward(b, &attended)?.x)
    }

    /// Attention within windows, `[B, N, 3C]` -> `[B, N, C]`.
    fn attend<B: Backend>(&self, b: &B, qkv: &B::Tensor) -> Output<B> {
        let Some(relative) = &self.relative else { return self.qkv.attend(b, qkv, None) };
        let parts = unpack(b, qkv, self.qkv.heads, self.qkv.packing)?;
        let bias = relative.bias(b, &parts[0], self.side)?;
        attend(b, &parts, self.qkv.scores(Some(&bias)))
    }

    fn fold(&mut self, rule: Folding, norm: &mut LayerNorm, adapters: &mut BlockAdapters) {
        let Self { qkv, padding, relative, .. } = self;
        match rule {
            Folding::Norms => {
                let whole = adapters.lora.as_ref().map(|lora| qkv.merged(lora));
                let whole = whole.as_ref().unwrap_or(&qkv.linear);
                let mut values = whole.bias_array();
                if adapters.pads_before_norm {
                    values += &whole.weight_array().dot(&norm.beta_array());
                }
                *padding = Some(Param::new(format!("{}.padding", whole.weight.name()), values));
            }
            Folding::Scales => {
                if let Some(padding) = padding {
                    let mut values = padding.value().to_owned();
                    qkv.query_channels().for_each(|channel| values[[channel]] *= qkv.scale);
                    *padding = Param::new(padding.name(), values.into_owned());
                }
                // Relative positions are multiplied with the queries too, but unscaled.
                if let Some(Relative { h, w }) = relative {
                    for table in [h, w] {
                        *table = Param::new(table.name(), table.value().mapv(|v| v / qkv.scale));
                    }
                }
            }
            Folding::Lora | Folding::Mlp | Folding::Bottlenecks => {}
        }
        qkv.fold(rule, norm, adapters);
    }
}

impl Roles for Attention {
    fn roles<'a>(&'a self, add: &mut dyn FnMut(String, Layer<'a>)) {
        let Self { qkv, projection, relative, padding, side: _ } = self;
        add("qkv".into(), (&qkv.linear).into());
        add("products".into(), qkv.products());
        if let Some(Relative { h, w }) = relative {
            add("rel_pos_h".into(), h.into());
            add("rel_pos_w".into(), w.into());
        }
        if let Some(padding) = padding {
            add("qkv_of_padding".into(), padding.into());
        }
        add("proj".into(), projection.into());
    }
}

impl Relative {
    /// Bias of the scores from the unscaled queries: `[B, heads, N, d]` -> `[B, heads, N, N]`.
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
