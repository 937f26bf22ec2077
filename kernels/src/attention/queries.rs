//! Attention of a few queries of one head, in float.

use super::MASKED;
use crate::packed::tile;
use crate::simd::{LANES, Simd, exp, padded};

/// A few queries of one head, and the keys and values that they attend to.
pub(crate) struct Queries<'a> {
    /// The queries, `q_stride` apart.
    pub q: &'a [f32],
    pub q_stride: usize,
    /// `[depth, padded tokens]`.
    pub keys: &'a [f32],
    /// The values, `v_stride` apart.
    pub v: &'a [f32],
    pub v_stride: usize,
    pub tokens: usize,
    /// Channels of the head.
    pub depth: usize,
    /// Added to scores, `[queries, padded tokens]`; [`MASKED`] for padding.
    pub bias: &'a [f32],
    /// Distance of the queries' biases; 0 if they share one.
    pub bias_stride: usize,
    /// Memory for scores, `[queries, padded tokens]`.
    pub scores: &'a mut [f32],
}

impl Queries<'_> {
    /// The attention of `R` queries. Calls `each` with [`LANES`] channels at a time, as `(row,
    /// channel, values)`. Rows are less than `R`, channels ascend in steps of [`LANES`] and stay
    /// below `depth`.
    ///
    /// # Panics
    /// If a slice is shorter than the shapes say.
    #[inline(always)]
    pub(crate) fn attend<S: Simd, const R: usize>(
        self,
        s: S,
        mut each: impl FnMut(usize, usize, S::F),
    ) {
        let Self { q, q_stride, keys, v, v_stride, tokens, depth, bias, bias_stride, scores } =
            self;
        let columns = padded(tokens);
        assert!(
            tokens > 0
                && depth.is_multiple_of(LANES)
                && q.len() >= (R - 1) * q_stride + depth
                && keys.len() >= depth * columns
                && v.len() >= (tokens - 1) * v_stride + depth
                && bias.len() >= (R - 1) * bias_stride + columns
                && scores.len() >= R * columns,
            "slices of an attention of {tokens} tokens with heads of {depth} channels"
        );
        let (q, keys, v) = (q.as_ptr(), keys.as_ptr(), v.as_ptr());
        let (bias, scores) = (bias.as_ptr(), scores.as_mut_ptr());
        // SAFETY: rows are less than `R`, columns less than the padded tokens and channels less
        // than `depth`, both in whole `LANES`; the slices have such elements, as checked above.
        unsafe {
            let mut largest = [s.splat(MASKED); R];
            for column in (0..columns).step_by(LANES) {
                let zeros = [s.splat(0.0); R];
                let sums = tile(s, zeros, q, q_stride, keys.add(column), columns, depth);
                for (row, sum) in sums.into_iter().enumerate() {
                    let bias = s.load_ptr(bias.add(row * bias_stride + column));
                    let score = s.add(sum, bias);
                    largest[row] = s.max(largest[row], score);
                    s.store_ptr(scores.add(row * columns + column), score);
                }
            }
            let mut inverse = [s.splat(0.0); R];
            for row in 0..R {
                let largest = s.splat(s.max_lane(largest[row]));
                let mut sum = s.splat(0.0);
                for column in (0..columns).step_by(LANES) {
                    let at = scores.add(row * columns + column);
                    let probability = exp(s, s.sub(s.load_ptr(at), largest));
                    sum = s.add(sum, probability);
                    s.store_ptr(at, probability);
                }
                inverse[row] = s.splat(1.0 / s.sum(sum));
            }
            for channel in (0..depth).step_by(LANES) {
                let zeros = [s.splat(0.0); R];
                let sums = tile(s, zeros, scores, columns, v.add(channel), v_stride, tokens);
                for (row, sum) in sums.into_iter().enumerate() {
                    each(row, channel, s.mul(sum, inverse[row]));
                }
            }
        }
    }
}
