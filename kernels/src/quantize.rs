//! From float to symmetric signed 8 bits.

/// Largest magnitude of a quantized value. -128 is left out, so that negation is exact.
pub const S8_MAX: f32 = 127.0;

/// The smallest range that is resolved: rows below it are zeros, and no scale is zero.
const TINY: f32 = 1e-12;

/// Quantizes a row with one scale; returns the scale, so that `values * scale` is about `row`.
/// Ties round to even, as ONNX's Round does.
pub fn quantize(row: impl Iterator<Item = f32> + Clone, values: &mut Vec<i8>) -> f32 {
    let largest = row.clone().fold(TINY, |max, value| max.max(value.abs()));
    let scale = largest / S8_MAX;
    values.extend(row.map(|value| (value / scale).round_ties_even() as i8));
    scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_uses_the_whole_range_and_ties_round_to_even() {
        let mut values = Vec::new();
        let scale = quantize([127.0, -127.0, 0.5, 1.5, -2.5].into_iter(), &mut values);
        assert_eq!((scale, values), (1.0, vec![127, -127, 0, 2, -2]));
    }

    #[test]
    fn a_row_of_zeros_stays_zeros() {
        let mut values = Vec::new();
        assert!(quantize([0.0; 3].into_iter(), &mut values) > 0.0);
        assert_eq!(values, [0; 3]);
    }
}
