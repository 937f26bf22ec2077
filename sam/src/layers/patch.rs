//! Convolutions whose kernel equals their stride, as linear layers. What remains is rearranging
//! pixels.

use ndarray::{Array1, Array2};

use crate::backend::{Backend, Output};
use crate::block::Layer;
use crate::error::Error;
use crate::layers::Linear;
use crate::weights::{Param, Reader, VisitParams};

/// Patches of an image: `[B, C, H, W]` -> `[B, H/p, W/p, C * p * p]`.
pub(crate) fn pixel_patches<B: Backend>(b: &B, image: &B::Tensor, p: usize) -> Output<B> {
    let [batch, c, h, w] = b.shape(image)[..] else { unreachable!("images have four axes") };
    let x = b.reshape(image, &[batch, c, h / p, p, w / p, p])?;
    let x = b.permute(&x, &[0, 2, 4, 1, 3, 5])?;
    b.reshape(&x, &[batch, h / p, w / p, c * p * p])
}

/// Patches of a map: `[B, H, W, C]` -> `[B, H/p, W/p, C * p * p]`.
pub(crate) fn depth_patches<B: Backend>(b: &B, map: &B::Tensor, p: usize) -> Output<B> {
    let [batch, h, w, c] = b.shape(map)[..] else { unreachable!("maps have four axes") };
    let x = b.reshape(map, &[batch, h / p, p, w / p, p, c])?;
    let x = b.permute(&x, &[0, 1, 3, 5, 2, 4])?;
    b.reshape(&x, &[batch, h / p, w / p, c * p * p])
}

/// Transposed convolution, kernel and stride 2: `[B, H, W, in]` -> `[B, 2H, 2W, out]`.
#[derive(Clone, Debug)]
pub(crate) struct Upscale2x {
    /// Linear layer with outputs in the order `[2, 2, out]`, so that pixels are moved as whole rows
    /// of channels.
    linear: Linear,
}

impl Upscale2x {
    pub(crate) fn read(from: &Reader, inputs: usize, outputs: usize) -> Result<Self, Error> {
        let kernel = from.array("weight", &[inputs, outputs, 2, 2])?;
        let bias = from.array("bias", &[outputs])?;
        let part = |row: usize| (row / (2 * outputs), row / outputs % 2, row % outputs);
        let weight = Array2::from_shape_fn((4 * outputs, inputs), |(row, input)| {
            let (y, x, output) = part(row);
            kernel[[input, output, y, x]]
        });
        let bias = Array1::from_shape_fn(4 * outputs, |row| bias[[part(row).2]]);
        Ok(Self { linear: Linear::map(&from.name(""), weight, bias) })
    }

    pub(crate) fn forward<B: Backend>(&self, b: &B, x: &B::Tensor) -> Output<B> {
        let [batch, h, w, _] = b.shape(x)[..] else { unreachable!("maps have four axes") };
        let outputs = self.linear.outputs() / 4;
        let x = b.reshape(&b.linear(x, &self.linear)?, &[batch, h, w, 2, 2, outputs])?;
        let x = b.permute(&x, &[0, 1, 3, 2, 4, 5])?;
        b.reshape(&x, &[batch, 2 * h, 2 * w, outputs])
    }
}

impl<'a> From<&'a Upscale2x> for Layer<'a> {
    fn from(upscale: &'a Upscale2x) -> Self {
        Self::Linear(&upscale.linear)
    }
}

impl VisitParams for Upscale2x {
    fn visit(&mut self, f: &mut dyn FnMut(&mut Param)) {
        self.linear.visit(f);
    }
}
