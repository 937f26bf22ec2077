//! Attention among the positions of a square, with decomposed relative positions: tiles of
//! queries against tiles of keys (FlashAttention), so that only a few rows of scores exist at
//! once.

use std::ops::Range;

use crate::attention::{NONE, Products, TINY, put_key, put_query, put_value, row_step};
use crate::block::Side;
use crate::packed::{ROWS, padded, tile, tiles};
use crate::quantize::S8_MAX;
use crate::scratch::{Scratch, total};
use crate::simd::{LANES, Simd, exp};

/// Attention of all positions of a square to each other, head by head.
///
/// Keys lie in rows of whole [`LANES`]. So those that are computed at once have the same row,
/// and what is added to their scores is one value for that and one for each column.
pub(crate) struct RelativeAttention {
    pub side: usize,
    pub heads: usize,
    /// Channels of a head.
    pub depth: usize,
    /// For rows and columns: `[side, depth, padded side]`, position of the query, channel,
    /// position of the key.
    tables: [Vec<f32>; 2],
    /// `[padded side]`: very low where there is no column.
    columns: Vec<f32>,
    products: Products,
}

/// Memory for it.
#[derive(Clone, Copy)]
pub(crate) struct Workspace {
    /// `[padded positions / LANES, depth, LANES]`, or packed as weights.
    keys: *mut u8,
    /// `[padded positions, depth]`, or each tile packed as weights.
    values: *mut u8,
    key_steps: *mut f32,
    value_steps: *mut f32,
    /// What sums of products with keys, and with each tile's values, start with.
    key_starts: *mut i32,
    value_starts: *mut i32,
    /// Of a tile of queries, all that follows: `[queries, depth]`.
    queries: *mut f32,
    query_steps: *mut f32,
    /// Queries as steps.
    steps: *mut u8,
    /// Added to scores by the key's row and column, `[queries, padded side]`.
    biases: [*mut f32; 2],
    /// The largest score up to here.
    largest: *mut f32,
    /// Sums of shares up to here, `[queries, LANES]`, and of values, `[queries, depth]`.
    sums: *mut f32,
    attended: *mut f32,
    /// Scores of a few queries and a tile of keys, `[ROWS, keys]`, and as steps.
    scores: *mut f32,
    shares: *mut u8,
}

/// Keys of a tile, and queries of one, about.
const KEYS: usize = 256;
const QUERIES: usize = 64;

