//! Attention of a few tokens to each other.

use std::ops::Range;

use crate::packed::{ROWS, padded, tile, tiles};
use crate::quantize::S8_MAX;
use crate::simd::{LANES, Simd, exp};

/// Added to the scores of tokens that are not there.
pub(crate) const NONE: f32 = -1e30;

/// The smallest range that is resolved, so that no step size is zero.
pub(crate) const TINY: f32 = 1e-12;

/// What an attention among tokens computes with.
pub(crate) struct Attention {
    pub tokens: usize,
    pub heads: usize,
    /// Channels of a head.
    pub depth: usize,
    /// Added to scores, `[heads, tokens, padded tokens]`; very low where there is no token.
    bias: Vec<f32>,
    products: Products,
}

/// The arithmetic of an attention's two products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Products {
    /// In float.
    Float,
    /// In 8 bits: each row of queries, keys and scores has its own step size, and so has each
    /// channel of values.
    Int8,
}

/// Memory for it.
#[derive(Clone, Copy)]
pub(crate) struct Workspace {
    /// Keys of a head, `[depth, padded tokens]`, or packed as weights.
    keys: *mut u8,
    /// Values of a head, packed as weights, if in 8 bits.
    values: *mut u8,
    /// Queries of a head as steps, and step sizes of queries, keys and values.
    queries: *mut u8,
    query_steps: *mut f32,
    key_steps: *mut f32,
    value_steps: *mut f32,
    /// What sums of products with keys and values start with.
    key_starts: *mut i32,
    value_starts: *mut i32,
    /// Scores of a few queries, `[ROWS, padded tokens]`, and as steps.
    scores: *mut f32,
    shares: *mut u8,
}

impl Attention {
    /// `bias` is `[heads, tokens, tokens]`.
    pub(crate) fn new(
        tokens: usize,
        heads: usize,
        depth: usize,
        bias: &[f32],
        products: Products,
    ) -> Self {
        assert!(depth.is_multiple_of(LANES), "heads of {depth} channels");
        let bias = bias.chunks_exact(tokens).flat_map(|row| {
            let rest = padded(tokens) - tokens;
            row.iter().copied().chain(std::iter::repeat_n(NONE, rest))
        });
        Self { tokens, heads, depth, bias: bias.collect(), products }
    }

    fn parts(&self) -> [usize; 10] {
        let (columns, depth) = (padded(self.tokens), self.depth);
        let [float, step] = [size_of::<f32>(), size_of::<i16>()];
        [
            columns * depth * float,
            columns * depth,
            columns * depth * step,
            columns * float,
            columns * float,
            depth * float,
            columns * size_of::<i32>(),
            depth * size_of::<i32>(),
            ROWS * columns * float,
            ROWS * columns * step,
        ]
    }

    /// Bytes of a [`Workspace`].
    pub(crate) fn workspace_bytes(&self) -> usize {
        self.parts().iter().map(|bytes| bytes.next_multiple_of(64)).sum()
    }

    /// The workspace in this memory.
    ///
    /// # Safety
    /// There are so many bytes, aligned for floats.
    pub(crate) unsafe fn workspace(&self, memory: *mut u8) -> Workspace {
        let mut at = memory;
        let mut next = self.parts().map(|bytes| {
            let part = at;
            // SAFETY: the caller's.
            at = unsafe { at.add(bytes.next_multiple_of(64)) };
            part
        });
        let [
            keys,
            values,
            queries,
            query_steps,
            key_steps,
            value_steps,
            starts @ ..,
            scores,
            shares,
        ] = &mut next;
        let [key_starts, value_starts] = starts;
        Workspace {
            keys: *keys,
            values: *values,
            queries: *queries,
            query_steps: query_steps.cast(),
            key_steps: key_steps.cast(),
            value_steps: value_steps.cast(),
            key_starts: key_starts.cast(),
            value_starts: value_starts.cast(),
            scores: scores.cast(),
            shares: *shares,
        }
    }

