//! Weights in 8 bits.

use ndarray::{Array1, Array2, ArrayView2, Axis};

/// Largest magnitude of symmetric 8-bit values. -128 is left out, so that a product with its
/// negative is exact.
pub(super) const S8_MAX: f32 = 127.0;

/// A weight `[out, in]` in symmetric signed 8 bits, with one scale for each output channel.
pub(super) struct QuantizedWeight {
    /// `[in, out]`, as a matrix product takes it.
    pub values: Array2<i8>,
    /// `[out]`.
    pub scales: Array1<f32>,
}

impl QuantizedWeight {
    pub(super) fn new(weight: ArrayView2<f32>) -> Self {
        let scales = weight.map_axis(Axis(1), |row| {
            let largest = row.iter().fold(0.0f32, |max, w| max.max(w.abs()));
            // A channel of zeros stays zeros under any scale.
            if largest > 0.0 { largest / S8_MAX } else { 1.0 }
        });
        let values = Array2::from_shape_fn((weight.ncols(), weight.nrows()), |(i, o)| {
            (weight[[o, i]] / scales[o]).round_ties_even() as i8
        });
        Self { values, scales }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn each_channel_uses_its_whole_range() {
        let quantized = QuantizedWeight::new(array![[1.0, -2.0], [0.01, 0.0], [0.0, 0.0]].view());
        assert_eq!(quantized.values, array![[64, 127, 0], [-127, 0, 0]]);
        assert_eq!(quantized.scales, array![2.0 / 127.0, 0.01 / 127.0, 1.0]);
    }
}
