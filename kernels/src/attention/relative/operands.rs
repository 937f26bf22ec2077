//! Keys and values of a head, as the products read them.

use super::square::RelativeAttention;
use super::workspace::{Int8Operands, Operands, RelativeWorkspace};
use crate::attention::MIN_RANGE;
use crate::attention::quantized::{put_key, put_value, row_scale};
use crate::quantize::S8_MAX;
use crate::simd::{LANES, Simd, padded};

impl RelativeAttention {
    /// Packs or quantizes the keys and values of a head; `k` and `v` return those of a row and
    /// column of the square.
    #[inline(always)]
    pub(super) fn prepare<'a, S: Simd>(
        &self,
        s: S,
        k: impl Fn(usize, usize) -> &'a [f32],
        v: impl Fn(usize, usize) -> &'a [f32],
        workspace: &mut RelativeWorkspace,
    ) {
        match &mut workspace.operands {
            Operands::Float { keys, values } => self.pack(k, v, keys, values),
            Operands::Int8(operands) => self.quantize(s, k, v, operands),
        }
    }

    #[inline(always)]
    fn pack<'a>(
        &self,
        k: impl Fn(usize, usize) -> &'a [f32],
        v: impl Fn(usize, usize) -> &'a [f32],
        keys: &mut [f32],
        values: &mut [f32],
    ) {
        let Self { side, depth, .. } = *self;
        let across = padded(side);
        keys.fill(0.0);
        for row in 0..side {
            for column in 0..side {
                let at = row * across + column;
                let vectors = &mut keys[at / LANES * LANES * depth..][..LANES * depth];
                let lanes = vectors.iter_mut().skip(at % LANES).step_by(LANES);
                lanes.zip(k(row, column)).for_each(|(to, x)| *to = *x);
                values[at * depth..][..depth].copy_from_slice(v(row, column));
            }
        }
    }

    #[inline(always)]
    fn quantize<'a, S: Simd>(
        &self,
        s: S,
        k: impl Fn(usize, usize) -> &'a [f32],
        v: impl Fn(usize, usize) -> &'a [f32],
        operands: &mut Int8Operands,
    ) {
        let Self { side, depth, .. } = *self;
        let across = padded(side);
        operands.keys.fill(0);
        operands.values.fill(0);
        operands.key_scales.fill(0.0);
        operands.key_starts.fill(0);
        operands.value_starts.fill(0);
        for group in 0..depth / LANES {
            let value = |row, column| &v(row, column).as_chunks().0[group];
            let mut largest = s.splat(MIN_RANGE);
            for row in 0..side {
                for column in 0..side {
                    largest = s.max(largest, s.abs(s.load(value(row, column))));
                }
            }
            let scale = s.mul(largest, s.splat(1.0 / S8_MAX));
            s.store(&mut operands.value_scales.as_chunks_mut().0[group], scale);
            let inverse_scale = s.div(s.splat(1.0), scale);
            for row in 0..side {
                // All channels of a tile of keys lie together.
                let (tile, row_in_tile) = (row / self.key_rows(), row % self.key_rows());
                let first = row - row_in_tile;
                let keys = self.key_rows().min(side - first) * across;
                let start = first * across * depth + group * LANES * keys;
                let values = &mut operands.values[start..][..LANES * keys];
                let starts = &mut operands.value_starts[tile * depth..].as_chunks_mut().0[group];
                for column in 0..side {
                    let x = s.mul(s.load(value(row, column)), inverse_scale);
                    put_value(s, (values, starts), row_in_tile * across + column, x);
                }
            }
        }
        for row in 0..side {
            for column in 0..side {
                let (key, at) = (k(row, column), row * across + column);
                let scale = row_scale(s, key);
                operands.key_scales[at] = scale;
                put_key(s, (operands.keys, operands.key_starts), at, key, scale);
            }
        }
    }
}
