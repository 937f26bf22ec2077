//! Adapters of the mask decoder.

use crate::misfit::{Misfit, check_channels, check_lanes};
use crate::norm::Norm;
use crate::packed::Packed;
use crate::pool::Pool;
use crate::rows::{linear, norm_rows};
use crate::simd::{Isa, LANES, Simd, Task, gelu};

/// A nonlinearity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// GELU, exact to 1e-6.
    Gelu,
    /// `max(x, 0)`.
    Relu,
}

/// An adapter after the output projection of an attention. The projection contains its first
/// layer: the outputs after the channels are the bottleneck.
pub struct SerialAdapter {
    /// Computation in the bottleneck.
    pub bottleneck: Bottleneck,
    /// From the bottleneck to channels.
    pub up: Packed,
}

/// Computation of a serial adapter in its bottleneck.
pub enum Bottleneck {
    /// A nonlinearity.
    Activation(Activation),
    /// HyP-Adpt: products with matrices that the prompt generates (Med-SA, section 3.3).
    Hyper(HyperMaps),
}

/// The matrices of HyP-Adpt: `e <- ReLU(norm(e W))` for each. `W` is a linear function of the mean
/// over prompt tokens of `ReLU(reduce token)`.
pub struct HyperMaps {
    /// From prompt tokens.
    pub reduce: Packed,
    /// To `W`, `[L, L]` for a bottleneck of L channels, and the norm after the product.
    pub maps: Vec<(Packed, Norm)>,
}

/// An adapter parallel to an MLP.
pub struct ParallelAdapter {
    /// To the bottleneck.
    pub down: Packed,
    /// Between the layers.
    pub activation: Activation,
    /// To channels.
    pub up: Packed,
}

/// The prompt, as HyP-Adpt reads it.
#[derive(Clone, Copy)]
pub struct Prompt<'a> {
    /// `[P, C]`.
    pub tokens: &'a [f32],
    /// True for tokens that stand for a place, `[P]`; false for empty slots.
    pub is_place: &'a [bool],
}

/// Memory of adapters; it grows in the first run.
#[derive(Default)]
pub(crate) struct AdapterMemory {
    /// Values in the bottleneck.
    reduced: Vec<f32>,
    next: Vec<f32>,
    /// A matrix of HyP-Adpt.
    weights: Vec<f32>,
    /// Mean over prompt tokens.
    mean: Vec<f32>,
}

impl Activation {
    #[inline(always)]
    pub(crate) fn apply<S: Simd>(self, s: S, x: S::F) -> S::F {
        match self {
            Self::Gelu => gelu(s, x),
            Self::Relu => s.max(x, s.splat(0.0)),
        }
    }
}

impl SerialAdapter {
    /// True for HyP-Adpt.
    pub fn is_hyper(&self) -> bool {
        matches!(self.bottleneck, Bottleneck::Hyper(_))
    }

    /// Checks the layers of the adapter in the field `field` of a block.
    pub(crate) fn check(&self, field: &str, isa: Isa, channels: usize) -> Result<(), Misfit> {
        let length = self.up.inputs();
        let up = format!("{field}.up");
        self.up.check(&up, isa, length, channels)?;
        check_lanes(&up, "inputs", length)?;
        let Bottleneck::Hyper(HyperMaps { reduce, maps }) = &self.bottleneck else { return Ok(()) };
        let name = format!("{field}.bottleneck.reduce");
        reduce.check(&name, isa, channels, reduce.outputs())?;
        check_lanes(&name, "outputs", reduce.outputs())?;
        for (i, (layer, norm)) in maps.iter().enumerate() {
            let name = format!("{field}.bottleneck.maps[{i}]");
            layer.check(&format!("{name}.layer"), isa, reduce.outputs(), length * length)?;
            check_channels(&format!("{name}.norm"), norm.channels(), length)?;
        }
        Ok(())
    }

    /// Layers that [`SerialAdapter::forward`] computes.
    pub(crate) fn layers(&self) -> impl Iterator<Item = &Packed> {
        let hyper = match &self.bottleneck {
            Bottleneck::Hyper(maps) => Some(maps),
            Bottleneck::Activation(_) => None,
        };
        let maps = hyper.into_iter().flat_map(|HyperMaps { reduce, maps }| {
            maps.iter().map(|(layer, _)| layer).chain([reduce])
        });
        maps.chain([&self.up])
    }

