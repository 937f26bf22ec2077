//! A linear layer in integers.

use crate::quantize::to_steps;

/// `y = x W^T + b`, `W` in 8 bits.
#[derive(Clone, Copy, Debug)]
pub struct LinearS8<'a> {
    /// `[out, in]`, row-major.
    pub weight: &'a [i8],
    /// What a step of the input times a step of the weight is, `[out]`.
    pub steps: &'a [f32],
    /// Added at the end, `[out]`.
    pub bias: &'a [f32],
    /// One by the step size of each input channel, `[in]`.
    pub inverse: &'a [f32],
    /// Which step stands for zero in each input channel, `[in]`; whole numbers.
    pub zero: &'a [f32],
}

impl LinearS8<'_> {
    /// Rows `[N, in]` -> `[N, out]`, products summed exactly in 32 bits.
    ///
    /// # Panics
    /// If `rows` is not whole rows.
    pub fn forward(&self, rows: &[f32]) -> Vec<f32> {
        let inputs = self.inverse.len();
        assert!(rows.len().is_multiple_of(inputs), "rows of {inputs} values");
        let mut outputs = Vec::with_capacity(rows.len() / inputs * self.steps.len());
        for row in rows.chunks_exact(inputs) {
            let in_steps: Vec<i8> = row
                .iter()
                .zip(self.inverse)
                .zip(self.zero)
                .map(|((value, inverse), zero)| to_steps(*value, *inverse, *zero))
                .collect();
            let channels = self.weight.chunks_exact(inputs).zip(self.steps).zip(self.bias);
            outputs.extend(channels.map(|((weight, step), bias)| {
                let products = weight.iter().zip(&in_steps);
                let sum: i32 = products.map(|(&w, &x)| i32::from(w) * i32::from(x)).sum();
                sum as f32 * step + bias
            }));
        }
        outputs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::S8_MAX;

    #[test]
    fn close_to_the_float_product() {
        let (inputs, outputs, rows) = (64, 32, 5);
        let noise = |seed: usize| ((seed * 7919 + 13) % 1009) as f32 / 504.5 - 1.0;
        let weight: Vec<f32> = (0..outputs * inputs).map(noise).collect();
        // Values from 0 to 6, the middle of which is the step 0.
        let values: Vec<f32> = (0..rows * inputs).map(|i| (noise(i + 31) + 1.0) * 3.0).collect();
        let (size, zero) = (6.0 / (2.0 * S8_MAX), -S8_MAX);
        let whole: Vec<i8> = weight.iter().map(|w| (w * S8_MAX).round() as i8).collect();
        let of_zero = |row: &[i8]| row.iter().map(|&w| f32::from(w) * zero).sum::<f32>();
        let step = size / S8_MAX;
        let bias: Vec<f32> = whole.chunks(inputs).map(|row| -step * of_zero(row)).collect();
        let layer = LinearS8 {
            weight: &whole,
            steps: &[step; 32],
            bias: &bias,
            inverse: &[1.0 / size; 64],
            zero: &[zero; 64],
        };
        let found = layer.forward(&values);
        for (n, row) in values.chunks_exact(inputs).enumerate() {
            for (o, weight) in weight.chunks_exact(inputs).enumerate() {
                let exact: f32 = row.iter().zip(weight).map(|(x, w)| x * w).sum();
                // Half a step on either side, over 64 products of at most 6.
                let most = 64.0 * (size / 2.0 + 6.0 / (2.0 * S8_MAX));
                assert!((found[n * outputs + o] - exact).abs() < most, "{n} {o}");
            }
        }
    }
}
