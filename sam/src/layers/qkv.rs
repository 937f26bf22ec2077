//! Queries, keys and values of an attention as one product.

use std::sync::Arc;

use crate::adapter::{BlockAdapters, Lora};
use crate::backend::{Backend, Output, Scores};
use crate::block::Layer;
use crate::error::Error;
use crate::fold::Folding;
use crate::layers::{LayerNorm, Linear, Packing, attention_scale, products_name};
use crate::weights::Reader;

/// The projection to queries, keys and values before an encoder block's attention.
#[derive(Clone, Debug)]
pub(crate) struct PackedQkv {
    pub linear: Linear,
    /// Name of the attention's products.
    name: Arc<str>,
    pub heads: usize,
    pub packing: Packing,
    /// Factor of the attention's scores.
    pub scale: f32,
}

impl PackedQkv {
    pub(crate) fn read(
        from: &Reader,
        dim: usize,
        heads: usize,
        packing: Packing,
    ) -> Result<Self, Error> {
        let linear = Linear::read(from, dim, 3 * dim)?;
        let name = products_name(from);
        Ok(Self { linear, name, heads, packing, scale: attention_scale(dim / heads) })
    }

    /// The attention's products, as a [`Layer::Products`].
    pub(crate) fn products(&self) -> Layer<'_> {
        Layer::Products(&self.name)
    }

    /// Projects tokens `[B, N, C]` to `[B, N, 3C]`.
    pub(crate) fn forward<B: Backend>(
        &self,
        b: &B,
        normed: &B::Tensor,
        lora: Option<&Lora>,
    ) -> Output<B> {
        let qkv = b.linear(normed, &self.linear)?;
        match lora {
            Some(lora) => lora.add_to_packed(b, normed, &qkv, self.heads, self.packing),
            None => Ok(qkv),
        }
    }

    /// Settings of the scores, with `bias` added to them.
    pub(crate) fn scores<'a, T>(&'a self, bias: Option<&'a T>) -> Scores<'a, T> {
        Scores { name: &self.name, scale: self.scale, bias }
    }

    /// Attention of tokens to each other, `[B, N, 3C]` -> `[B, N, C]`. `bias` is added to the
    /// scores.
    pub(crate) fn attend<B: Backend>(
        &self,
        b: &B,
        qkv: &B::Tensor,
        bias: Option<&B::Tensor>,
    ) -> Output<B> {
        b.self_attention(qkv, self.heads, self.packing, self.scores(bias))
    }

    /// The projection with LoRA merged into it.
    pub(crate) fn merged(&self, lora: &Lora) -> Linear {
        lora.merged(&self.linear, self.heads, self.packing)
    }

    /// Output channels that are queries.
    pub(crate) fn query_channels(&self) -> impl Iterator<Item = usize> + use<> {
        let d = self.linear.outputs() / (3 * self.heads);
        self.packing.channels(0, self.heads, d)
    }

    /// Folds in the norm before it, LoRA and the scale of the scores, as `rule` says.
    pub(crate) fn fold(
        &mut self,
        rule: Folding,
        norm: &mut LayerNorm,
        adapters: &mut BlockAdapters,
    ) {
        match rule {
            Folding::Lora => {
                if let Some(lora) = adapters.lora.take() {
                    self.linear = self.merged(&lora);
                }
            }
            Folding::Norms => {
                norm.move_into(adapters.at_attention_norm().chain([&mut self.linear]));
            }
            Folding::Scales => {
                self.linear = self.linear.scaled(self.query_channels(), self.scale);
                if let Some(lora) = &mut adapters.lora {
                    lora.scale_queries(self.scale);
                }
                self.scale = 1.0;
            }
            Folding::Mlp | Folding::Bottlenecks => {}
        }
    }
}
