//! Med-SA's adapters: small trained bottlenecks, serial or parallel to frozen layers (Med-SA,
//! section 3).
//!
//! Tensor names in an adapter file. A layer without tensors has no adapter.
//! - `encoder.blocks.<stage>.<i>.{space,mlp,depth}.{down,up}.{weight,bias}`. The stages of a
//!   TinyViT count from 1, since stage 0 has no attention; all blocks of a ViT are stage 0.
//! - `encoder.blocks.<stage>.<i>.lora.{q,v}.{a,b}`.
//! - `decoder.layers.<i>.{prompt_to_image,mlp,image_to_prompt}.{down,up}.{weight,bias}`.
//! - `decoder.layers.<i>.prompt_to_image.hyp.{reduce,maps.<k>,norms.<k>}.{weight,bias}`.
//! - `decoder.layers.<i>.lora.{self,prompt_to_image,image_to_prompt}.{q,v}.{a,b}`.
//! - `prompt_encoder...` and `mask_decoder...`: trained weights of the base network itself, in the
//!   layout that this crate computes with.

mod block;
mod decoder;
mod hyper;
mod lora;
mod plan;

use serde::{Deserialize, Serialize};

pub(crate) use self::block::{BlockAdapters, attend_over_depth};
pub(crate) use self::decoder::{AttentionLora, DecoderAdapters};
pub(crate) use self::hyper::PromptSummary;
pub(crate) use self::lora::Lora;
pub use self::plan::{AdapterPlan, DecoderPlan, Init, NewTensor};
use crate::backend::{Backend, Output};
use crate::block::{Layer, Roles};
use crate::error::Error;
use crate::layers::{Activation, Linear, Mlp, Projected};
use crate::weights::Reader;

/// Settings of the adapters that cannot be derived from their weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdapterConfig {
    /// Activation between the two projections.
    pub activation: Activation,
    /// Factor applied to the output of adapters parallel to an MLP.
    pub scale: f32,
    /// Input of the adapters parallel to the encoder's MLPs.
    pub mlp_input: MlpInput,
    /// Padding of SAM ViT windows that extend beyond the map's edge.
    pub window_padding: WindowPadding,
    /// LoRA's alpha: the update is scaled by alpha / rank.
    pub lora_alpha: f32,
}

impl Default for AdapterConfig {
    fn default() -> Self {
        Self {
            activation: Activation::Gelu,
            scale: 0.5,
            mlp_input: MlpInput::Normed,
            window_padding: WindowPadding::AfterNorm,
            lora_alpha: 4.0,
        }
    }
}

/// Input of an adapter parallel to an encoder block's MLP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MlpInput {
    /// The normalized tokens, as for the MLP itself, so that the adapter folds into the MLP (the
    /// paper, and SAM ViT).
    #[default]
    Normed,
    /// The tokens before the norm (TinyViT in the released code).
    Raw,
}

/// Padding of SAM ViT windows that extend beyond the map's edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WindowPadding {
    /// Zeros after the norm (SAM).
    AfterNorm,
    /// Zeros before the norm, which turns them into its beta (the released Med-SA code).
    BeforeNorm,
}

/// A bottleneck: `W_up act(W_down x + b_down) + b_up`.
#[derive(Clone, Debug)]
pub(crate) struct Adapter {
    down: Linear,
    up: Linear,
    activation: Activation,
}

impl Adapter {
    pub(crate) fn read(
        from: &Reader,
        dim: usize,
        activation: Activation,
    ) -> Result<Option<Self>, Error> {
        let Some(bottleneck) = from.rows("down.weight") else { return Ok(None) };
        let down = Linear::read(&from.at("down"), dim, bottleneck)?;
        Ok(Some(Self { down, up: Linear::read(&from.at("up"), bottleneck, dim)?, activation }))
    }

    pub(crate) fn forward<B: Backend>(&self, b: &B, x: &B::Tensor) -> Output<B> {
        let reduced = b.linear(x, &self.down)?;
        b.linear(&self.activation.forward(b, &reduced)?, &self.up)
    }

    /// Applies the adapter in series with a projection: the projection's output `x` plus the
    /// adapter's output for `x`.
    fn serial<B: Backend>(&self, b: &B, projected: Projected<B::Tensor>) -> Output<B> {
        self.serial_with(b, projected, |x| self.activation.forward(b, x))
    }

    /// Applies the adapter in series, with `bottleneck` in place of the activation.
    fn serial_with<B: Backend>(
        &self,
        b: &B,
        projected: Projected<B::Tensor>,
        bottleneck: impl FnOnce(&B::Tensor) -> Output<B>,
    ) -> Output<B> {
        let Projected { x, reduced } = projected;
        let reduced = match reduced {
            Some(reduced) => reduced,
            None => b.linear(&x, &self.down)?,
        };
        b.add(&x, &b.linear(&bottleneck(&reduced)?, &self.up)?)
    }

    /// Length of the bottleneck.
    fn bottleneck(&self) -> usize {
        self.down.outputs()
    }
}

impl Roles for Adapter {
    fn roles<'a>(&'a self, add: &mut dyn FnMut(String, Layer<'a>)) {
        add("down".into(), (&self.down).into());
        add("up".into(), (&self.up).into());
    }
}

impl Roles for ParallelAdapter {
    fn roles<'a>(&'a self, add: &mut dyn FnMut(String, Layer<'a>)) {
        self.adapter.roles(add);
    }
}

/// Adds the layers of an adapter that may be absent.
fn roles_of<'a>(role: &str, part: Option<&'a impl Roles>, add: &mut dyn FnMut(String, Layer<'a>)) {
    if let Some(part) = part {
        part.roles(&mut |inner, layer| add(format!("{role}.{inner}"), layer));
    }
}

/// An adapter parallel to an MLP: `mlp + scale * adapter`.
#[derive(Clone, Debug)]
pub(crate) struct ParallelAdapter {
    adapter: Adapter,
    scale: f32,
}

impl ParallelAdapter {
    fn read(from: &Reader, dim: usize, config: &AdapterConfig) -> Result<Option<Self>, Error> {
        let adapter = Adapter::read(from, dim, config.activation)?;
        Ok(adapter.map(|adapter| Self { adapter, scale: config.scale }))
    }

    /// Adds the adapter's scaled output to `mlp`, the MLP's output.
    fn add_to<B: Backend>(&self, b: &B, mlp: &B::Tensor, x: &B::Tensor) -> Output<B> {
        b.add(mlp, &b.affine(&self.adapter.forward(b, x)?, self.scale, 0.0)?)
    }

    /// Folds the adapter into `mlp`, which has the same input, if their activations are equal.
    fn widen(this: &mut Option<Self>, mlp: &mut Mlp) {
        if let Some(Self { adapter, scale }) =
            this.take_if(|parallel| mlp.can_widen(parallel.adapter.activation))
        {
            mlp.widen(&adapter.down, &adapter.up, scale);
        }
        // An adapter that was not folded takes its scale into its weights.
        if let Some(Self { adapter, scale }) = this {
            adapter.up = adapter.up.scaled(0..adapter.up.outputs(), *scale);
            *scale = 1.0;
        }
    }
}