    /// Attention of one head: of `rows` of the queries, gives [`LANES`] channels at a time as
    /// `(row, channel, values)`.
    ///
    /// # Safety
    /// Queries, keys and values have as many rows as there are tokens, `stride` apart.
    #[inline(always)]
    pub(crate) unsafe fn forward<S: Simd>(
        &self,
        s: S,
        head: usize,
        (qkv, stride): ([*const f32; 3], usize),
        rows: impl Iterator<Item = Range<usize>>,
        workspace: Workspace,
        mut each: impl FnMut(usize, usize, S::F),
    ) {
        let columns = padded(self.tokens);
        // SAFETY: the caller's; the workspace is as large as it says.
        unsafe {
            match self.products {
                Products::Float => self.transpose_keys(qkv[1], stride, workspace),
                Products::Int8 => self.quantize(s, qkv, stride, workspace),
            }
            for rows in rows {
                tiles!(rows.len(), first, R => {
                    let first = rows.start + first;
                    let bias = self.bias.as_ptr().add((head * self.tokens + first) * columns);
                    match self.products {
                            Products::Float => {
                                let queries = Queries {
                                    q: qkv[0].add(first * stride),
                                    q_stride: stride,
                                    keys: workspace.keys.cast(),
                                    v: qkv[2],
                                    v_stride: stride,
                                    tokens: self.tokens,
                                    depth: self.depth,
                                    bias,
                                    bias_stride: columns,
                                    scores: workspace.scores,
                                };
                                queries.attend::<S, R>(
                                    s,
                                    #[inline(always)]
                                    |row, channel, y| each(first + row, channel, y),
                                );
                            }
                            Products::Int8 => {
                                let rows = Rows::<R> { first, bias };
                                self.in_steps(s, rows, workspace, &mut each);
                            }
                    }
                });
            }
        }
    }

    #[inline(always)]
    unsafe fn transpose_keys(&self, k: *const f32, stride: usize, workspace: Workspace) {
        let columns = padded(self.tokens);
        let keys: *mut f32 = workspace.keys.cast();
        for channel in 0..self.depth {
            for token in 0..columns {
                // SAFETY: the caller's.
                unsafe {
                    let is_there = token < self.tokens;
                    let key = if is_there { *k.add(token * stride + channel) } else { 0.0 };
                    *keys.add(channel * columns + token) = key;
                }
            }
        }
    }

    /// Queries, keys and values of a head as steps.
    #[inline(always)]
    unsafe fn quantize<S: Simd>(
        &self,
        s: S,
        [q, k, v]: [*const f32; 3],
        stride: usize,
        workspace: Workspace,
    ) {
        let Self { tokens, depth, .. } = *self;
        let columns = padded(tokens);
        let (keys, values): (*mut i8, *mut i8) = (workspace.keys.cast(), workspace.values.cast());
        // SAFETY: the caller's.
        unsafe {
            keys.write_bytes(0, columns * depth);
            values.write_bytes(0, columns * depth);
            workspace.key_steps.write_bytes(0, columns);
            workspace.key_starts.write_bytes(0, columns);
            workspace.value_starts.write_bytes(0, depth);
            for channel in (0..depth).step_by(LANES) {
                let mut largest = s.splat(TINY);
                for token in 0..tokens {
                    largest = s.max(largest, s.abs(s.load(v.add(token * stride + channel))));
                }
                let step = s.mul(largest, s.splat(1.0 / S8_MAX));
                s.store(workspace.value_steps.add(channel), step);
                let inverse = s.div(s.splat(1.0), step);
                let values = values.add(channel * columns);
                let starts = workspace.value_starts.add(channel);
                for token in 0..tokens {
                    let x = s.mul(s.load(v.add(token * stride + channel)), inverse);
                    put_value(s, (values, starts), token, x);
                }
            }
            for token in 0..tokens {
                let (q, k) = (q.add(token * stride), k.add(token * stride));
                let [of_query, of_key] = [q, k].map(
                    #[inline(always)]
                    |row| row_step(s, row, depth),
                );
                *workspace.query_steps.add(token) = of_query;
                *workspace.key_steps.add(token) = of_key;
                let queries = workspace.queries.cast::<S::Step>().add(token * depth);
                put_query(s, queries, (q, depth), of_query);
                put_key(s, (keys, workspace.key_starts), token, (k, depth), of_key);
            }
        }
    }

