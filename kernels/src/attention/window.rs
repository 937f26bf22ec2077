//! Attention of the tokens of a window to each other.

use std::ops::Range;

use super::quantized::{put_key, put_query, put_value, row_scale};
use super::{MASKED, MIN_RANGE, Products, Queries};
use crate::packed::{ROWS, tiles};
use crate::quantize::S8_MAX;
use crate::scratch::Slices;
use crate::simd::{LANES, Simd, exp, padded};

/// Attention of all tokens to each other, head by head, with a bias for each pair of tokens.
pub(crate) struct WindowAttention {
    tokens: usize,
    heads: usize,
    /// Channels of a head, in whole [`LANES`].
    depth: usize,
    /// Added to scores, `[heads, tokens, padded tokens]`; [`MASKED`] for padding.
    bias: Vec<f32>,
    products: Products,
}

/// Memory for the attention of one head.
///
/// The slices have these shapes, or all are empty ([`Slices::bytes`]).
pub(crate) struct WindowWorkspace<'a> {
    /// Tokens and depth of the attention that the slices were taken for.
    shape: [usize; 2],
    /// Scores of a tile of queries, `[ROWS, padded tokens]`.
    scores: &'a mut [f32],
    operands: Operands<'a>,
}

/// Operands of the two products.
enum Operands<'a> {
    Float {
        /// `[depth, padded tokens]`.
        keys: &'a mut [f32],
    },
    Int8(Int8Operands<'a>),
}

/// Quantized operands of one head.
struct Int8Operands<'a> {
    /// `[tokens, depth]` of [`Simd::Int8`].
    queries: &'a mut [i16],
    /// `[tokens]`.
    query_scales: &'a mut [f32],
    /// Packed as weights, `[padded tokens, depth]`.
    keys: &'a mut [i8],
    /// `[padded tokens]`.
    key_scales: &'a mut [f32],
    /// First summands of products with keys, `[padded tokens]`.
    key_starts: &'a mut [i32],
    /// Packed as weights, `[depth, padded tokens]`.
    values: &'a mut [i8],
    /// `[depth]`.
    value_scales: &'a mut [f32],
    /// First summands of products with values, `[depth]`.
    value_starts: &'a mut [i32],
    /// Attention probabilities of a tile of queries, `[ROWS, padded tokens]` of [`Simd::Int8`].
    probabilities: &'a mut [i16],
}

impl WindowAttention {
    /// `depth` is a multiple of [`LANES`], `bias` is `[heads, tokens, tokens]`.
    pub(crate) fn new(
        tokens: usize,
        heads: usize,
        depth: usize,
        bias: &[f32],
        products: Products,
    ) -> Self {
        assert!(depth.is_multiple_of(LANES) && bias.len() == heads * tokens * tokens);
        let bias = bias.chunks_exact(tokens).flat_map(|row| {
            let padding = padded(tokens) - tokens;
            row.iter().copied().chain(std::iter::repeat_n(MASKED, padding))
        });
        Self { tokens, heads, depth, bias: bias.collect(), products }
    }

    pub(crate) fn heads(&self) -> usize {
        self.heads
    }