impl RelativeAttention {
    /// `tables` are `[side, depth, side]`: position of the query, channel, position of the key;
    /// for rows, then for columns.
    pub(crate) fn new(
        side: usize,
        heads: usize,
        depth: usize,
        tables: [&[f32]; 2],
        products: Products,
    ) -> Self {
        assert!(depth.is_multiple_of(LANES), "heads of {depth} channels");
        let rest = padded(side) - side;
        let pad = |table: &[f32]| {
            assert_eq!(table.len(), side * depth * side);
            let rows = table.chunks_exact(side);
            rows.flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(0.0, rest))).collect()
        };
        let mut columns = vec![0.0; side];
        columns.resize(padded(side), NONE);
        Self { side, heads, depth, tables: tables.map(pad), columns, products }
    }

    /// Rows of keys in a tile.
    fn key_rows(&self) -> usize {
        (KEYS / padded(self.side)).clamp(1, self.side)
    }

    /// Rows of queries in a tile.
    fn query_rows(&self) -> usize {
        (QUERIES / self.side).clamp(1, self.side)
    }

    fn parts(&self) -> [usize; 16] {
        let Self { side, depth, products, .. } = *self;
        let across = padded(side);
        let (positions, keys) = (side * across, self.key_rows() * across);
        let queries = self.query_rows() * side;
        let [float, step] = [size_of::<f32>(), size_of::<i16>()];
        let packed = if products == Products::Int8 { 1 } else { float };
        [
            positions * depth * packed,
            positions * depth * packed,
            positions * float,
            depth * float,
            positions * size_of::<i32>(),
            side.div_ceil(self.key_rows()) * depth * size_of::<i32>(),
            queries * depth * float,
            queries * float,
            queries * depth * step,
            queries * across * float,
            queries * across * float,
            queries * float,
            queries * LANES * float,
            queries * depth * float,
            ROWS * keys * float,
            ROWS * keys * step,
        ]
    }

    /// Bytes of a [`Workspace`].
    pub(crate) fn workspace_bytes(&self) -> usize {
        total(self.parts())
    }

    /// The workspace in this memory.
    pub(crate) fn workspace(&self, scratch: &mut Scratch) -> Workspace {
        let [
            keys,
            values,
            key_steps,
            value_steps,
            key_starts,
            value_starts,
            queries,
            query_steps,
            steps,
            rows,
            columns,
            largest,
            sums,
            attended,
            scores,
            shares,
        ] = scratch.parts(self.parts());
        Workspace {
            keys,
            values,
            key_steps: key_steps.cast(),
            value_steps: value_steps.cast(),
            key_starts: key_starts.cast(),
            value_starts: value_starts.cast(),
            queries: queries.cast(),
            query_steps: query_steps.cast(),
            steps,
            biases: [rows.cast(), columns.cast()],
            largest: largest.cast(),
            sums: sums.cast(),
            attended: attended.cast(),
            scores: scores.cast(),
            shares,
        }
    }

    /// Attention of one head. `qkv` gives where queries, keys and values of a row and column of
    /// the square are, `[3, heads, depth]`. Of the positions of `map`, which begins where the
    /// square does, gives [`LANES`] channels of the head at a time as `(row, column, channel,
    /// values)`.
    ///
    /// # Safety
    /// There are queries, keys and values at all positions of the square. What `each` writes
    /// over are queries of the position that it is given.
    #[inline(always)]
    pub(crate) unsafe fn forward<S: Simd>(
        &self,
        s: S,
        head: usize,
        qkv: impl Fn(usize, usize) -> *const f32,
        map: Side,
        workspace: Workspace,
        mut each: impl FnMut(usize, usize, usize, S::F),
    ) {
        let Self { side, heads, depth, .. } = *self;
        // SAFETY: the caller's; the workspace is as large as it says.
        unsafe {
            let part = |i: usize, row, column| qkv(row, column).add((i * heads + head) * depth);
            let keys = |row, column| part(1, row, column);
            let values = |row, column| part(2, row, column);
            match self.products {
                Products::Float => self.pack(keys, values, workspace),
                Products::Int8 => self.quantize(s, keys, values, workspace),
            }
            for top in (0..map.height).step_by(self.query_rows()) {
                let rows = top..(top + self.query_rows()).min(map.height);
                let count = rows.len() * map.width;
                let queries = |row, column| part(0, row, column);
                self.take_queries(s, queries, rows, map.width, workspace);
                for first in (0..side).step_by(self.key_rows()) {
                    let keys = first..(first + self.key_rows()).min(side);
                    tiles!(count, query, R => {
                        self.attend::<S, R>(s, query, keys.clone(), workspace);
                    });
                }
                for query in 0..count {
                    let sum = s.sum(s.load(workspace.sums.add(query * LANES)));
                    let inverse = s.splat(1.0 / sum);
                    for channel in (0..depth).step_by(LANES) {
                        let y = s.load(workspace.attended.add(query * depth + channel));
                        let (row, column) = (top + query / map.width, query % map.width);
                        each(row, column, channel, s.mul(y, inverse));
                    }
                }
            }
        }
    }

    /// Keys and values of a head in float.
    #[inline(always)]
    unsafe fn pack(
        &self,
        k: impl Fn(usize, usize) -> *const f32,
        v: impl Fn(usize, usize) -> *const f32,
        workspace: Workspace,
    ) {
        let Self { side, depth, .. } = *self;
        let across = padded(side);
        let (keys, values): (*mut f32, *mut f32) = (workspace.keys.cast(), workspace.values.cast());
        // SAFETY: the caller's.
        unsafe {
            keys.write_bytes(0, side * across * depth);
            for row in 0..side {
                for column in 0..side {
                    let at = row * across + column;
                    let (key, to) = (k(row, column), keys.add(at / LANES * LANES * depth));
                    for channel in 0..depth {
                        *to.add(channel * LANES + at % LANES) = *key.add(channel);
                    }
                    values.add(at * depth).copy_from_nonoverlapping(v(row, column), depth);
                }
            }
        }
    }

    /// Keys and values of a head as steps.
    #[inline(always)]
    unsafe fn quantize<S: Simd>(
        &self,
        s: S,
        k: impl Fn(usize, usize) -> *const f32,
        v: impl Fn(usize, usize) -> *const f32,
        workspace: Workspace,
    ) {
        let Self { side, depth, .. } = *self;
        let across = padded(side);
        let (keys, values): (*mut i8, *mut i8) = (workspace.keys.cast(), workspace.values.cast());
        // SAFETY: the caller's.
        unsafe {
            keys.write_bytes(0, side * across * depth);
            values.write_bytes(0, side * across * depth);
            workspace.key_steps.write_bytes(0, side * across);
            workspace.key_starts.write_bytes(0, side * across);
            workspace.value_starts.write_bytes(0, side.div_ceil(self.key_rows()) * depth);
            for channel in (0..depth).step_by(LANES) {
                let mut largest = s.splat(TINY);
                for row in 0..side {
                    for column in 0..side {
                        largest = s.max(largest, s.abs(s.load(v(row, column).add(channel))));
                    }
                }
                let step = s.mul(largest, s.splat(1.0 / S8_MAX));
                s.store(workspace.value_steps.add(channel), step);
                let inverse = s.div(s.splat(1.0), step);
                for row in 0..side {
                    // All channels of a tile of keys lie together.
                    let first = row / self.key_rows() * self.key_rows();
                    let keys = self.key_rows().min(side - first) * across;
                    let values = values.add(first * across * depth + channel * keys);
                    let starts =
                        workspace.value_starts.add(row / self.key_rows() * depth + channel);
                    for column in 0..side {
                        let x = s.mul(s.load(v(row, column).add(channel)), inverse);
                        put_value(s, (values, starts), (row - first) * across + column, x);
                    }
                }
            }
            for row in 0..side {
                for column in 0..side {
                    let (key, at) = (k(row, column), row * across + column);
                    let step = row_step(s, key, depth);
                    *workspace.key_steps.add(at) = step;
                    put_key(s, (keys, workspace.key_starts), at, (key, depth), step);
                }
            }
        }
    }

    /// A tile of queries, `width` to a row: what is added to their scores, and no sums yet.
    #[inline(always)]
    unsafe fn take_queries<S: Simd>(
        &self,
        s: S,
        q: impl Fn(usize, usize) -> *const f32,
        rows: Range<usize>,
        width: usize,
        workspace: Workspace,
    ) {
        let Self { side, depth, .. } = *self;
        let across = padded(side);
        let Workspace { queries, biases: [by_row, by_column], .. } = workspace;
        let count = rows.len() * width;
        // SAFETY: the caller's.
        unsafe {
            workspace.sums.write_bytes(0, count * LANES);
            workspace.attended.write_bytes(0, count * depth);
            for query in 0..count {
                *workspace.largest.add(query) = NONE;
                let from = q(rows.start + query / width, query % width);
                queries.add(query * depth).copy_from_nonoverlapping(from, depth);
                if self.products == Products::Int8 {
                    let step = row_step(s, from, depth);
                    *workspace.query_steps.add(query) = step;
                    let steps = workspace.steps.cast::<S::Step>().add(query * depth);
                    put_query(s, steps, (from, depth), step);
                }
            }
            // Queries of a row meet the same part of the table, and so do those of a column.
            for row in 0..rows.len() {
                let table = self.tables[0].as_ptr().add((rows.start + row) * depth * across);
                tiles!(width, first, R => for key in (0..across).step_by(LANES) {
                    let first = row * width + first;
                    let nothing = [s.splat(0.0); R];
                    let x = queries.add(first * depth);
                    let sums = tile(s, nothing, x, depth, table.add(key), across, depth);
                    for (i, sum) in sums.into_iter().enumerate() {
                        s.store(by_row.add((first + i) * across + key), sum);
                    }
                });
            }
            for column in 0..width {
                let table = self.tables[1].as_ptr().add(column * depth * across);
                tiles!(rows.len(), first, R => for key in (0..across).step_by(LANES) {
                    let first = first * width + column;
                    let is_there = [s.load(self.columns.as_ptr().add(key)); R];
                    let (x, stride) = (queries.add(first * depth), width * depth);
                    let sums = tile(s, is_there, x, stride, table.add(key), across, depth);
                    for (i, sum) in sums.into_iter().enumerate() {
                        s.store(by_column.add((first + i * width) * across + key), sum);
                    }
                });
            }
        }
    }

    /// Adds to the sums of `R` queries from `first` on what some rows of keys have for them.
    #[inline(always)]
    unsafe fn attend<S: Simd, const R: usize>(
        &self,
        s: S,
        first: usize,
        rows: Range<usize>,
        workspace: Workspace,
    ) {
        let Self { side, depth, products, .. } = *self;
        let across = padded(side);
        let Workspace { scores, biases: [by_row, by_column], .. } = workspace;
        let (start, keys) = (rows.start * across, rows.len() * across);
        let steps = workspace.steps.cast::<S::Step>();
        let shares = workspace.shares.cast::<S::Step>();
        // SAFETY: the caller's.
        unsafe {
            let mut largest = [s.splat(NONE); R];
            for at in (0..keys).step_by(LANES) {
                let (row, column) = (rows.start + at / across, at % across);
                let mut products_of = [s.splat(0.0); R];
                match products {
                    Products::Float => {
                        let keys = workspace.keys.cast::<f32>().add((start + at) * depth);
                        let queries = workspace.queries.add(first * depth);
                        products_of = tile(s, products_of, queries, depth, keys, LANES, depth);
                    }
                    Products::Int8 => {
                        let keys = workspace.keys.cast::<i8>().add((start + at) * depth);
                        let queries = steps.add(first * depth);
                        let sums = s.sums(workspace.key_starts.add(start + at));
                        let sums = s.tile::<R>([sums; R], queries, depth, keys, depth);
                        let key_steps = s.load(workspace.key_steps.add(start + at));
                        for (i, sum) in sums.into_iter().enumerate() {
                            let step = s.splat(*workspace.query_steps.add(first + i));
                            products_of[i] = s.mul(s.to_float(sum), s.mul(step, key_steps));
                        }
                    }
                }
                for (i, product) in products_of.into_iter().enumerate() {
                    let biases = (first + i) * across;
                    let by_column = s.load(by_column.add(biases + column));
                    let bias = s.add(s.splat(*by_row.add(biases + row)), by_column);
                    let score = s.add(product, bias);
                    largest[i] = s.max(largest[i], score);
                    s.store(scores.add(i * keys + at), score);
                }
            }
            // What earlier tiles gave has to be less by so much, where this one has larger scores.
            let mut less = [s.splat(0.0); R];
            for i in 0..R {
                let before = *workspace.largest.add(first + i);
                let largest = s.largest(largest[i]).max(before);
                *workspace.largest.add(first + i) = largest;
                less[i] = exp(s, s.splat(before - largest));
                let sums = workspace.sums.add((first + i) * LANES);
                let mut sum = s.mul(s.load(sums), less[i]);
                for at in (0..keys).step_by(LANES) {
                    let at = i * keys + at;
                    let share = exp(s, s.sub(s.load(scores.add(at)), s.splat(largest)));
                    sum = s.add(sum, share);
                    match products {
                        Products::Float => s.store(scores.add(at), share),
                        // No share is larger than 1 before all are divided by their sum.
                        Products::Int8 => {
                            s.store_steps(shares.add(at), s.mul(share, s.splat(S8_MAX)));
                        }
                    }
                }
                s.store(sums, sum);
            }
            for channel in (0..depth).step_by(LANES) {
                let mut sums = [s.splat(0.0); R];
                match products {
                    Products::Float => {
                        for row in 0..rows.len() {
                            let shares = scores.add(row * across);
                            let v = workspace.values.cast::<f32>();
                            let v = v.add((start + row * across) * depth + channel);
                            sums = tile(s, sums, shares, keys, v, depth, side);
                        }
                    }
                    Products::Int8 => {
                        let v = workspace.values.cast::<i8>().add(start * depth + channel * keys);
                        let tile = rows.start / self.key_rows();
                        let sum = s.sums(workspace.value_starts.add(tile * depth + channel));
                        let of_steps = s.tile::<R>([sum; R], shares, keys, v, keys);
                        let step = s.load(workspace.value_steps.add(channel));
                        let step = s.mul(step, s.splat(1.0 / S8_MAX));
                        for (i, sum) in of_steps.into_iter().enumerate() {
                            sums[i] = s.mul(s.to_float(sum), step);
                        }
                    }
                }
                for (i, sum) in sums.into_iter().enumerate() {
                    let at = workspace.attended.add((first + i) * depth + channel);
                    s.store(at, s.mul_add(s.load(at), less[i], sum));
                }
            }
        }
    }
}
