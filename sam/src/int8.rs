//! Which parts of a network compute in 8 bits, and how.
//!
//! A value is a whole number of steps from -127 to 127. Weights have one step size for each
//! output channel. Inputs have one for each input channel, and a step that stands for zero, both
//! fixed, so that a layer is one integer product, one factor and one summand per output channel.
//! What an attention multiplies has a step size for each row, found when it is there.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::{Array1, ArrayD, ArrayView1, Axis};

/// The largest number of steps, either way.
pub const S8_MAX: f32 = 127.0;

/// The smallest range that is resolved, so that no step size is zero.
pub const S8_TINY: f32 = 1e-12;

/// The parts of a network that compute in 8 bits. All others stay in float.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quantization {
    /// Linear layers and convolutions, by the name of their weight.
    pub layers: BTreeMap<String, Int8Layer>,
    /// Attentions whose two products are in 8 bits, by the name of their [`Scores`].
    ///
    /// [`Scores`]: crate::backend::Scores
    pub attentions: BTreeSet<String>,
}

/// A linear layer or convolution.
#[derive(Clone, Debug, PartialEq)]
pub struct Int8Layer {
    /// Steps, in the shape of the weight: the first axis is the output channel.
    pub weight: ArrayD<i8>,
    /// What one step of the input times one step of the weight is, for each output channel.
    pub steps: Array1<f32>,
    /// In place of the layer's own bias.
    pub bias: Array1<f32>,
    /// How the input becomes steps.
    pub input: Int8Input,
}

/// How the input of a layer becomes steps: `round(x / size) + zero`, within 127 either way.
#[derive(Clone, Debug, PartialEq)]
pub struct Int8Input {
    /// Of each channel.
    pub size: Array1<f32>,
    /// Of each channel, a whole number; the same for all that a convolution pads.
    pub zero: Array1<f32>,
}

impl Int8Layer {
    /// The weight as float, for inputs that are not in steps.
    pub fn float_weight(&self) -> ArrayD<f32> {
        let mut weight = self.weight.mapv(f32::from);
        let depthwise = self.is_depthwise();
        for (o, (mut row, step)) in weight.axis_iter_mut(Axis(0)).zip(&self.steps).enumerate() {
            row *= *step;
            if depthwise {
                row /= self.input.size[o];
            } else {
                for (mut channel, size) in row.axis_iter_mut(Axis(0)).zip(&self.input.size) {
                    channel /= *size;
                }
            }
        }
        weight
    }

    /// What is added to a linear layer's products of steps: its bias, less what the steps that
    /// stand for zero add to them.
    pub fn bias_of_steps(&self) -> Array1<f32> {
        let of_zero = |row: ArrayView1<i8>| -> f32 {
            row.iter().zip(&self.input.zero).map(|(w, zero)| f32::from(*w) * zero).sum()
        };
        let rows = self.weight.rows().into_iter().zip(&self.steps).zip(&self.bias);
        rows.map(|((row, step), bias)| bias - step * of_zero(row)).collect()
    }

    /// Whether each output channel sees one input channel only.
    pub fn is_depthwise(&self) -> bool {
        self.weight.ndim() == 4 && self.weight.shape()[1] == 1
    }
}