    /// Channels of a head.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Takes memory for one head.
    pub(crate) fn workspace<'a>(&self, slices: &mut Slices<'a>) -> WindowWorkspace<'a> {
        let Self { tokens, depth, products, .. } = *self;
        let columns = padded(tokens);
        WindowWorkspace {
            shape: [tokens, depth],
            scores: slices.take(ROWS * columns),
            operands: match products {
                Products::Float => Operands::Float { keys: slices.take(depth * columns) },
                Products::Int8 => Operands::Int8(Int8Operands {
                    queries: slices.take(tokens * depth),
                    query_scales: slices.take(tokens),
                    keys: slices.take(columns * depth),
                    key_scales: slices.take(columns),
                    key_starts: slices.take(columns),
                    values: slices.take(depth * columns),
                    value_scales: slices.take(depth),
                    value_starts: slices.take(depth),
                    probabilities: slices.take(ROWS * columns),
                }),
            },
        }
    }

    /// The attention of one head to `qkv`: query, key and value of each token, `[tokens, 3, depth]`.
    /// For the queries in `rows`, calls `each` with [`LANES`] channels at a time, as `(row, channel,
    /// values)`. Rows are among `rows`, channels ascend in steps of [`LANES`] and stay below
    /// `depth`.
    ///
    /// # Panics
    /// If `qkv` is too short, there is no such head or row, or the workspace was taken for another
    /// attention.
    #[inline(always)]
    pub(crate) fn forward<S: Simd>(
        &self,
        s: S,
        head: usize,
        qkv: &[f32],
        rows: impl Iterator<Item = Range<usize>>,
        workspace: &mut WindowWorkspace,
        mut each: impl FnMut(usize, usize, S::F),
    ) {
        let Self { tokens, heads, depth, .. } = *self;
        let (columns, stride) = (padded(tokens), 3 * depth);
        assert!(head < heads && qkv.len() >= tokens * stride, "head {head} of a window");
        let bias = &self.bias[head * tokens * columns..][..tokens * columns];
        let WindowWorkspace { shape, scores, operands } = workspace;
        let is_counted = scores.is_empty();
        assert!(*shape == [tokens, depth] && !is_counted, "workspace of {shape:?}");
        match operands {
            Operands::Float { keys } => {
                self.transpose_keys(qkv, keys);
                for rows in rows {
                    tiles!(rows.len(), first, R => {
                        let first = rows.start + first;
                        let queries = Queries {
                            q: &qkv[first * stride..],
                            q_stride: stride,
                            keys,
                            v: &qkv[2 * depth..],
                            v_stride: stride,
                            tokens,
                            depth,
                            bias: &bias[first * columns..],
                            bias_stride: columns,
                            scores,
                        };
                        queries.attend::<S, R>(
                            s,
                            #[inline(always)]
                            |row, channel, y| each(first + row, channel, y),
                        );
                    });
                }
            }
            Operands::Int8(operands) => {
                operands.quantize(s, qkv, (tokens, depth));
                for rows in rows {
                    assert!(rows.end <= tokens, "rows {rows:?} of {tokens}");
                    tiles!(rows.len(), first, R => {
                        let tile = Int8Tile { first: rows.start + first, tokens, depth };
                        // SAFETY: `operands` and `scores` were taken for this attention, the rows
                        // are tokens, and `bias` has `columns` values for each.
                        unsafe { tile.attend::<S, R>(s, bias, operands, scores, &mut each) };
                    });
                }
            }
        }
    }

    /// Copies the keys to `[depth, padded tokens]`.
    fn transpose_keys(&self, qkv: &[f32], keys: &mut [f32]) {
        let Self { tokens, depth, .. } = *self;
        for (channel, row) in keys.chunks_exact_mut(padded(tokens)).enumerate() {
            let of_tokens = qkv[depth + channel..].iter().step_by(3 * depth);
            let (keys, padding) = row.split_at_mut(tokens);
            keys.iter_mut().zip(of_tokens).for_each(|(key, x)| *key = *x);
            padding.fill(0.0);
        }
    }
}

impl Int8Operands<'_> {
    /// Quantizes queries, keys and values `[tokens, 3, depth]`.
    #[inline(always)]
    fn quantize<S: Simd>(&mut self, s: S, qkv: &[f32], (tokens, depth): (usize, usize)) {
        let (columns, groups) = (padded(tokens), depth / LANES);
        self.keys.fill(0);
        self.values.fill(0);
        self.key_scales.fill(0.0);
        self.key_starts.fill(0);
        self.value_starts.fill(0);
        let vectors = qkv.as_chunks().0;
        for group in 0..groups {
            let of_tokens =
                || vectors[2 * groups + group..].iter().step_by(3 * groups).take(tokens);
            let mut largest = s.splat(MIN_RANGE);
            for x in of_tokens() {
                largest = s.max(largest, s.abs(s.load(x)));
            }
            let scale = s.mul(largest, s.splat(1.0 / S8_MAX));
            s.store(&mut self.value_scales.as_chunks_mut().0[group], scale);
            let inverse_scale = s.div(s.splat(1.0), scale);
            let values = &mut self.values[group * LANES * columns..][..LANES * columns];
            let starts = &mut self.value_starts.as_chunks_mut().0[group];
            for (token, x) in of_tokens().enumerate() {
                put_value(s, (values, starts), token, s.mul(s.load(x), inverse_scale));
            }
        }
        for (token, qkv) in qkv.chunks_exact(3 * depth).take(tokens).enumerate() {
            let (query, key) = (&qkv[..depth], &qkv[depth..2 * depth]);
            let [query_scale, key_scale] = [query, key].map(
                #[inline(always)]
                |row| row_scale(s, row),
            );
            self.query_scales[token] = query_scale;
            self.key_scales[token] = key_scale;
            // An int8 value takes at most the two bytes of an `i16`.
            let queries = &mut self.queries[..tokens * depth];
            // SAFETY: `token` is less than `tokens`, and a query has `depth` values.
            unsafe {
                let queries = queries.as_mut_ptr().cast::<S::Int8>().add(token * depth);
                put_query(s, queries, query, query_scale);
            }
            put_key(s, (self.keys, self.key_starts), token, key, key_scale);
        }
    }
}

