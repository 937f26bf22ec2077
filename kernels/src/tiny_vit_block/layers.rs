//! The layers of the block, and their checks.

use crate::attention::{Products, WindowAttention};
use crate::depthwise::Depthwise;
use crate::limits;
use crate::misfit::{Misfit, check_channels, check_heads, check_len, check_number};
use crate::norm::Norm;
use crate::packed::Packed;
use crate::simd::Isa;

/// A block of TinyViT's attention stages, with its adapters folded in.
///
/// Between its halves it keeps the map after the attention.
pub struct TinyVitBlock {
    pub(super) isa: Isa,
    pub(super) window: usize,
    pub(super) norm: Norm,
    pub(super) qkv: Packed,
    pub(super) qkv_of_padding: Vec<f32>,
    pub(super) attention: WindowAttention,
    pub(super) projection: Packed,
    pub(super) space: Option<Packed>,
    pub(super) local_conv: Depthwise,
    pub(super) mlp_norm: Norm,
    pub(super) mlp: [Packed; 2],
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