    /// Removes the bottleneck from `rows` `[N, C + L]` and adds the adapter's output to the
    /// remaining `[N, C]`.
    pub(crate) fn forward(
        &self,
        pool: &Pool,
        isa: Isa,
        prompt: Prompt,
        rows: &mut Vec<f32>,
        memory: &mut AdapterMemory,
    ) {
        let AdapterMemory { reduced, next, weights, mean } = memory;
        let (channels, length) = (self.up.outputs(), self.up.inputs());
        let count = rows.len() / (channels + length);
        reduced.clear();
        for row in rows.chunks_exact(channels + length) {
            reduced.extend_from_slice(&row[channels..]);
        }
        for row in 1..count {
            let start = row * (channels + length);
            rows.copy_within(start..start + channels, row * channels);
        }
        rows.truncate(count * channels);
        match &self.bottleneck {
            Bottleneck::Activation(activation) => activate(isa, *activation, reduced),
            Bottleneck::Hyper(HyperMaps { reduce, maps }) => {
                linear(pool, isa, reduce, (prompt.tokens, None), next);
                prompt_mean(next, prompt.is_place, reduce.outputs(), mean);
                for (map, norm) in maps {
                    linear(pool, isa, map, (mean, None), weights);
                    next.clear();
                    next.resize(reduced.len(), 0.0);
                    for (x, y) in reduced.chunks_exact(length).zip(next.chunks_exact_mut(length)) {
                        for (x, weights) in x.iter().zip(weights.chunks_exact(length)) {
                            y.iter_mut().zip(weights).for_each(|(y, weight)| *y += x * weight);
                        }
                    }
                    reduced.copy_from_slice(next);
                    norm_rows(isa, norm, reduced, None);
                    activate(isa, Activation::Relu, reduced);
                }
            }
        }
        linear(pool, isa, &self.up, (reduced, None), next);
        rows.iter_mut().zip(next).for_each(|(x, y)| *x += *y);
    }
}

impl ParallelAdapter {
    /// Checks the layers of the adapter in the field `field` of a block.
    pub(crate) fn check(&self, field: &str, isa: Isa, channels: usize) -> Result<(), Misfit> {
        let Self { down, up, .. } = self;
        let name = format!("{field}.down");
        down.check(&name, isa, channels, down.outputs())?;
        check_lanes(&name, "outputs", down.outputs())?;
        up.check(&format!("{field}.up"), isa, down.outputs(), channels)
    }

    /// Adds the adapter's output for `rows` to `output`, `[N, C]` both.
    pub(crate) fn forward(
        &self,
        pool: &Pool,
        isa: Isa,
        rows: &[f32],
        output: &mut [f32],
        memory: &mut AdapterMemory,
    ) {
        let Self { down, activation, up } = self;
        let AdapterMemory { reduced, next, .. } = memory;
        linear(pool, isa, down, (rows, None), reduced);
        activate(isa, *activation, reduced);
        linear(pool, isa, up, (reduced, None), next);
        output.iter_mut().zip(next).for_each(|(x, y)| *x += *y);
    }
}

/// The mean of `ReLU(rows)` over those that stand for a place; over all if none does.
fn prompt_mean(rows: &[f32], is_place: &[bool], channels: usize, mean: &mut Vec<f32>) {
    let all = !is_place.contains(&true);
    let chosen = || rows.chunks_exact(channels).zip(is_place).filter(|(_, place)| all || **place);
    mean.clear();
    mean.resize(channels, 0.0);
    let weight = 1.0 / chosen().count().max(1) as f32;
    for (row, _) in chosen() {
        mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += weight * x.max(0.0));
    }
}

/// Applies a nonlinearity to values in whole [`LANES`].
fn activate(isa: Isa, activation: Activation, values: &mut [f32]) {
    assert!(values.len().is_multiple_of(LANES), "{} values", values.len());
    isa.run(Activate { activation, values });
}

struct Activate<'a> {
    activation: Activation,
    values: &'a mut [f32],
}

impl Task for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for x in self.values.as_chunks_mut().0 {
            let y = self.activation.apply(s, s.load(x));
            s.store(x, y);
        }
    }
}
