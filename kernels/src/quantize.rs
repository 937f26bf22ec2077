//! From float to 8 bits.

/// Largest number of steps, either way. -128 is left out, so that negation is exact.
pub const S8_MAX: f32 = 127.0;

/// A value in steps of a size whose inverse is given, where `zero` stands for 0. Ties round to
/// even, as ONNX's Round does; what is too large is cut off.
pub fn to_steps(value: f32, inverse: f32, zero: f32) -> i8 {
    ((value * inverse).round_ties_even() + zero).clamp(-S8_MAX, S8_MAX) as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_round_to_even_and_far_values_are_cut_off() {
        let found = [1.0, 0.25, 0.75, -1.25, 1e9].map(|value| to_steps(value, 2.0, -120.0));
        assert_eq!(found, [-118, -120, -118, -122, 127]);
        assert_eq!(to_steps(-4.0, 2.0, -120.0), -127);
    }
}
