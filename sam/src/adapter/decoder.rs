//! The three adapters of a two-way block, and LoRA in its attentions.

use super::hyper::{HyperMaps, PromptSummary};
use super::{Adapter, AdapterConfig, Lora, ParallelAdapter, roles_of};
use crate::backend::{Backend, Output};
use crate::block::{Bottleneck, Layer, Roles};
use crate::error::Error;
use crate::fold::Folding;
use crate::layers::{Activation, Mlp, Projected, Projection};
use crate::weights::Reader;

/// Adapters and LoRA of a two-way block; each may be absent.
#[derive(Clone, Debug, Default)]
pub(crate) struct DecoderAdapters {
    prompt_to_image: Option<PromptedAdapter>,
    mlp: Option<ParallelAdapter>,
    image_to_prompt: Option<Adapter>,
    pub(crate) lora: AttentionLora,
}

/// LoRA of a two-way block's attentions.
#[derive(Clone, Debug, Default)]
pub(crate) struct AttentionLora {
    pub self_attention: Option<Lora>,
    pub prompt_to_image: Option<Lora>,
    pub image_to_prompt: Option<Lora>,
}

impl DecoderAdapters {
    pub(crate) fn read(from: &Reader, dim: usize, config: &AdapterConfig) -> Result<Self, Error> {
        let lora = |name: &str, inner: usize| {
            Lora::read(&from.at("lora").at(name), dim, inner, config.lora_alpha)
        };
        let prompted = from.at("prompt_to_image");
        Ok(Self {
            prompt_to_image: PromptedAdapter::read(&prompted, dim, config.activation)?,
            mlp: ParallelAdapter::read(&from.at("mlp"), dim, config)?,
            image_to_prompt: Adapter::read(&from.at("image_to_prompt"), dim, config.activation)?,
            lora: AttentionLora {
                self_attention: lora("self", dim)?,
                prompt_to_image: lora("prompt_to_image", dim / 2)?,
                image_to_prompt: lora("image_to_prompt", dim / 2)?,
            },
        })
    }

    /// Applies the serial adapter, with its skip connection, after the attention of the tokens to
    /// the image, `[B, N, C]`.
    pub(crate) fn after_prompt_to_image<B: Backend>(
        &self,
        b: &B,
        attended: Projected<B::Tensor>,
        prompt: &PromptSummary<B::Tensor>,
    ) -> Output<B> {
        match &self.prompt_to_image {
            Some(adapter) => adapter.serial(b, attended, prompt),
            None => Ok(attended.x),
        }
    }

    /// Adds the adapter parallel to the MLP: `mlp + scale * Adapter(tokens)`.
    pub(crate) fn add_parallel_to_mlp<B: Backend>(
        &self,
        b: &B,
        tokens: &B::Tensor,
        mlp: B::Tensor,
    ) -> Output<B> {
        match &self.mlp {
            Some(adapter) => adapter.add_to(b, &mlp, tokens),
            None => Ok(mlp),
        }
    }

    /// Applies the serial adapter, with its skip connection, after the attention of the image to
    /// the tokens, `[B, h * w, C]`.
    pub(crate) fn after_image_to_prompt<B: Backend>(
        &self,
        b: &B,
        attended: Projected<B::Tensor>,
    ) -> Output<B> {
        match &self.image_to_prompt {
            Some(adapter) => adapter.serial(b, attended),
            None => Ok(attended.x),
        }
    }

    /// Folds serial and parallel adapters into the neighbouring layers, as far as `rule` applies.
    pub(crate) fn fold(
        &mut self,
        rule: Folding,
        mlp: &mut Mlp,
        prompt_to_image: &mut Projection,
        image_to_prompt: &mut Projection,
    ) {
        match rule {
            Folding::Mlp => ParallelAdapter::widen(&mut self.mlp, mlp),
            Folding::Bottlenecks => {
                if let Some(prompted) = &self.prompt_to_image {
                    prompt_to_image.fold_in(&prompted.adapter.down);
                }
                if let Some(adapter) = &self.image_to_prompt {
                    image_to_prompt.fold_in(&adapter.down);
                }
            }
            Folding::Lora | Folding::Norms | Folding::Scales => {}
        }
    }
}

impl DecoderAdapters {
    /// Bottleneck of the adapter after the attention of the tokens to the image.
    pub(crate) fn after_tokens(&self) -> Option<Bottleneck> {
        self.prompt_to_image.as_ref().map(|prompted| match &prompted.maps {
            Some(maps) => Bottleneck::Hyper { maps: maps.count() },
            None => Bottleneck::Activation(prompted.adapter.activation),
        })
    }

    /// Activation of the adapter parallel to the MLP.
    pub(crate) fn mlp_activation(&self) -> Option<Activation> {
        self.mlp.as_ref().map(|mlp| mlp.adapter.activation)
    }

    /// Activation of the adapter after the attention of the image to the tokens.
    pub(crate) fn after_image(&self) -> Option<Activation> {
        self.image_to_prompt.as_ref().map(|adapter| adapter.activation)
    }
}

impl Roles for DecoderAdapters {
    fn roles<'a>(&'a self, add: &mut dyn FnMut(String, Layer<'a>)) {
        let Self { prompt_to_image, mlp, image_to_prompt, lora } = self;
        roles_of("prompt_to_image", prompt_to_image.as_ref(), add);
        roles_of("mlp", mlp.as_ref(), add);
        roles_of("image_to_prompt", image_to_prompt.as_ref(), add);
        let AttentionLora { self_attention, prompt_to_image, image_to_prompt } = lora;
        roles_of("lora.self", self_attention.as_ref(), add);
        roles_of("lora.prompt_to_image", prompt_to_image.as_ref(), add);
        roles_of("lora.image_to_prompt", image_to_prompt.as_ref(), add);
    }
}

impl Roles for PromptedAdapter {
    fn roles<'a>(&'a self, add: &mut dyn FnMut(String, Layer<'a>)) {
        self.adapter.roles(add);
        roles_of("hyp", self.maps.as_ref(), add);
    }
}

/// A serial adapter whose bottleneck is either an activation or HyP-Adpt's generated maps.
#[derive(Clone, Debug)]
struct PromptedAdapter {
    adapter: Adapter,
    /// Maps that the prompt generates, used in place of the activation.
    maps: Option<HyperMaps>,
}

impl PromptedAdapter {
    fn read(from: &Reader, dim: usize, activation: Activation) -> Result<Option<Self>, Error> {
        let Some(adapter) = Adapter::read(from, dim, activation)? else { return Ok(None) };
        let maps = HyperMaps::read(&from.at("hyp"), dim, adapter.bottleneck())?;
        Ok(Some(Self { adapter, maps }))
    }

    fn serial<B: Backend>(
        &self,
        b: &B,
        attended: Projected<B::Tensor>,
        prompt: &PromptSummary<B::Tensor>,
    ) -> Output<B> {
        match &self.maps {
            Some(maps) => self.adapter.serial_with(b, attended, |x| maps.forward(b, x, prompt)),
            None => self.adapter.serial(b, attended),
        }
    }
}
