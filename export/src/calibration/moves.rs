//! Compact form of rounded weights: moves from the nearest whole number.
//!
//! Rounding with error compensation takes the nearest whole number for most weights, and for most
//! others the one on the other side of the exact value, the more often the closer the exact value
//! lies to the middle between both. A file with these moves takes less than a bit for each weight.

use medsa_sam::S8_MAX;
use ndarray::Array2;

use super::coder::{Coder, Decoder, Encoder, Probability};

/// Classes of the distance between a weight and the nearest whole number.
const DISTANCES: usize = 12;

/// Classes of the share of recent moves in a column.
const SHARES: usize = 12;

/// Longest possible move.
const LONGEST: u32 = 2 * S8_MAX as u32;

/// Code of `rounded` `[out, in]`, the whole numbers chosen for the weights `exact`, which have the
/// same scale.
pub(super) fn encode(exact: &Array2<f32>, rounded: &Array2<f32>) -> Vec<u8> {
    let mut encoder = Encoder::new();
    code(&mut encoder, exact, &mut rounded.clone());
    encoder.finish()
}

/// Rounded weights of a code that was made for the weights `exact`. Any bytes give some weights.
pub(super) fn decode(exact: &Array2<f32>, bytes: &[u8]) -> Array2<f32> {
    let mut rounded = Array2::zeros(exact.dim());
    code(&mut Decoder::new(bytes), exact, &mut rounded);
    rounded
}

/// Codes `rounded`, which a decoder overwrites.
fn code(coder: &mut impl Coder, exact: &Array2<f32>, rounded: &mut Array2<f32>) {
    let mut model = Model::default();
    let mut recent = vec![0.0f32; exact.ncols()];
    let columns = exact.ncols();
    for (i, (exact, rounded)) in exact.iter().zip(rounded.iter_mut()).enumerate() {
        let recent = &mut recent[i % columns];
        let nearest = exact.round_ties_even().clamp(-S8_MAX, S8_MAX);
        let rest = exact - nearest;
        let towards = if rest < 0.0 { -1.0 } else { 1.0 };
        let distance = ((rest.abs() * 2.0 * DISTANCES as f32) as usize).min(DISTANCES - 1);
        let share = ((*recent * SHARES as f32) as usize).min(SHARES - 1);
        let moved = (*rounded - nearest) * towards;
        let moved = model.code(coder, moved as i32, distance, share);
        *recent += 0.2 * (moved.unsigned_abs().min(2) as f32 - *recent);
        *rounded = (nearest + moved as f32 * towards).clamp(-S8_MAX, S8_MAX);
    }
}

/// Probabilities of the bits of a move.
#[derive(Default)]
struct Model {
    is_moved: [[Probability; SHARES]; DISTANCES],
    is_towards: [Probability; DISTANCES],
    is_longer: [Probability; 2],
}

impl Model {
    /// Codes a move, positive towards the exact value.
    fn code(&mut self, coder: &mut impl Coder, moved: i32, distance: usize, share: usize) -> i32 {
        if !coder.code(moved != 0, &mut self.is_moved[distance][share]) {
            return 0;
        }
        let is_towards = coder.code(moved > 0, &mut self.is_towards[distance]);
        let mut length = 1;
        let longer = &mut self.is_longer[usize::from(is_towards)];
        while length < LONGEST && coder.code(moved.unsigned_abs() > length, longer) {
            length += 1;
        }
        if is_towards { length as i32 } else { -(length as i32) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: usize) -> f32 {
        ((seed * 7919 + 13) % 1009) as f32 / 504.5 - 1.0
    }

    #[test]
    fn decoded_weights_equal_the_encoded_ones() {
        let exact = Array2::from_shape_fn((64, 48), |(o, i)| 127.0 * noise(o * 613 + i * 17));
        let rounded = Array2::from_shape_fn(exact.dim(), |(o, i)| {
            let feedback = 0.4 * noise(o * 31 + i * 7);
            (exact[[o, i]] + feedback).round_ties_even().clamp(-S8_MAX, S8_MAX)
        });
        let bytes = encode(&exact, &rounded);
        assert_eq!(decode(&exact, &bytes), rounded);
        assert!(bytes.len() < exact.len() / 8, "{} bytes", bytes.len());
        // Far from the exact values, too.
        let opposite = exact.mapv(|v| if v < 0.0 { S8_MAX } else { -S8_MAX });
        assert_eq!(decode(&exact, &encode(&exact, &opposite)), opposite);
    }

    #[test]
    fn any_bytes_give_weights_in_range() {
        let exact = Array2::from_shape_fn((16, 16), |(o, i)| 127.0 * noise(o * 613 + i * 17));
        for bytes in [vec![], vec![0xff; 100], (0..=255).collect::<Vec<u8>>()] {
            assert!(decode(&exact, &bytes).iter().all(|v| v.abs() <= S8_MAX && v.fract() == 0.0));
        }
    }
}
