//! TinyViT's block: attention in windows, a depthwise convolution over the map, an MLP.

mod tokens;
mod window;

use crate::attention::{Products, WindowAttention};
use crate::block::{Block, Map, Maps, Side};
use crate::depthwise::Depthwise;
use crate::limits;
use crate::misfit::{Misfit, check_channels, check_heads, check_len, check_number};
use crate::norm::Norm;
use crate::output::{SharedOutput, Strips};
use crate::packed::Packed;
use crate::pool::Pool;
use crate::scratch::Slices;
use crate::simd::Isa;
use tokens::{TOKENS, TokenScratch, Tokens};
use window::{Window, WindowScratch};

/// A block of TinyViT's attention stages, with its adapters folded in.
///
/// Between its halves it keeps the map after the attention.
pub struct TinyVitBlock {
    isa: Isa,
    window: usize,
    norm: Norm,
    qkv: Packed,
    qkv_of_padding: Vec<f32>,
    attention: WindowAttention,
    projection: Packed,
    space: Option<Packed>,
    local_conv: Depthwise,
    mlp_norm: Norm,
    mlp: [Packed; 2],
}

/// Layers of a [`TinyVitBlock`] of C channels.
pub struct TinyVitLayers<'a> {
    /// Norm before the attention.
    pub norm: Norm,
    /// To query (scaled), key and value of each head, `[heads, 3, C / heads]`.
    pub qkv: Packed,
    /// Output of `qkv` for positions beyond the map, `[3C]`: beta of the norm is its input there.
    pub qkv_of_padding: &'a [f32],
    /// Added to attention scores, `[heads, window^2, window^2]`.
    pub bias: &'a [f32],
    /// Arithmetic of the attention.
    pub products: Products,
    /// Output projection of the attention: to C channels, followed by the bottleneck of `space`.
    pub projection: Packed,
    /// Second layer of a Space adapter, from the bottleneck to C channels. Its first layer is part
    /// of `projection`; GELU between them.
    pub space: Option<Packed>,
    /// Depthwise convolution after the attention.
    pub local_conv: Depthwise,
    /// Norm before the MLP.
    pub mlp_norm: Norm,
    /// Layers of the MLP, GELU between them.
    pub mlp: [Packed; 2],
}

impl TinyVitBlock {
    /// A block with windows of `window^2` positions and this number of heads.
    ///
    /// # Errors
    /// If the layers do not match, or `window` or `heads` is out of its range.
    pub fn new(
        isa: Isa,
        window: usize,
        heads: usize,
        layers: TinyVitLayers,
    ) -> Result<Self, Misfit> {
        let TinyVitLayers { norm, qkv, qkv_of_padding, bias, products, projection, .. } = layers;
        let TinyVitLayers { space, local_conv, mlp_norm, mlp, .. } = layers;
        let channels = norm.channels();
        check_number("window", window, limits::WINDOW)?;
        check_heads(heads, channels)?;
        let tokens = window * window;
        qkv.check("qkv", isa, channels, 3 * channels)?;
        check_len("qkv_of_padding", qkv_of_padding.len(), 3 * channels)?;
        check_len("bias", bias.len(), heads * tokens * tokens)?;
        let bottleneck = space.as_ref().map_or(0, Packed::inputs);
        projection.check("projection", isa, channels, channels + bottleneck)?;
        if let Some(space) = &space {
            space.check("space", isa, bottleneck, channels)?;
        }
        check_channels("local_conv", local_conv.channels(), channels)?;
        check_channels("mlp_norm", mlp_norm.channels(), channels)?;
        let hidden = mlp[0].outputs();
        mlp[0].check("mlp.layer1", isa, channels, hidden)?;
        mlp[1].check("mlp.layer2", isa, hidden, channels)?;
        let attention = WindowAttention::new(tokens, heads, channels / heads, bias, products);
        let qkv_of_padding = qkv_of_padding.to_vec();
        Ok(Self {
            isa,
            window,
            norm,
            qkv,
            qkv_of_padding,
            attention,
            projection,
            space,
            local_conv,
            mlp_norm,
            mlp,
        })
    }
}

impl Block for TinyVitBlock {
    fn channels(&self) -> usize {
        self.norm.channels()
    }

    fn output(&self, input: Map) -> Map {
        input
    }

    fn scratch_bytes(&self) -> usize {
        let window = Slices::bytes(|slices| WindowScratch::new(self, slices));
        window.max(Slices::bytes(|slices| TokenScratch::new(self, slices)))
    }

    fn between_len(&self, input: Map) -> usize {
        input.len()
    }

    fn run(&self, pool: &Pool, map: Map, input: &[f32], output: &mut [f32], between: &mut [f32]) {
        let Maps { input, output, between } = Maps::new(self, map, input, output, between);
        if map.is_empty() {
            return;
        }
        let Map { height, width, channels } = map;
        let across = width.div_ceil(self.window);
        let attended = SharedOutput::new(between);
        pool.run(across * height.div_ceil(self.window), &|part, scratch| {
            let (top, left) = (part / across * self.window, part % across * self.window);
            let until = |start: usize, end: usize| start..(start + self.window).min(end);
            self.isa.run(Window {
                block: self,
                input,
                output: attended,
                width,
                rows: until(top, height),
                columns: until(left, width),
                scratch,
            });
        });
        let attended = &*between;
        let side = Side { height, width };
        let strips = Strips::new(height, width, TOKENS);
        strips.run(pool, output, channels, |strip, output, scratch| {
            self.isa.run(Tokens { block: self, input: attended, side, strip, output, scratch });
        });
    }
}
