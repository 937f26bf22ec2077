//! Quantization of floats to int8.

/// Largest magnitude of an int8 value. -128 is left out, so that negation is exact.
pub const S8_MAX: f32 = 127.0;

/// Quantizes a value to int8: `round(value * inverse_scale) + zero_point`, clamped to -127 and 127.
/// Ties round to even, like ONNX's `Round`.
pub fn quantize(value: f32, inverse_scale: f32, zero_point: f32) -> i8 {
    ((value * inverse_scale).round_ties_even() + zero_point).clamp(-S8_MAX, S8_MAX) as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_round_to_even_and_large_values_are_clamped() {
        let found = [1.0, 0.25, 0.75, -1.25, 1e9].map(|value| quantize(value, 2.0, -120.0));
        assert_eq!(found, [-118, -120, -118, -122, 127]);
        assert_eq!(quantize(-4.0, 2.0, -120.0), -127);
    }
}
