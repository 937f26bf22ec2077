//! Med-SA's adapters in encoder blocks: small bottlenecks that learn beside frozen weights.
//!
//! Names in an adapter file: `encoder.blocks.<stage>.<i>.{space,mlp}.{down,up}.{weight,bias}`;
//! the stages of a TinyViT count from 1 (0 has no attention), a ViT is all stage 0. A block
//! without tensors has no adapter. (Med-SA, section 3.2.)

use serde::{Deserialize, Serialize};

use crate::backend::{Backend, Output};
use crate::error::Error;
use crate::layers::{Activation, Linear};
use crate::weights::Reader;

/// What the weights of adapters do not tell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterConfig {
    /// Nonlinearity between the two projections.
    pub activation: Activation,
    /// Factor of the adapters that stand parallel to an MLP.
    pub scale: f32,
}

impl Default for AdapterConfig {
    fn default() -> Self {
        Self { activation: Activation::Gelu, scale: 0.5 }
    }
}

/// The adapters of one encoder block.
#[derive(Clone, Debug, Default)]
pub(crate) struct BlockAdapters {
    space: Option<Adapter>,
    mlp: Option<(Adapter, f32)>,
}

impl BlockAdapters {
    /// The adapters of one block of `dim` channels, as far as there are any.
    pub(crate) fn read(from: &Reader, dim: usize, config: &AdapterConfig) -> Result<Self, Error> {
        let adapter = |name: &str| Adapter::read(&from.at(name), dim, config.activation);
        let mlp = adapter("mlp")?.map(|adapter| (adapter, config.scale));
        Ok(Self { space: adapter("space")?, mlp })
    }

    /// After the attention's output projection: `x + Space(x)`.
    pub(crate) fn after_attention<B: Backend>(&self, b: &B, attended: B::Tensor) -> Output<B> {
        match &self.space {
            Some(space) => b.add(&attended, &space.forward(b, &attended)?),
            None => Ok(attended),
        }
    }

    /// Parallel to the MLP: `mlp + scale * Mlp(normed)`.
    pub(crate) fn beside_mlp<B: Backend>(
        &self,
        b: &B,
        normed: &B::Tensor,
        mlp: B::Tensor,
    ) -> Output<B> {
        match &self.mlp {
            Some((adapter, scale)) => {
                b.add(&mlp, &b.affine(&adapter.forward(b, normed)?, *scale, 0.0)?)
            }
            None => Ok(mlp),
        }
    }
}

/// `W_up act(W_down x + b_down) + b_up`.
#[derive(Clone, Debug)]
struct Adapter {
    down: Linear,
    up: Linear,
    activation: Activation,
}

impl Adapter {
    fn read(from: &Reader, dim: usize, activation: Activation) -> Result<Option<Self>, Error> {
        let Some(bottleneck) = from.rows("down.weight") else { return Ok(None) };
        let down = Linear::read(&from.at("down"), dim, bottleneck)?;
        Ok(Some(Self { down, up: Linear::read(&from.at("up"), bottleneck, dim)?, activation }))
    }

    fn forward<B: Backend>(&self, b: &B, x: &B::Tensor) -> Output<B> {
        b.linear(&self.activation.forward(b, &b.linear(x, &self.down)?)?, &self.up)
    }
}
