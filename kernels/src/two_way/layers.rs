//! The layers of the block, and their checks.

use super::projections::Projections;
use crate::decoder_adapter::{ParallelAdapter, SerialAdapter};
use crate::misfit::{Misfit, check, check_channels, check_lanes};
use crate::norm::Norm;
use crate::packed::Packed;
use crate::simd::Isa;

/// Attention of tokens to each other, attention of tokens to the image, an MLP, and attention of
/// the image to the tokens, with a norm after each.
pub struct TwoWayBlock {
    pub(super) isa: Isa,
    pub(super) heads: usize,
    pub(super) residual: bool,
    pub(super) self_attention: Projections,
    pub(super) token_to_image: Projections,
    pub(super) after_tokens: Option<SerialAdapter>,
    pub(super) mlp: [Packed; 2],
    pub(super) parallel_mlp: Option<ParallelAdapter>,
    pub(super) image_to_token: Projections,
    pub(super) after_image: Option<SerialAdapter>,
    pub(super) norms: [Norm; 4],
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
    pub parallel_mlp: Option<ParallelAdapter>,
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
        let TwoWayLayers { parallel_mlp, image_to_token, after_image, norms, .. } = layers;
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
        if let Some(adapter) = &parallel_mlp {
            adapter.check("parallel_mlp", isa, channels)?;
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
            parallel_mlp,
            image_to_token,
            after_image,
            norms,
        })
    }

    /// Channels of tokens and image.
    pub fn channels(&self) -> usize {
        self.norms[0].channels()
    }
}
