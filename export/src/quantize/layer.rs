//! A linear layer or convolution in float, as a matrix.

use medsa_sam::Int8Input;
use medsa_trainer::Layer;
use ndarray::{Array1, Array2, Axis, Ix1};

/// A layer with its weight as a matrix.
#[derive(Clone, Debug)]
pub(crate) struct FloatLayer {
    /// `[out, in]`, or `[out, in / groups * k * k]` for a convolution.
    pub weight: Array2<f32>,
    /// `[out]`.
    pub bias: Array1<f32>,
    /// Original shape of the weight.
    pub shape: Vec<usize>,
    /// Input channels.
    pub channels: usize,
}

impl FloatLayer {
    pub(crate) fn new(layer: Layer) -> Self {
        let (weight, bias) = (layer.weight(), layer.bias());
        let outputs = weight.shape()[0];
        let matrix = weight.value().to_owned();
        let matrix = matrix.into_shape_with_order((outputs, weight.value().len() / outputs));
        let bias = match bias {
            Some(bias) => bias.value().to_owned().into_dimensionality::<Ix1>(),
            None => Ok(Array1::zeros(outputs)),
        };
        let channels = match layer {
            Layer::Linear(layer) => layer.inputs(),
            Layer::Conv2d(layer) => layer.weight.shape()[1] * layer.groups,
        };
        Self {
            weight: matrix.expect("a weight is contiguous"),
            bias: bias.expect("a bias is a vector"),
            shape: weight.shape().to_vec(),
            channels,
        }
    }

    /// Number of values in a row of the input: `channels * k * k`.
    pub(crate) fn width(&self) -> usize {
        self.channels * self.taps()
    }

    /// Number of values of a channel in a row of the input: `k * k`.
    pub(crate) fn taps(&self) -> usize {
        self.shape[2..].iter().product()
    }

    /// True if each output channel reads only one input channel.
    pub(crate) fn is_depthwise(&self) -> bool {
        self.shape.len() == 4 && self.shape[1] == 1 && self.channels > 1
    }

    /// The weight for quantized inputs: multiplied by the scales of the input channels.
    pub(crate) fn scaled_weight(&self, input: &Int8Input) -> Array2<f32> {
        if self.is_depthwise() {
            &self.weight * &input.scale.view().insert_axis(Axis(1))
        } else {
            let taps = self.taps();
            &self.weight * &Array1::from_shape_fn(self.width(), |i| input.scale[i / taps])
        }
    }
}
