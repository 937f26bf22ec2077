//! Layer normalization.

use ndarray::Array1;

use crate::error::Error;
use crate::layers::Linear;
use crate::weights::{Param, Reader, VisitParams};

/// Normalization over the last axis.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    /// Scale, `[C]`.
    pub gamma: Param,
    /// Shift, `[C]`.
    pub beta: Param,
    /// Epsilon added to the variance.
    pub epsilon: f32,
}

impl LayerNorm {
    /// PyTorch's default epsilon, used by TinyViT and the mask decoder.
    pub(crate) const EPSILON: f32 = 1e-5;
    /// SAM's own epsilon, used in ViT blocks and in all norms over channels of maps.
    pub(crate) const EPSILON_SAM: f32 = 1e-6;

    pub(crate) fn read(from: &Reader, channels: usize, epsilon: f32) -> Result<Self, Error> {
        let gamma = from.param("weight", &[channels])?;
        Ok(Self { gamma, beta: from.param("bias", &[channels])?, epsilon })
    }
}

impl LayerNorm {
    /// Moves gamma and beta into `layers`, which must be everything that this norm feeds. Only the
    /// normalization is left.
    pub(crate) fn move_into<'a>(&mut self, layers: impl Iterator<Item = &'a mut Linear>) {
        let (gamma, beta) = (vector(&self.gamma), self.beta_array());
        for layer in layers {
            *layer = layer.after_affine(&gamma, &beta);
        }
        self.gamma = Param::new(self.gamma.name(), Array1::ones(gamma.len()));
        self.beta = Param::new(self.beta.name(), Array1::zeros(beta.len()));
    }

    pub(crate) fn beta_array(&self) -> Array1<f32> {
        vector(&self.beta)
    }
}

fn vector(param: &Param) -> Array1<f32> {
    param.value().to_owned().into_dimensionality().expect("gamma and beta are vectors")
}

impl VisitParams for LayerNorm {
    fn visit(&mut self, f: &mut dyn FnMut(&mut Param)) {
        f(&mut self.gamma);
        f(&mut self.beta);
    }
}