    #[inline(always)]
    unsafe fn in_steps<S: Simd, const R: usize>(
        &self,
        s: S,
        Rows { first, bias }: Rows<R>,
        workspace: Workspace,
        each: &mut impl FnMut(usize, usize, S::F),
    ) {
        let (columns, depth, scores) = (padded(self.tokens), self.depth, workspace.scores);
        let (queries, shares) =
            (workspace.queries.cast::<S::Step>(), workspace.shares.cast::<S::Step>());
        let (keys, values): (*const i8, *const i8) =
            (workspace.keys.cast(), workspace.values.cast());
        // SAFETY: the caller's.
        unsafe {
            let queries = queries.add(first * depth);
            let mut largest = [s.splat(NONE); R];
            for column in (0..columns).step_by(LANES) {
                let keys = keys.add(column * depth);
                let start = s.sums(workspace.key_starts.add(column));
                let sums = s.tile::<R>([start; R], queries, depth, keys, depth);
                let key_steps = s.load(workspace.key_steps.add(column));
                for (row, sum) in sums.into_iter().enumerate() {
                    let at = row * columns + column;
                    let step = s.splat(*workspace.query_steps.add(first + row));
                    let score = s.mul(s.to_float(sum), s.mul(step, key_steps));
                    let score = s.add(score, s.load(bias.add(at)));
                    largest[row] = s.max(largest[row], score);
                    s.store(scores.add(at), score);
                }
            }
            let mut steps = [s.splat(0.0); R];
            for row in 0..R {
                let largest = s.splat(s.largest(largest[row]));
                let mut sum = s.splat(0.0);
                for column in (0..columns).step_by(LANES) {
                    let at = row * columns + column;
                    let share = exp(s, s.sub(s.load(scores.add(at)), largest));
                    sum = s.add(sum, share);
                    // The largest share is 1 before all are divided by their sum.
                    s.store_steps(shares.add(at), s.mul(share, s.splat(S8_MAX)));
                }
                steps[row] = s.splat(1.0 / (s.sum(sum) * S8_MAX));
            }
            for channel in (0..depth).step_by(LANES) {
                let values = values.add(channel * columns);
                let start = s.sums(workspace.value_starts.add(channel));
                let sums = s.tile::<R>([start; R], shares, columns, values, columns);
                let value_steps = s.load(workspace.value_steps.add(channel));
                for (row, sum) in sums.into_iter().enumerate() {
                    let y = s.mul(s.to_float(sum), s.mul(steps[row], value_steps));
                    each(first + row, channel, y);
                }
            }
        }
    }
}

/// The step size of a query or key of `depth` channels.
///
/// # Safety
/// It has so many.
#[inline(always)]
pub(crate) unsafe fn row_step<S: Simd>(s: S, row: *const f32, depth: usize) -> f32 {
    let mut largest = s.splat(TINY);
    for channel in (0..depth).step_by(LANES) {
        // SAFETY: the caller's.
        largest = unsafe { s.max(largest, s.abs(s.load(row.add(channel)))) };
    }
    s.largest(largest) / S8_MAX
}

/// Writes a query of `depth` channels as steps of size `step`.
///
/// # Safety
/// It has so many, and there is room for them.
#[inline(always)]
pub(crate) unsafe fn put_query<S: Simd>(
    s: S,
    to: *mut S::Step,
    (query, depth): (*const f32, usize),
    step: f32,
) {
    let inverse = s.splat(1.0 / step);
    for channel in (0..depth).step_by(LANES) {
        // SAFETY: the caller's.
        unsafe { s.store_steps(to.add(channel), s.mul(s.load(query.add(channel)), inverse)) };
    }
}

/// Puts a key of `depth` channels, in steps of size `step`, among those of its head, which are
/// packed as weights: outputs are keys. `starts` are what sums of products with them start with.
///
/// # Safety
/// It has so many channels, and there is room for keys up to this one.
#[inline(always)]
pub(crate) unsafe fn put_key<S: Simd>(
    s: S,
    (keys, starts): (*mut i8, *mut i32),
    at: usize,
    (key, depth): (*const f32, usize),
    step: f32,
) {
    let inverse = s.splat(1.0 / step);
    let mut bytes = [0_i8; LANES];
    // SAFETY: the caller's.
    unsafe {
        let keys = keys.add(at / LANES * LANES * depth + at % LANES * S::GROUP);
        for channel in (0..depth).step_by(LANES) {
            s.store_bytes(bytes.as_mut_ptr(), s.mul(s.load(key.add(channel)), inverse));
            if S::OFFSET != 0 {
                let sum: i32 = bytes.iter().map(|byte| i32::from(*byte)).sum();
                *starts.add(at) -= S::OFFSET * sum;
            }
            for (group, byte) in bytes.chunks_exact(S::GROUP).enumerate() {
                let at = (channel / S::GROUP + group) * LANES * S::GROUP;
                keys.add(at).copy_from_nonoverlapping(byte.as_ptr(), S::GROUP);
            }
        }
    }
}

