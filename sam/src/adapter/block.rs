//! The adapters of one encoder block.

use super::{Adapter, AdapterConfig, Lora, MlpInput, ParallelAdapter, WindowPadding, roles_of};
use crate::backend::{Backend, Output};
use crate::block::{Layer, Roles};
use crate::error::Error;
use crate::fold::Folding;
use crate::layers::{Activation, Linear, Mlp, Projected, Projection};
use crate::weights::Reader;

/// Adapters and LoRA of an encoder block; each may be absent.
#[derive(Clone, Debug, Default)]
pub(crate) struct BlockAdapters {
    space: Option<Adapter>,
    depth: Option<Adapter>,
    mlp: Option<ParallelAdapter>,
    mlp_input: MlpInput,
    pub(crate) lora: Option<Lora>,
    pub(crate) pads_before_norm: bool,
}

impl BlockAdapters {
    /// The adapters of one block of `dim` channels.
    pub(crate) fn read(from: &Reader, dim: usize, config: &AdapterConfig) -> Result<Self, Error> {
        let adapter = |name: &str| Adapter::read(&from.at(name), dim, config.activation);
        Ok(Self {
            space: adapter("space")?,
            depth: adapter("depth")?,
            mlp: ParallelAdapter::read(&from.at("mlp"), dim, config)?,
            mlp_input: config.mlp_input,
            lora: Lora::read(&from.at("lora"), dim, dim, config.lora_alpha)?,
            pads_before_norm: config.window_padding == WindowPadding::BeforeNorm,
        })
    }

    /// Layers fed by the norm before the attention.
    pub(crate) fn at_attention_norm(&mut self) -> impl Iterator<Item = &mut Linear> {
        self.lora.iter_mut().flat_map(Lora::first_mut)
    }

    /// Layers fed by the norm before the MLP.
    pub(crate) fn at_mlp_norm(&mut self) -> impl Iterator<Item = &mut Linear> {
        let is_normed = self.mlp_input == MlpInput::Normed;
        let parallel = self.mlp.iter_mut().filter(move |_| is_normed);
        parallel.map(|parallel| &mut parallel.adapter.down)
    }

    /// Folds serial and parallel adapters into the neighbouring layers, as far as `rule` applies.
    pub(crate) fn fold(&mut self, rule: Folding, mlp: &mut Mlp, projection: &mut Projection) {
        match rule {
            Folding::Mlp if self.mlp_input == MlpInput::Normed => {
                ParallelAdapter::widen(&mut self.mlp, mlp);
            }
            Folding::Bottlenecks => {
                if let Some(space) = &self.space {
                    projection.fold_in(&space.down);
                }
            }
            Folding::Mlp | Folding::Lora | Folding::Norms | Folding::Scales => {}
        }
    }

    /// Activation of the `Space` adapter, if there is one.
    pub(crate) fn space_activation(&self) -> Option<Activation> {
        self.space.as_ref().map(|space| space.activation)
    }

    /// True if the block has no adapter, so that it computes exactly what the base block does.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { space, depth, mlp, lora, .. } = self;
        space.is_none() && depth.is_none() && mlp.is_none() && lora.is_none()
    }

    /// Applies the serial adapters after the attention's output projection: `x + Space(x)`, and for
    /// volumes also `+ Depth(attention over depth)`. `over_depth` computes that attention.
    pub(crate) fn after_attention<B: Backend>(
        &self,
        b: &B,
        attended: Projected<B::Tensor>,
        over_depth: impl FnOnce() -> Result<Option<B::Tensor>, B::Error>,
    ) -> Output<B> {
        let mut sum = match &self.space {
            Some(space) => space.serial(b, attended)?,
            None => attended.x,
        };
        if let Some(depth) = &self.depth
            && let Some(attended) = over_depth()?
        {
            sum = b.add(&sum, &depth.forward(b, &attended)?)?;
        }
        Ok(sum)
    }

    /// Adds the adapter parallel to the MLP: `mlp + scale * Adapter(normed)`, or `Adapter(raw)` for
    /// [`MlpInput::Raw`].
    pub(crate) fn add_parallel_to_mlp<B: Backend>(
        &self,
        b: &B,
        raw: &B::Tensor,
        normed: &B::Tensor,
        mlp: B::Tensor,
    ) -> Output<B> {
        let Some(adapter) = &self.mlp else { return Ok(mlp) };
        let input = match self.mlp_input {
            MlpInput::Normed => normed,
            MlpInput::Raw => raw,
        };
        adapter.add_to(b, &mlp, input)
    }
}

impl Roles for BlockAdapters {
    fn roles<'a>(&'a self, add: &mut dyn FnMut(String, Layer<'a>)) {
        roles_of("space", self.space.as_ref(), add);
        roles_of("depth", self.depth.as_ref(), add);
        roles_of("mlp", self.mlp.as_ref(), add);
        roles_of("lora", self.lora.as_ref(), add);
    }
}

/// SD-Trans's depth branch (Med-SA, section 3.2): attention over the slices, at every position of
/// the maps `[B * D, H, W, C]`, with D slices in each volume. `attend` maps tokens `[N, D, C]` to
/// tokens of the same shape. Returns `None` for single slices, which have no depth to attend over.
pub(crate) fn attend_over_depth<B: Backend>(
    b: &B,
    maps: &B::Tensor,
    slices: usize,
    attend: impl FnOnce(&B::Tensor) -> Output<B>,
) -> Result<Option<B::Tensor>, B::Error> {
    if slices == 1 {
        return Ok(None);
    }
    let shape = b.shape(maps);
    let [maps_count, h, w, c] = shape[..] else { unreachable!("maps have four axes") };
    let (volumes, positions) = (maps_count / slices, h * w);
    let x = b.reshape(maps, &[volumes, slices, positions, c])?;
    let x = b.permute(&x, &[0, 2, 1, 3])?;
    let x = attend(&b.reshape(&x, &[volumes * positions, slices, c])?)?;
    let x = b.reshape(&x, &[volumes, positions, slices, c])?;
    b.reshape(&b.permute(&x, &[0, 2, 1, 3])?, &shape).map(Some)
}
