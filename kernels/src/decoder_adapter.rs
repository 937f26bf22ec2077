//! Adapters of the mask decoder.

use crate::norm::Norm;
use crate::packed::Packed;
use crate::pool::Pool;
use crate::rows::{linear, norms};
use crate::simd::{Isa, LANES, Simd, Task, gelu};

/// A nonlinearity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// The exact form.
    Gelu,
    /// `max(x, 0)`.
    Relu,
}

/// An adapter behind a projection, which gives its bottleneck beside the channels.
pub struct Behind {
    /// What becomes of the bottleneck.
    pub between: Between,
    /// From the bottleneck to channels.
    pub up: Packed,
}

/// What an adapter computes between its projections.
pub enum Between {
    /// A nonlinearity.
    Activation(Activation),
    /// HyP-Adpt: products with matrices that the prompt generates (Med-SA, section 3.3).
    Hyper(HyperMaps),
}

/// The matrices of HyP-Adpt: `e <- ReLU(norm(e W))` for each, `W` made of the mean over
/// prompt tokens of `ReLU(reduce token)`.
pub struct HyperMaps {
    /// From prompt tokens.
    pub reduce: Packed,
    /// To `[L, L]`, and the norm after it.
    pub maps: Vec<(Packed, Norm)>,
}

/// An adapter beside an MLP.
pub struct Beside {
    /// To the bottleneck.
    pub down: Packed,
    /// Between the projections.
    pub activation: Activation,
    /// To channels.
    pub up: Packed,
}

impl Behind {
    /// Whether it is HyP-Adpt.
    pub fn is_hyper(&self) -> bool {
        matches!(self.between, Between::Hyper(_))
    }

    /// Whether it fits a projection to `channels`.
    pub(crate) fn fits(&self, out: &Packed, channels: usize) -> bool {
        let bottleneck = self.up.inputs();
        let between = match &self.between {
            Between::Activation(_) => true,
            Between::Hyper(HyperMaps { reduce, maps }) => {
                reduce.inputs() == channels
                    && reduce.outputs().is_multiple_of(LANES)
                    && maps.iter().all(|(map, norm)| {
                        map.inputs() == reduce.outputs()
                            && map.outputs() == bottleneck * bottleneck
                            && norm.channels() == bottleneck
                    })
            }
        };
        between
            && bottleneck.is_multiple_of(LANES)
            && self.up.outputs() == channels
            && out.outputs() == channels + bottleneck
    }
}

/// What HyP-Adpt is told about the prompt.
#[derive(Clone, Copy)]
pub struct Prompt<'a> {
    /// `[P, C]`.
    pub tokens: &'a [f32],
    /// For each, whether it stands for a place; empty slots do not.
    pub is_place: &'a [bool],
}

impl Activation {
    #[inline(always)]
    pub(crate) fn of<S: Simd>(self, s: S, x: S::F) -> S::F {
        match self {
            Self::Gelu => gelu(s, x),
            Self::Relu => s.max(x, s.splat(0.0)),
        }
    }
}

impl Behind {
    /// Adds its answer to the channels of `rows` `[N, C + L]`, which become `[N, C]`.
    pub(crate) fn forward(
        &self,
        pool: &Pool,
        isa: Isa,
        prompt: Prompt,
        rows: &mut Vec<f32>,
        [reduced, next, weights, mean]: &mut [Vec<f32>; 4],
    ) {
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
        match &self.between {
            Between::Activation(activation) => activate(isa, *activation, reduced),
            Between::Hyper(HyperMaps { reduce, maps }) => {
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
                    norms(isa, norm, next, None, reduced);
                    activate(isa, Activation::Relu, reduced);
                }
            }
        }
        linear(pool, isa, &self.up, (reduced, None), next);
        rows.iter_mut().zip(next).for_each(|(x, y)| *x += *y);
    }
}

/// The mean of `ReLU(rows)` over those that stand for a place, over all if none does.
fn prompt_mean(rows: &[f32], is_place: &[bool], channels: usize, mean: &mut Vec<f32>) {
    let all = !is_place.contains(&true);
    let chosen = || rows.chunks_exact(channels).zip(is_place).filter(|(_, place)| all || **place);
    mean.clear();
    mean.resize(channels, 0.0);
    let share = 1.0 / chosen().count().max(1) as f32;
    for (row, _) in chosen() {
        mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += share * x.max(0.0));
    }
}

/// A nonlinearity of values, in whole [`LANES`].
pub(crate) fn activate(isa: Isa, activation: Activation, values: &mut [f32]) {
    assert!(values.len().is_multiple_of(LANES));
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
        for x in self.values.chunks_exact_mut(LANES) {
            // SAFETY: chunks are that long.
            unsafe { s.store(x.as_mut_ptr(), self.activation.of(s, s.load(x.as_ptr()))) };
        }
    }
}
