//! Layer normalization.

use ndarray::{Array1, Ix1};

use crate::error::Error;
use crate::weights::{Param, Reader, VisitParams};

/// Normalization over the last axis.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    /// `[C]`.
    pub gamma: Param,
    /// `[C]`.
    pub beta: Param,
    /// Added to the variance.
    pub epsilon: f32,
}

impl LayerNorm {
    /// PyTorch's default epsilon: TinyViT and the mask decoder.
    pub(crate) const EPSILON: f32 = 1e-5;
    /// SAM's own, in ViT blocks and in all norms over channels of maps.
    pub(crate) const EPSILON_SAM: f32 = 1e-6;

    pub(crate) fn read(from: &Reader, channels: usize, epsilon: f32) -> Result<Self, Error> {
        let gamma = from.param("weight", &[channels])?;
        Ok(Self { gamma, beta: from.param("bias", &[channels])?, epsilon })
    }
}

impl LayerNorm {
    /// Takes gamma and beta out, so that only the normalization is left.
    pub(crate) fn take_affine(&mut self) -> (Array1<f32>, Array1<f32>) {
        let take = |param: &mut Param, value: f32| {
            let taken = param.value().to_owned().into_dimensionality::<Ix1>();
            let taken = taken.expect("gamma and beta are vectors");
            *param = Param::new(param.name(), Array1::from_elem(taken.len(), value));
            taken
        };
        (take(&mut self.gamma, 1.0), take(&mut self.beta, 0.0))
    }
}

impl VisitParams for LayerNorm {
    fn visit(&mut self, f: &mut dyn FnMut(&mut Param)) {
        f(&mut self.gamma);
        f(&mut self.beta);
    }
}
