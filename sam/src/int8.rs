//! Int8 quantization of a network.
//!
//! Quantized values are whole numbers from -127 to 127. Weights have one scale per output channel.
//! Inputs have one scale and one zero point per input channel, both fixed when the network is
//! calibrated, so that a layer is one integer product followed by one factor and one summand per
//! output channel. The operands of attention products have one scale per row, computed at run time.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::{Array1, ArrayD, ArrayView1, Axis};

/// Largest absolute quantized value.
pub const S8_MAX: f32 = 127.0;

/// Smallest range that is quantized; prevents a scale of zero.
pub const S8_TINY: f32 = 1e-12;

/// Rounds to the nearest integer, ties to even, like [`f32::round_ties_even`], which is a call of a
/// function on processors without SSE4.1 and cannot be vectorized for all x86 processors.
pub fn round_ties_even(value: f32) -> f32 {
    // From here on, floats are integers. Adding it leaves no room for a fraction.
    const WHOLE: f32 = 8_388_608.0;
    let whole = WHOLE.copysign(value);
    if value.abs() < WHOLE { (value + whole) - whole } else { value }
}

/// The int8 parts of a network. All others stay in float.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quantization {
    /// Int8 linear layers and convolutions, by the name of their weight.
    pub layers: BTreeMap<String, Int8Layer>,
    /// Attentions with both products in int8, by the name of their [`Scores`].
    ///
    /// [`Scores`]: crate::backend::Scores
    pub attentions: BTreeSet<String>,
}

/// An int8 linear layer or convolution.
#[derive(Clone, Debug, PartialEq)]
pub struct Int8Layer {
    /// Quantized weight, in the shape of the float weight: the first axis is the output channel.
    pub weight: ArrayD<i8>,
    /// Scale of the integer products, for each output channel. The quantized weight already
    /// contains the inputs' scales: `y = scale * sum(weight * input) + bias`.
    pub scale: Array1<f32>,
    /// Bias, which replaces the layer's own.
    pub bias: Array1<f32>,
    /// Quantization of the input.
    pub input: Int8Input,
}

/// Quantization of a layer's input: `round(x / scale) + zero_point`, clamped to -127..=127.
#[derive(Clone, Debug, PartialEq)]
pub struct Int8Input {
    /// Scale of each channel.
    pub scale: Array1<f32>,
    /// Zero point of each channel, a whole number. All channels that a convolution pads have the
    /// same one.
    pub zero_point: Array1<f32>,
}

impl Int8Layer {
    /// The weight in float, for inputs that are not quantized.
    pub fn float_weight(&self) -> ArrayD<f32> {
        let mut weight = self.weight.mapv(f32::from);
        let depthwise = self.is_depthwise();
        for (o, (mut row, scale)) in weight.axis_iter_mut(Axis(0)).zip(&self.scale).enumerate() {
            row *= *scale;
            if depthwise {
                row /= self.input.scale[o];
            } else {
                for (mut channel, scale) in row.axis_iter_mut(Axis(0)).zip(&self.input.scale) {
                    channel /= *scale;
                }
            }
        }
        weight
    }

    /// Summand of a linear layer's integer products: the bias, less the contribution of the zero
    /// points.
    pub fn integer_bias(&self) -> Array1<f32> {
        let zero_sum = |row: ArrayView1<i8>| -> f32 {
            row.iter().zip(&self.input.zero_point).map(|(w, zero)| f32::from(*w) * zero).sum()
        };
        let rows = self.weight.rows().into_iter().zip(&self.scale).zip(&self.bias);
        rows.map(|((row, scale), bias)| bias - scale * zero_sum(row)).collect()
    }

    /// True if each output channel reads only one input channel.
    pub fn is_depthwise(&self) -> bool {
        self.weight.ndim() == 4 && self.weight.shape()[1] == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rounded_like_in_the_standard_library() {
        let halves = (-600..600).map(|i| i as f32 / 2.0);
        let near = [0.499_999_97, 8_388_607.5, 8_388_608.0, 4_194_303.8, 1e30, f32::INFINITY];
        let near = near.into_iter().chain([f32::MIN_POSITIVE]);
        for value in halves.chain(near).flat_map(|v| [v, -v, v.next_up(), v.next_down()]) {
            assert_eq!(round_ties_even(value), value.round_ties_even(), "{value}");
        }
        assert!(round_ties_even(f32::NAN).is_nan());
    }
}
