//! A linear layer in integers, in plain loops.

use crate::misfit::{Misfit, check_len, check_size};
use crate::quantize::quantize;

/// `y = x W^T + b` with `W` in int8.
///
/// Weights have one scale for each output; inputs have one scale and one zero point for each input
/// channel.
#[derive(Clone, Copy, Debug)]
pub struct LinearS8<'a> {
    /// `[out, in]`, row-major.
    pub weight: &'a [i8],
    /// Scale of the weight times scale of the input, `[out]`.
    pub scale: &'a [f32],
    /// Added at the end, `[out]`.
    pub bias: &'a [f32],
    /// 1 / scale of each input channel, `[in]`.
    pub inverse_scale: &'a [f32],
    /// Int8 value of 0.0 in each input channel, `[in]`; whole numbers.
    pub zero_point: &'a [f32],
}

impl LinearS8<'_> {
    /// Rows `[N, in]` -> `[N, out]`; products are summed exactly, in 32 bits.
    ///
    /// # Panics
    /// If the fields do not match, or `rows` is not a number of whole rows.
    pub fn forward(&self, rows: &[f32]) -> Vec<f32> {
        let [inputs, _] = self.shape().unwrap_or_else(|misfit| panic!("{misfit}"));
        assert!(rows.len().is_multiple_of(inputs), "{} values in rows of {inputs}", rows.len());
        let mut outputs = Vec::with_capacity(rows.len() / inputs * self.scale.len());
        for row in rows.chunks_exact(inputs) {
            let quantized: Vec<i8> = row
                .iter()
                .zip(self.inverse_scale)
                .zip(self.zero_point)
                .map(|((value, inverse_scale), zero)| quantize(*value, *inverse_scale, *zero))
                .collect();
            let channels = self.weight.chunks_exact(inputs).zip(self.scale).zip(self.bias);
            outputs.extend(channels.map(|((weight, scale), bias)| {
                let products = weight.iter().zip(&quantized);
                let sum: i32 = products.map(|(&w, &x)| i32::from(w) * i32::from(x)).sum();
                sum as f32 * scale + bias
            }));
        }
        outputs
    }

    /// Inputs and outputs, if all fields fit them.
    pub(crate) fn shape(&self) -> Result<[usize; 2], Misfit> {
        let (inputs, outputs) = (self.inverse_scale.len(), self.scale.len());
        check_size("inverse_scale", inputs)?;
        check_size("scale", outputs)?;
        check_len("weight", self.weight.len(), inputs * outputs)?;
        check_len("bias", self.bias.len(), outputs)?;
        check_len("zero_point", self.zero_point.len(), inputs)?;
        Ok([inputs, outputs])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::S8_MAX;

    #[test]
    fn int8_product_is_close_to_the_float_product() {
        let (inputs, outputs, rows) = (64, 32, 5);
        let noise = |seed: usize| ((seed * 7919 + 13) % 1009) as f32 / 504.5 - 1.0;
        let weight: Vec<f32> = (0..outputs * inputs).map(noise).collect();
        // Values from 0 to 6, quantized to -127 to 127.
        let values: Vec<f32> = (0..rows * inputs).map(|i| (noise(i + 31) + 1.0) * 3.0).collect();
        let (input_scale, zero_point) = (6.0 / (2.0 * S8_MAX), -S8_MAX);
        let quantized: Vec<i8> = weight.iter().map(|w| (w * S8_MAX).round() as i8).collect();
        let of_zero = |row: &[i8]| row.iter().map(|&w| f32::from(w) * zero_point).sum::<f32>();
        let scale = input_scale / S8_MAX;
        let bias: Vec<f32> = quantized.chunks(inputs).map(|row| -scale * of_zero(row)).collect();
        let layer = LinearS8 {
            weight: &quantized,
            scale: &[scale; 32],
            bias: &bias,
            inverse_scale: &[1.0 / input_scale; 64],
            zero_point: &[zero_point; 64],
        };
        let found = layer.forward(&values);
        for (n, row) in values.chunks_exact(inputs).enumerate() {
            for (o, weight) in weight.chunks_exact(inputs).enumerate() {
                let exact: f32 = row.iter().zip(weight).map(|(x, w)| x * w).sum();
                // Half a quantization step on either side, in 64 products of at most 6.
                let most = 64.0 * (input_scale / 2.0 + 6.0 / (2.0 * S8_MAX));
                assert!((found[n * outputs + o] - exact).abs() < most, "{n} {o}");
            }
        }
    }
}
