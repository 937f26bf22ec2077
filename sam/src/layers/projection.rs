//! An attention's output projection.

use crate::backend::{Backend, Output};
use crate::block::Layer;
use crate::error::Error;
use crate::layers::Linear;
use crate::weights::{Param, Reader, VisitParams};

/// Projection from attended values to channels. If a serial adapter was folded in, the same product
/// also gives the adapter's bottleneck.
#[derive(Clone, Debug)]
pub(crate) struct Projection {
    linear: Linear,
    outputs: usize,
}

/// Output of a [`Projection`].
pub(crate) struct Projected<T> {
    /// Channels, `[.., C]`.
    pub x: T,
    /// Bottleneck of the serial adapter before its activation, if the adapter was folded in.
    pub reduced: Option<T>,
}

impl Projection {
    pub(crate) fn read(from: &Reader, inputs: usize, outputs: usize) -> Result<Self, Error> {
        Ok(Self { linear: Linear::read(from, inputs, outputs)?, outputs })
    }

    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    pub(crate) fn forward<B: Backend>(
        &self,
        b: &B,
        attended: &B::Tensor,
    ) -> Result<Projected<B::Tensor>, B::Error> {
        let y = b.linear(attended, &self.linear)?;
        let all = self.linear.outputs();
        if all == self.outputs {
            return Ok(Projected { x: y, reduced: None });
        }
        let last = b.shape(&y).len() - 1;
        let part = |start: usize, len: usize| -> Output<B> { b.narrow(&y, last, start, len) };
        let reduced = part(self.outputs, all - self.outputs)?;
        Ok(Projected { x: part(0, self.outputs)?, reduced: Some(reduced) })
    }

    /// Folds in the down-projection of the serial adapter that it feeds.
    pub(crate) fn fold_in(&mut self, down: &Linear) {
        if self.linear.outputs() == self.outputs {
            self.linear = self.linear.stacked(&down.of(&self.linear));
        }
    }
}

impl<'a> From<&'a Projection> for Layer<'a> {
    fn from(projection: &'a Projection) -> Self {
        Self::Linear(&projection.linear)
    }
}

impl VisitParams for Projection {
    fn visit(&mut self, f: &mut dyn FnMut(&mut Param)) {
        self.linear.visit(f);
    }
}
