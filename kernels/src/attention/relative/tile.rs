//! Tiles of queries, and their attention to tiles of keys.

use std::ops::Range;

use super::square::RelativeAttention;
use super::workspace::{Operands, RelativeWorkspace};
use crate::attention::MASKED;
use crate::attention::quantized::{put_query, row_scale};
use crate::packed::{tile, tiles};
use crate::quantize::S8_MAX;
use crate::simd::{LANES, Simd, exp, padded};

impl RelativeAttention {
    /// Copies a tile of queries, `width` of each of `rows`, to the workspace. Computes what is
    /// added to their scores and resets their sums.
    ///
    /// # Panics
    /// If there are more queries than the tile has, or the table has fewer positions.
    #[inline(always)]
    pub(super) fn take_queries<'a, S: Simd>(
        &self,
        s: S,
        q: impl Fn(usize, usize) -> &'a [f32],
        rows: Range<usize>,
        width: usize,
        workspace: &mut RelativeWorkspace,
    ) {
        let Self { side, depth, .. } = *self;
        let across = padded(side);
        let count = rows.len() * width;
        let RelativeWorkspace { operands, queries, row_bias, column_bias, .. } = workspace;
        workspace.sums[..count * LANES].fill(0.0);
        workspace.attended[..count * depth].fill(0.0);
        workspace.largest[..count].fill(MASKED);
        let queries = &mut queries[..count * depth];
        for (query, to) in queries.chunks_exact_mut(depth).enumerate() {
            let from = q(rows.start + query / width, query % width);
            to.copy_from_slice(from);
            if let Operands::Int8(operands) = operands {
                let scale = row_scale(s, from);
                operands.query_scales[query] = scale;
                // An int8 value takes at most the two bytes of an `i16`.
                let quantized = &mut operands.queries[..count * depth];
                // SAFETY: `query` is less than `count`, and a query has `depth` values.
                unsafe {
                    let to = quantized.as_mut_ptr().cast::<S::Int8>().add(query * depth);
                    put_query(s, to, from, scale);
                }
            }
        }
        let (row_bias, column_bias) =
            (&mut row_bias[..count * across], &mut column_bias[..count * across]);
        // Queries of a row meet the same part of the table, and so do those of a column.
        for row in 0..rows.len() {
            let table = &self.tables[0][(rows.start + row) * depth * across..][..depth * across];
            tiles!(width, first, R => for key in (0..across).step_by(LANES) {
                let first = row * width + first;
                // SAFETY: the queries `first` to `first + R` are less than `count`, as many as
                // `queries` and `row_bias` have. `key` is less than `across` in whole `LANES`.
                unsafe {
                    let zeros = [s.splat(0.0); R];
                    let x = queries.as_ptr().add(first * depth);
                    let sums = tile(s, zeros, x, depth, table.as_ptr().add(key), across, depth);
                    for (i, sum) in sums.into_iter().enumerate() {
                        s.store_ptr(row_bias.as_mut_ptr().add((first + i) * across + key), sum);
                    }
                }
            });
        }
        for column in 0..width {
            let table = &self.tables[1][column * depth * across..][..depth * across];
            tiles!(rows.len(), first, R => for key in (0..across).step_by(LANES) {
                let first = first * width + column;
                // SAFETY: the queries `first + i * width` for `i < R` are less than `count`, as
                // many as `queries` and `column_bias` have. `key` is less than `across`, the
                // length of `mask`, in whole `LANES`.
                unsafe {
                    let masks = [s.load_ptr(self.mask.as_ptr().add(key)); R];
                    let (x, stride) = (queries.as_ptr().add(first * depth), width * depth);
                    let sums = tile(s, masks, x, stride, table.as_ptr().add(key), across, depth);
                    for (i, sum) in sums.into_iter().enumerate() {
                        let at = (first + i * width) * across + key;
                        s.store_ptr(column_bias.as_mut_ptr().add(at), sum);
                    }
                }
            });
        }
    }

    /// Adds the attention of `R` queries, from the query `first` of the tile on, to some rows of
    /// keys.
    ///
    /// # Safety
    /// The workspace was checked for this attention. The tile has `first + R` queries. `rows`
    /// starts at a tile of keys and ends with it.
    #[inline(always)]
    pub(super) unsafe fn attend<S: Simd, const R: usize>(
        &self,
        s: S,
        first: usize,
        rows: Range<usize>,
        workspace: &mut RelativeWorkspace,
    ) {
        let Self { side, depth, .. } = *self;
        let across = padded(side);
        let (start, keys) = (rows.start * across, rows.len() * across);
        let RelativeWorkspace { operands, queries, row_bias, column_bias, .. } = workspace;
        let (row_bias, column_bias) = (row_bias.as_ptr(), column_bias.as_ptr());
        let (queries, scores) = (queries.as_ptr(), workspace.scores.as_mut_ptr());
        // SAFETY: queries are less than `first + R`, rows of a tile than `R`, keys of the tile
        // less than `keys` and channels less than `depth`, the latter two in whole `LANES`. By
        // this function's contract all slices have such elements.
        unsafe {
            let mut largest = [s.splat(MASKED); R];
            for at in (0..keys).step_by(LANES) {
                let (row, column) = (rows.start + at / across, at % across);
                let mut products = [s.splat(0.0); R];
                match operands {
                    Operands::Float { keys, .. } => {
                        let keys = keys.as_ptr().add((start + at) * depth);
                        let queries = queries.add(first * depth);
                        products = tile(s, products, queries, depth, keys, LANES, depth);
                    }
                    Operands::Int8(operands) => {
                        let keys = operands.keys.as_ptr().add((start + at) * depth);
                        let queries = operands.queries.as_ptr().cast::<S::Int8>();
                        let queries = queries.add(first * depth);
                        let sums = &*operands.key_starts.as_ptr().add(start + at).cast();
                        let sums = [s.load_i32(sums); R];
                        let sums = s.tile::<R>(sums, queries, depth, keys, depth);
                        let key_scales = s.load_ptr(operands.key_scales.as_ptr().add(start + at));
                        for (i, sum) in sums.into_iter().enumerate() {
                            let scale = s.splat(*operands.query_scales.as_ptr().add(first + i));
                            products[i] = s.mul(s.to_float(sum), s.mul(scale, key_scales));
                        }
                    }
                }
                for (i, product) in products.into_iter().enumerate() {
                    let biases = (first + i) * across;
                    let by_column = s.load_ptr(column_bias.add(biases + column));
                    let bias = s.add(s.splat(*row_bias.add(biases + row)), by_column);
                    let score = s.add(product, bias);
                    largest[i] = s.max(largest[i], score);
                    s.store_ptr(scores.add(i * keys + at), score);
                }
            }
            // Sums of earlier tiles shrink by this factor where this tile has larger scores.
            let mut factors = [s.splat(0.0); R];
            for i in 0..R {
                let largest_before = workspace.largest.as_mut_ptr().add(first + i);
                let before = *largest_before;
                let largest = s.max_lane(largest[i]).max(before);
                *largest_before = largest;
                factors[i] = exp(s, s.splat(before - largest));
                let sums = workspace.sums.as_mut_ptr().add((first + i) * LANES);
                let mut sum = s.mul(s.load_ptr(sums), factors[i]);
                for at in (0..keys).step_by(LANES) {
                    let at = i * keys + at;
                    let score = s.load_ptr(scores.add(at));
                    let probability = exp(s, s.sub(score, s.splat(largest)));
                    sum = s.add(sum, probability);
                    match operands {
                        Operands::Float { .. } => s.store_ptr(scores.add(at), probability),
                        // None is larger than 1 before all are divided by their sum.
                        Operands::Int8(operands) => {
                            let to = operands.probabilities.as_mut_ptr().cast::<S::Int8>();
                            let scaled = s.mul(probability, s.splat(S8_MAX));
                            s.store_int8(&mut *to.add(at).cast(), scaled);
                        }
                    }
                }
                s.store_ptr(sums, sum);
            }
            for channel in (0..depth).step_by(LANES) {
                let mut sums = [s.splat(0.0); R];
                match operands {
                    Operands::Float { values, .. } => {
                        for row in 0..rows.len() {
                            let probabilities = scores.add(row * across);
                            let v = values.as_ptr().add((start + row * across) * depth + channel);
                            sums = tile(s, sums, probabilities, keys, v, depth, side);
                        }
                    }
                    Operands::Int8(operands) => {
                        let v = operands.values.as_ptr().add(start * depth + channel * keys);
                        let tile = rows.start / self.key_rows();
                        let starts = operands.value_starts.as_ptr().add(tile * depth + channel);
                        let starts = [s.load_i32(&*starts.cast()); R];
                        let probabilities = operands.probabilities.as_ptr().cast::<S::Int8>();
                        let products = s.tile::<R>(starts, probabilities, keys, v, keys);
                        let scale = s.load_ptr(operands.value_scales.as_ptr().add(channel));
                        let scale = s.mul(scale, s.splat(1.0 / S8_MAX));
                        for (i, sum) in products.into_iter().enumerate() {
                            sums[i] = s.mul(s.to_float(sum), scale);
                        }
                    }
                }
                for (i, sum) in sums.into_iter().enumerate() {
                    let at = workspace.attended.as_mut_ptr().add((first + i) * depth + channel);
                    s.store_ptr(at, s.mul_add(s.load_ptr(at), factors[i], sum));
                }
            }
        }
    }
}