/// A few queries of a head, from the token `first` on.
struct Int8Tile {
    first: usize,
    tokens: usize,
    depth: usize,
}

impl Int8Tile {
    /// The attention of `R` queries, as [`WindowAttention::forward`].
    ///
    /// # Safety
    /// `operands` and `scores` have the shapes of a [`WindowWorkspace`] for this number of tokens
    /// and depth. There are `first + R` tokens, and `bias` has a padded row for each.
    #[inline(always)]
    unsafe fn attend<S: Simd, const R: usize>(
        self,
        s: S,
        bias: &[f32],
        operands: &mut Int8Operands,
        scores: &mut [f32],
        each: &mut impl FnMut(usize, usize, S::F),
    ) {
        let Self { first, tokens, depth } = self;
        let columns = padded(tokens);
        let Int8Operands { keys, key_starts, key_scales, query_scales, .. } = &*operands;
        let (keys, key_starts) = (keys.as_ptr(), key_starts.as_ptr());
        let (key_scales, query_scales) = (key_scales.as_ptr(), query_scales.as_ptr());
        let Int8Operands { values, value_starts, value_scales, .. } = &*operands;
        let (values, value_starts) = (values.as_ptr(), value_starts.as_ptr());
        let (value_scales, queries) = (value_scales.as_ptr(), operands.queries.as_ptr());
        let probabilities = operands.probabilities.as_mut_ptr().cast::<S::Int8>();
        let scores = scores.as_mut_ptr();
        // SAFETY: rows are less than `R`, columns less than the padded tokens and channels less
        // than `depth`, both in whole `LANES`. By this function's contract all slices have such
        // elements.
        unsafe {
            let bias = bias.as_ptr().add(first * columns);
            let queries = queries.cast::<S::Int8>().add(first * depth);
            let mut largest = [s.splat(MASKED); R];
            for column in (0..columns).step_by(LANES) {
                let start = s.load_i32(&*key_starts.add(column).cast());
                let keys = keys.add(column * depth);
                let sums = s.tile::<R>([start; R], queries, depth, keys, depth);
                let key_scales = s.load_ptr(key_scales.add(column));
                for (row, sum) in sums.into_iter().enumerate() {
                    let at = row * columns + column;
                    let query_scale = s.splat(*query_scales.add(first + row));
                    let score = s.mul(s.to_float(sum), s.mul(query_scale, key_scales));
                    let score = s.add(score, s.load_ptr(bias.add(at)));
                    largest[row] = s.max(largest[row], score);
                    s.store_ptr(scores.add(at), score);
                }
            }
            let mut scales = [s.splat(0.0); R];
            for row in 0..R {
                let largest = s.splat(s.max_lane(largest[row]));
                let mut sum = s.splat(0.0);
                for column in (0..columns).step_by(LANES) {
                    let at = row * columns + column;
                    let probability = exp(s, s.sub(s.load_ptr(scores.add(at)), largest));
                    sum = s.add(sum, probability);
                    // The largest is 1 before all are divided by their sum.
                    let scaled = s.mul(probability, s.splat(S8_MAX));
                    s.store_int8(&mut *probabilities.add(at).cast(), scaled);
                }
                scales[row] = s.splat(1.0 / (s.sum(sum) * S8_MAX));
            }
            for channel in (0..depth).step_by(LANES) {
                let start = s.load_i32(&*value_starts.add(channel).cast());
                let values = values.add(channel * columns);
                let sums = s.tile::<R>([start; R], probabilities, columns, values, columns);
                let value_scales = s.load_ptr(value_scales.add(channel));
                for (row, sum) in sums.into_iter().enumerate() {
                    let y = s.mul(s.to_float(sum), s.mul(scales[row], value_scales));
                    each(first + row, channel, y);
                }
            }
        }
    }
}
