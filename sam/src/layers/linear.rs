//! Linear layers, and the convolutions that can be computed as such.

use ndarray::{Array1, Array2, Axis, Ix1, Ix2, concatenate};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::layers::conv::batch_norm;
use crate::weights::{Param, Reader, VisitParams};

/// `y = x W^T + b`.
#[derive(Clone, Debug)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Param,
    /// `[out]`.
    pub bias: Option<Param>,
    /// Kind of input.
    pub input: LinearInput,
}

/// Kind of a linear layer's input, which decides how it can be quantized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinearInput {
    /// Tokens of a transformer.
    Tokens,
    /// Positions of a map. The layer is a convolution in the original network, and the ranges of
    /// its input channels may differ widely.
    Map,
}

impl Linear {
    /// Reads `weight` and `bias` of a linear layer.
    pub(crate) fn read(from: &Reader, inputs: usize, outputs: usize) -> Result<Self, Error> {
        let weight = from.param("weight", &[outputs, inputs])?;
        let bias = Some(from.param("bias", &[outputs])?);
        Ok(Self { weight, bias, input: LinearInput::Tokens })
    }

    /// A convolution whose kernel equals its stride, as a linear layer of patches, each flattened
    /// as `[in, k, k]`.
    pub(crate) fn read_patch_conv(
        from: &Reader,
        inputs: usize,
        outputs: usize,
        kernel: usize,
        bias: ConvBias,
    ) -> Result<Self, Error> {
        let weight = from.array("weight", &[outputs, inputs, kernel, kernel])?;
        let weight = flatten(weight, outputs);
        let bias = match bias {
            ConvBias::Yes => Some(from.param("bias", &[outputs])?),
            ConvBias::No => None,
        };
        let weight = Param::new(from.name("weight"), weight);
        Ok(Self { weight, bias, input: LinearInput::Map })
    }

    /// A 1x1 convolution with its batch norm folded in.
    pub(crate) fn read_conv_bn(
        from: &Reader,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, Error> {
        Self::read_patch_conv_bn(from, inputs, outputs, 1)
    }

    /// A convolution whose kernel equals its stride, with its batch norm folded in, as a linear
    /// layer of patches, each flattened as `[in, k, k]`.
    pub(crate) fn read_patch_conv_bn(
        from: &Reader,
        inputs: usize,
        outputs: usize,
        kernel: usize,
    ) -> Result<Self, Error> {
        let weight = from.array("c.weight", &[outputs, inputs, kernel, kernel])?;
        let (scale, shift) = batch_norm(&from.at("bn"), outputs)?;
        let weight = flatten(weight, outputs) * &scale.insert_axis(Axis(1));
        Ok(Self::map(&from.name(""), weight, shift))
    }

    /// A linear layer made from rewritten values of a convolution. `name` ends in a dot.
    pub(crate) fn map(name: &str, weight: Array2<f32>, bias: Array1<f32>) -> Self {
        Self {
            weight: Param::new(format!("{name}weight"), weight),
            bias: Some(Param::new(format!("{name}bias"), bias)),
            input: LinearInput::Map,
        }
    }

    /// The bias; zeros if the layer has none.
    pub(crate) fn bias_array(&self) -> Array1<f32> {
        match &self.bias {
            Some(bias) => {
                let bias = bias.value().to_owned().into_dimensionality::<Ix1>();
                bias.expect("every constructor makes a vector")
            }
            None => Array1::zeros(self.outputs()),
        }
    }

    /// The same layer with other values.
    pub(crate) fn with(&self, weight: Array2<f32>, bias: Array1<f32>) -> Self {
        let name = self.weight.name();
        // A layer that had no bias also has no name for it.
        let bias_name = match &self.bias {
            Some(bias) => bias.name().to_owned(),
            None => format!("{name}.bias"),
        };
        Self {
            weight: Param::new(name, weight),
            bias: Some(Param::new(bias_name, bias)),
            input: self.input,
        }
    }

    /// The equivalent layer for inputs to which `x * factor + shift` has not yet been applied.
    pub(crate) fn after_affine(&self, factor: &Array1<f32>, shift: &Array1<f32>) -> Self {
        let weight = self.weight_array();
        let bias = self.bias_array() + weight.dot(shift);
        self.with(weight * factor, bias)
    }

    /// The layer with the outputs `rows` multiplied by `factor`.
    pub(crate) fn scaled(&self, rows: impl IntoIterator<Item = usize>, factor: f32) -> Self {
        let (mut weight, mut bias) = (self.weight_array(), self.bias_array());
        for row in rows {
            weight.row_mut(row).mapv_inplace(|w| w * factor);
            bias[row] *= factor;
        }
        self.with(weight, bias)
    }

    /// Both layers as one, for the same input: outputs of `self`, then of `other`.
    pub(crate) fn stacked(&self, other: &Self) -> Self {
        let (a, b) = (self.weight_array(), other.weight_array());
        let weight = concatenate(Axis(0), &[a.view(), b.view()]).expect("inputs are the same");
        let (a, b) = (self.bias_array(), other.bias_array());
        let bias = concatenate(Axis(0), &[a.view(), b.view()]).expect("vectors");
        self.with(weight, bias)
    }

    /// The sum of `self` applied to the first inputs and `factor` times `other` applied to the
    /// rest.
    pub(crate) fn plus(&self, other: &Self, factor: f32) -> Self {
        let (a, b) = (self.weight_array(), other.weight_array() * factor);
        let weight = concatenate(Axis(1), &[a.view(), b.view()]).expect("outputs are the same");
        self.with(weight, self.bias_array() + other.bias_array() * factor)
    }

    /// The composition of this layer after `inner`, as one layer.
    pub(crate) fn of(&self, inner: &Self) -> Self {
        let weight = self.weight_array();
        let bias = weight.dot(&inner.bias_array()) + self.bias_array();
        self.with(weight.dot(&inner.weight_array()), bias)
    }

    /// Length of the last axis of the input.
    pub fn inputs(&self) -> usize {
        self.weight.shape()[1]
    }

    /// Length of the last axis of the output.
    pub fn outputs(&self) -> usize {
        self.weight.shape()[0]
    }

    /// The weight `[out, in]`.
    pub fn weight_array(&self) -> Array2<f32> {
        let weight = self.weight.value().to_owned().into_dimensionality::<Ix2>();
        weight.expect("every constructor makes a matrix")
    }
}

impl VisitParams for Linear {
    fn visit(&mut self, f: &mut dyn FnMut(&mut Param)) {
        f(&mut self.weight);
        self.bias.as_mut().map(f);
    }
}

/// Presence of a convolution's bias.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConvBias {
    Yes,
    No,
}

/// Nonlinearity between linear layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// The exact form.
    Gelu,
    /// `max(x, 0)`.
    Relu,
}

fn flatten(weight: ndarray::ArrayD<f32>, outputs: usize) -> Array2<f32> {
    let inputs = weight.len() / outputs;
    weight.into_shape_with_order((outputs, inputs)).expect("a file's tensor is contiguous")
}