/// The same for [`LANES`] channels of a value, already in steps, where inputs are values.
///
/// # Safety
/// There is room for values up to this one, and for as many starts as channels.
#[inline(always)]
pub(crate) unsafe fn put_value<S: Simd>(
    s: S,
    (values, starts): (*mut i8, *mut i32),
    at: usize,
    x: S::F,
) {
    let mut bytes = [0_i8; LANES];
    // SAFETY: the caller's.
    unsafe {
        s.store_bytes(bytes.as_mut_ptr(), x);
        // All outputs of a group of inputs lie together.
        let values = values.add(at / S::GROUP * LANES * S::GROUP + at % S::GROUP);
        for (lane, byte) in bytes.iter().enumerate() {
            *values.add(lane * S::GROUP) = *byte;
            if S::OFFSET != 0 {
                *starts.add(lane) -= S::OFFSET * i32::from(*byte);
            }
        }
    }
}

/// A few queries of one head, and what they attend to, in float.
pub(crate) struct Queries {
    pub q: *const f32,
    pub q_stride: usize,
    /// `[depth, padded tokens]`.
    pub keys: *const f32,
    pub v: *const f32,
    pub v_stride: usize,
    pub tokens: usize,
    pub depth: usize,
    /// Added to scores, `[rows, padded tokens]`; very low where there is no token.
    pub bias: *const f32,
    /// 0 where all rows have the same.
    pub bias_stride: usize,
    /// Memory for as many scores.
    pub scores: *mut f32,
}

impl Queries {
    /// Of `R` of them, gives [`LANES`] channels at a time as `(row, channel, values)`.
    ///
    /// # Safety
    /// All is as long as the shapes say.
    #[inline(always)]
    pub(crate) unsafe fn attend<S: Simd, const R: usize>(
        &self,
        s: S,
        mut each: impl FnMut(usize, usize, S::F),
    ) {
        let Self { q, q_stride, keys, v, v_stride, tokens, depth, scores, .. } = *self;
        let columns = padded(tokens);
        // SAFETY: the caller's.
        unsafe {
            let mut largest = [s.splat(NONE); R];
            for column in (0..columns).step_by(LANES) {
                let nothing = [s.splat(0.0); R];
                let sums = tile(s, nothing, q, q_stride, keys.add(column), columns, depth);
                for (row, sum) in sums.into_iter().enumerate() {
                    let bias = s.load(self.bias.add(row * self.bias_stride + column));
                    let score = s.add(sum, bias);
                    largest[row] = s.max(largest[row], score);
                    s.store(scores.add(row * columns + column), score);
                }
            }
            let mut inverse = [s.splat(0.0); R];
            for row in 0..R {
                let largest = s.splat(s.largest(largest[row]));
                let mut sum = s.splat(0.0);
                for column in (0..columns).step_by(LANES) {
                    let at = scores.add(row * columns + column);
                    let share = exp(s, s.sub(s.load(at), largest));
                    sum = s.add(sum, share);
                    s.store(at, share);
                }
                inverse[row] = s.splat(1.0 / s.sum(sum));
            }
            for channel in (0..depth).step_by(LANES) {
                let nothing = [s.splat(0.0); R];
                let sums = tile(s, nothing, scores, columns, v.add(channel), v_stride, tokens);
                for (row, sum) in sums.into_iter().enumerate() {
                    each(row, channel, s.mul(sum, inverse[row]));
                }
            }
        }
    }
}

/// `R` queries from `first` on, and what is added to their scores.
#[derive(Clone, Copy)]
struct Rows<const R: usize> {
    first: usize,
    bias: *const f32,
}
