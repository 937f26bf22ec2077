//! 3x3 convolutions with batch norm folded in. SAM is frozen, so the statistics never change.

use ndarray::{Array1, Axis, Ix1};

use crate::error::Error;
use crate::weights::{Param, Reader};

/// Convolution of `[B, H, W, C]` with equal zero padding on all sides.
#[derive(Clone, Debug)]
pub struct Conv2d {
    /// `[out, in / groups, k, k]`.
    pub weight: Param,
    /// `[out]`.
    pub bias: Option<Param>,
    /// Stride in both directions.
    pub stride: usize,
    /// Zeros on each side.
    pub padding: usize,
    /// 1, or the number of channels (depthwise).
    pub groups: usize,
}

impl Conv2d {
    /// A 3x3 convolution without bias.
    pub(crate) fn read(from: &Reader, inputs: usize, outputs: usize) -> Result<Self, Error> {
        let weight = from.param("weight", &[outputs, inputs, 3, 3])?;
        Ok(Self { weight, bias: None, stride: 1, padding: 1, groups: 1 })
    }

    /// A depthwise 3x3 convolution with its batch norm folded in.
    pub(crate) fn read_depthwise_bn(
        from: &Reader,
        channels: usize,
        stride: usize,
    ) -> Result<Self, Error> {
        Self::read_conv_bn(from, 1, channels, stride, channels)
    }

    /// A dense 3x3 convolution with its batch norm folded in.
    pub(crate) fn read_dense_bn(
        from: &Reader,
        inputs: usize,
        outputs: usize,
        stride: usize,
    ) -> Result<Self, Error> {
        Self::read_conv_bn(from, inputs, outputs, stride, 1)
    }

    fn read_conv_bn(
        from: &Reader,
        inputs: usize,
        outputs: usize,
        stride: usize,
        groups: usize,
    ) -> Result<Self, Error> {
        let weight = from.array("c.weight", &[outputs, inputs, 3, 3])?;
        let (scale, shift) = batch_norm(&from.at("bn"), outputs)?;
        let scale = scale.insert_axis(Axis(1)).insert_axis(Axis(2)).insert_axis(Axis(3));
        Ok(Self {
            weight: Param::new(from.name("weight"), weight * &scale),
            bias: Some(Param::new(from.name("bias"), shift)),
            stride,
            padding: 1,
            groups,
        })
    }

    /// Side of the output for an input of side `length`.
    pub fn output_side(&self, length: usize) -> usize {
        (length + 2 * self.padding - self.weight.shape()[2]) / self.stride + 1
    }
}

/// Epsilon added to a batch norm's variance.
pub(crate) const BATCH_NORM_EPSILON: f32 = 1e-5;

/// Scale and shift per channel of a batch norm in evaluation mode.
pub(crate) fn batch_norm(
    from: &Reader,
    channels: usize,
) -> Result<(Array1<f32>, Array1<f32>), Error> {
    let vector = |name: &str| -> Result<Array1<f32>, Error> {
        let array = from.array(name, &[channels])?;
        Ok(array.into_dimensionality::<Ix1>().expect("the reader checked the shape"))
    };
    let variance = vector("running_var")?;
    let scale = vector("weight")? / variance.mapv(|v| (v + BATCH_NORM_EPSILON).sqrt());
    let shift = vector("bias")? - vector("running_mean")? * &scale;
    from.ignore("num_batches_tracked");
    Ok((scale, shift))
}
