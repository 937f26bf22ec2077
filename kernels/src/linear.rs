//! A linear layer in integers.

use crate::quantize::quantize;

/// `y = x W^T + b` with `W` in 8 bits.
#[derive(Clone, Debug)]
pub struct LinearS8 {
    inputs: usize,
    /// `[out, in]`.
    weight: Vec<i8>,
    /// `[out]`.
    scales: Vec<f32>,
}

impl LinearS8 {
    /// Quantizes `weight` `[out, in]`, row-major, with one scale for each output channel.
    ///
    /// # Panics
    /// If `inputs` is 0 or does not divide the length of `weight`.
    pub fn new(weight: &[f32], inputs: usize) -> Self {
        assert!(inputs > 0 && weight.len().is_multiple_of(inputs), "rows of {inputs} weights");
        let mut values = Vec::with_capacity(weight.len());
        let rows = weight.chunks_exact(inputs);
        let scales = rows.map(|row| quantize(row.iter().copied(), &mut values)).collect();
        Self { inputs, weight: values, scales }
    }

    /// Weights `[out, in]`.
    pub fn weight(&self) -> &[i8] {
        &self.weight
    }

    /// Scale of each output channel, `[out]`.
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// Tokens `[N, in]` -> `[N, out]`, without bias: each token quantized with its own scale,
    /// products summed exactly in 32 bits.
    ///
    /// # Panics
    /// If `tokens` is not whole rows.
    pub fn forward(&self, tokens: &[f32]) -> Vec<f32> {
        assert!(tokens.len().is_multiple_of(self.inputs), "rows of {} values", self.inputs);
        let mut outputs = Vec::with_capacity(tokens.len() / self.inputs * self.scales.len());
        let mut steps = Vec::with_capacity(self.inputs);
        for token in tokens.chunks_exact(self.inputs) {
            steps.clear();
            let scale = quantize(token.iter().copied(), &mut steps);
            let channels = self.weight.chunks_exact(self.inputs).zip(&self.scales);
            outputs.extend(channels.map(|(row, channel_scale)| {
                let sum: i32 =
                    row.iter().zip(&steps).map(|(&w, &x)| i32::from(w) * i32::from(x)).sum();
                sum as f32 * scale * channel_scale
            }));
        }
        outputs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_to_the_float_product() {
        let inputs = 64;
        let noise = |seed: usize| ((seed * 7919 + 13) % 1009) as f32 / 504.5 - 1.0;
        let weight: Vec<f32> = (0..32 * inputs).map(noise).collect();
        let tokens: Vec<f32> = (0..5 * inputs).map(|i| noise(i + 31) * 3.0).collect();
        let found = LinearS8::new(&weight, inputs).forward(&tokens);
        for (n, token) in tokens.chunks_exact(inputs).enumerate() {
            for (o, row) in weight.chunks_exact(inputs).enumerate() {
                let exact: f32 = token.iter().zip(row).map(|(x, w)| x * w).sum();
                // Half a step on either side, over 64 products of at most 3.
                assert!((found[n * 32 + o] - exact).abs() < 64.0 * 3.0 / 127.0, "{n} {o}");
            }
        }
    }
}
