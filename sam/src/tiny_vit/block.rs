//! TinyViT block: window attention, a depthwise convolution over the whole map, and an MLP.

use super::config::Stage;
use crate::adapter::{AdapterConfig, BlockAdapters, Lora, attend_over_depth};
use crate::backend::{Backend, Output};
use crate::block::{Block, BlockKind, Layer, Roles};
use crate::error::Error;
use crate::fold::{Fold, Folding};
use crate::layers::{
    Activation, Conv2d, LayerNorm, Linear, Mlp, PackedQkv, Packing, Projected, Projection, Windows,
};
use crate::weights::{Indices, Param, Reader};

/// A block of TinyViT's attention stages.
#[derive(Clone, Debug)]
pub struct TinyVitBlock {
    attention: WindowAttention,
    local_conv: Conv2d,
    norm: LayerNorm,
    mlp: Mlp,
    adapters: BlockAdapters,
}

impl TinyVitBlock {
    const MLP_RATIO: usize = 4;

    /// Reads a block of `stage`.
    ///
    /// # Errors
    /// Names the first missing or misshapen tensor.
    pub fn read(from: &Reader, stage: &Stage) -> Result<Self, Error> {
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
        let Self { attention, local_conv, norm, mlp, adapters } = self;
        let kind = BlockKind::TinyVitBlock {
            window: attention.window,
            heads: attention.qkv.heads,
            space: adapters.space_activation(),
        };
        let padding = Windows::new(b, x, attention.window).padding();
        let mut block = Block::new(kind)
            .within("attn", attention)
            .with("local_conv", local_conv)
            .with("mlp.norm", norm)
            .within("mlp", mlp)
            .within("adapter", adapters);
        if let Some(padding) = &padding {
            block = block.with("attn.window_padding", padding);
        }
        b.single_block(block, &[x], || self.compute(b, x, slices))
    }

    fn compute<B: Backend>(&self, b: &B, x: &B::Tensor, slices: usize) -> Output<B> {
        let Self { attention, adapters, .. } = self;
        let attended = attention.in_windows(b, x, adapters.lora.as_ref())?;
        let over_depth = || {
            let attend = |x: &B::Tensor| attention.forward(b, x, adapters.lora.as_ref());
            attend_over_depth(b, x, slices, attend)
        };
        let attended = adapters.after_attention(b, attended, over_depth)?;
        let x = b.conv2d(&b.add(x, &attended)?, &self.local_conv)?;
        let normed = b.layer_norm(&x, &self.norm)?;
        let mlp = self.mlp.forward(b, &normed)?;
        b.add(&x, &adapters.add_parallel_to_mlp(b, &x, &normed, mlp)?)
    }
}

impl Fold for TinyVitBlock {
    fn fold(&mut self, rule: Folding) {
        let Self { attention, norm, mlp, adapters, .. } = self;
        attention.qkv.fold(rule, &mut attention.norm, adapters);
        if rule == Folding::Norms {
            norm.move_into(adapters.at_mlp_norm().chain([mlp.first_mut()]));
        }
        adapters.fold(rule, mlp, &mut attention.projection);
    }
}

/// Attention within a window, with a learned bias for each offset between two positions.
#[derive(Clone, Debug)]
struct WindowAttention {
    norm: LayerNorm,
    qkv: PackedQkv,
    projection: Projection,
    /// Bias of each offset, `[heads, window * window]`; an offset is the distance of two positions
    /// in rows and columns.
    offset_bias: Param,
    /// Offset of each pair of positions: N * N indices.
    offsets: Indices,
    window: usize,
}

impl WindowAttention {
    fn read(from: &Reader, stage: &Stage) -> Result<Self, Error> {
        let Stage { dim, heads, window, .. } = *stage;
        Ok(Self {
            norm: LayerNorm::read(&from.at("norm"), dim, LayerNorm::EPSILON)?,
            qkv: PackedQkv::read(&from.at("qkv"), dim, heads, Packing::ByHead)?,
            projection: Projection::read(&from.at("proj"), dim, dim)?,
            offset_bias: from.param("attention_biases", &[heads, window * window])?,
            offsets: offsets(window),
            window,
        })
    }

    /// Attention in windows of a map, `[B, H, W, C]` -> `[B, H, W, C]`.
    ///
    /// Linear layers are applied to the map before it is padded: windows of 14 on a map of 32 have
    /// 1.7 times as many positions.
    fn in_windows<B: Backend>(
        &self,
        b: &B,
        x: &B::Tensor,
        lora: Option<&Lora>,
    ) -> Result<Projected<B::Tensor>, B::Error> {
        let [batch, height, width, channels] = b.shape(x)[..] else {
            unreachable!("maps have four axes")
        };
        let positions = self.window * self.window;
        let tokens = b.reshape(x, &[batch, height * width, channels])?;
        let qkv = self.qkv.forward(b, &b.layer_norm(&tokens, &self.norm)?, lora)?;
        let qkv = b.reshape(&qkv, &[batch, height, width, 3 * channels])?;
        // The padding is zeros before the norm, which turns them into beta.
        let of_padding = || {
            let beta = b.reshape(&b.param(&self.norm.beta)?, &[1, 1, channels])?;
            b.reshape(&self.qkv.forward(b, &beta, lora)?, &[1, 1, 1, 3 * channels])
        };
        let windows = Windows::new(b, x, self.window);
        let qkv = windows.split(b, &qkv, of_padding)?;
        let count = b.shape(&qkv)[0];
        let qkv = b.reshape(&qkv, &[count, positions, 3 * channels])?;
        let bias = b.take(&b.param(&self.offset_bias)?, &self.offsets)?;
        let bias = b.reshape(&bias, &[self.qkv.heads, positions, positions])?;
        let attended = self.qkv.attend(b, &qkv, Some(&bias))?;
        self.projection.forward(b, &windows.join(b, &attended)?)
    }

    /// Attention of all tokens to each other, `[B, N, C]` -> `[B, N, C]`.
    fn forward<B: Backend>(&self, b: &B, x: &B::Tensor, lora: Option<&Lora>) -> Output<B> {
        let qkv = self.qkv.forward(b, &b.layer_norm(x, &self.norm)?, lora)?;
        let attended = self.qkv.attend(b, &qkv, None)?;
        Ok(self.projection.forward(b, &attended)?.x)
    }
}

impl Roles for WindowAttention {
    fn roles<'a>(&'a self, add: &mut dyn FnMut(String, Layer<'a>)) {
        let Self { norm, qkv, projection, offset_bias, offsets, window: _ } = self;
        add("norm".into(), norm.into());
        add("qkv".into(), (&qkv.linear).into());
        add("products".into(), qkv.products());
        add("attention_biases".into(), offset_bias.into());
        add("offsets".into(), offsets.into());
        add("proj".into(), projection.into());
    }
}

/// Offset of each pair of positions in a window. TinyViT numbers offsets in the order of their
/// first occurrence when all pairs are listed, which is row-major.
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
