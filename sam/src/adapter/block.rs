//! The adapters of one encoder block.

use super::{Adapter, AdapterConfig, Lora, MlpInput, ParallelAdapter, WindowPadding, roles_of};
use crate::backend::{Backend, Output};
use crate::block::{Layer, Roles};
use crate::error::Error;
use crate::fold::Folding;
use crate::layers::{Activation, Linear, Mlp, Projected, Projection};
use crate::weights::Reader;

/// Adapters and LoRA of an encoder block, as far as there are any.
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

    /// Layers that the output of the norm before the attention meets.
    pub(crate) fn at_attention_norm(&mut self) -> impl Iterator<Item = &mut Linear> {
        self.lora.iter_mut().flat_map(Lora::first_mut)
    }

    /// Layers that the output of the norm before the MLP meets.
    pub(crate) fn at_mlp_norm(&mut self) -> impl Iterator<Item = &mut Linear> {
        let is_normed = self.mlp_input == MlpInput::Normed;
        let beside = self.mlp.iter_mut().filter(move |_| is_normed);
        beside.map(|beside| &mut beside.adapter.down)
    }

    /// Folds the adapters that can be into the layers beside and before them.
    pub(crate) fn fold(&mut self, rule: Folding, mlp: &mut Mlp, projection: &mut Projection) {
        match rule {
            Folding::Mlp if self.mlp_input == MlpInput::Normed => {
                ParallelAdapter::widen(&mut self.mlp, mlp);
            }
            Folding::Bottlenecks => {
                if let Some(space) = &self.space {
                    projection.take_up(&space.down);
                }
            }
            Folding::Mlp | Folding::Lora | Folding::Norms | Folding::Scales => {}
        }
    }

    /// Activation of the `Space` adapter, if there is one.
    pub(crate) fn space_activation(&self) -> Option<Activation> {
        self.space.as_ref().map(|space| space.activation)
    }

    /// Whether the block computes as the base does.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { space, depth, mlp, lora, .. } = self;
        space.is_none() && depth.is_none() && mlp.is_none() && lora.is_none()
    }

    /// After the attention's output projection: `x + Space(x)`, and for volumes
    /// `+ Depth(attention over depth)`; `over_depth` computes that attention.
    pub(crate) fn after_attention<B: Backend>(
        &self,
        b: &B,
        attended: Projected<B::Tensor>,
        over_depth: impl FnOnce() -> Result<Option<B::Tensor>, B::Error>,
    ) -> Output<B> {
        let mut sum = match &self.space {
            Some(space) => space.behind(b, attended)?,
            None => attended.x,
        };
        if let Some(depth) = &self.depth
            && let Some(attended) = over_depth()?
        {
            sum = b.add(&sum, &depth.forward(b, &attended)?)?;
        }
        Ok(sum)
    }

    /// Parallel to the MLP: `mlp + scale * Mlp(normed)`, or of `raw`.
    pub(crate) fn beside_mlp<B: Backend>(
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

/// SD-Trans's depth branch (section 3.2): maps `[B * D, H, W, C]` of D slices each, attended to
/// over the slices at every position; `None` for single slices, where there is nothing to attend
/// to. `attend` maps tokens `[N, D, C]` to tokens.
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
