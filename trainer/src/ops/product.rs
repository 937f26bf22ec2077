//! Small matrix products whose operands stay in the cache, as used by one attention head.

use pulp::{Arch, Simd, WithSimd};

/// Rows computed together.
const ROWS: usize = 6;

/// Length of a row of `columns` values, padded to whole vectors of any supported CPU.
pub(super) fn padded(columns: usize) -> usize {
    columns.next_multiple_of(16)
}

/// A matrix in memory, with any strides.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub values: &'a [f32],
    pub row_stride: usize,
    pub column_stride: usize,
}

impl View<'_> {
    #[inline(always)]
    fn at(&self, row: usize, column: usize) -> f32 {
        // Wrapping arithmetic avoids overflow checks; a wrapped index is out of bounds anyway.
        let row = row.wrapping_mul(self.row_stride);
        self.values[row.wrapping_add(column.wrapping_mul(self.column_stride))]
    }

    /// Copies the matrix into rows padded with zeros.
    #[inline(always)]
    pub(super) fn pack(&self, rows: usize, columns: usize) -> Vec<f32> {
        let width = padded(columns);
        let mut packed = vec![0.0; rows * width];
        for (r, row) in packed.chunks_exact_mut(width).enumerate() {
            if self.column_stride == 1 {
                row[..columns].copy_from_slice(&self.values[r * self.row_stride..][..columns]);
                continue;
            }
            for (c, value) in row[..columns].iter_mut().enumerate() {
                *value = self.at(r, c);
            }
        }
        packed
    }

    #[inline(always)]
    pub(super) fn transposed(self) -> Self {
        let Self { values, row_stride, column_stride } = self;
        Self { values, row_stride: column_stride, column_stride: row_stride }
    }
}

/// `out += scale * a b`, where `a` is `[rows, inner]`, and the rows of `b` and `out` are padded to
/// `width`.
pub(super) fn add_product(
    out: &mut [f32],
    a: View,
    b: &[f32],
    [rows, inner, width]: [usize; 3],
    scale: f32,
) {
    Arch::new().dispatch(AddProduct { out, a, b, rows, inner, width, scale });
}

struct AddProduct<'a> {
    out: &'a mut [f32],
    a: View<'a>,
    b: &'a [f32],
    rows: usize,
    inner: usize,
    width: usize,
    scale: f32,
}

impl WithSimd for AddProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { out, a, b, rows, inner, width, scale } = self;
        let vectors = width / (size_of::<S::f32s>() / size_of::<f32>());
        let b = S::as_simd_f32s(b).0;
        // The rows of `a`, stored by column, so that a tile reads them sequentially.
        let mut packed = vec![[0.0f32; ROWS]; inner];
        let mut row = 0;
        for out in out[..rows * width].chunks_mut(ROWS * width) {
            let count = out.len() / width;
            for (k, values) in packed.iter_mut().enumerate() {
                for (r, value) in values.iter_mut().take(count).enumerate() {
                    *value = a.at(row + r, k);
                }
            }
            let out = S::as_mut_simd_f32s(out).0;
            let mut column = 0;
            while column + 2 <= vectors {
                tile::<S, 2>(simd, out, &packed, b, [vectors, column], scale);
                column += 2;
            }
            if column < vectors {
                tile::<S, 1>(simd, out, &packed, b, [vectors, column], scale);
            }
            row += count;
        }
    }
}

/// Computes `VECTORS` vectors of a few rows, starting at `column`.
#[inline(always)]
fn tile<S: Simd, const VECTORS: usize>(
    simd: S,
    out: &mut [S::f32s],
    a: &[[f32; ROWS]],
    b: &[S::f32s],
    [vectors, column]: [usize; 2],
    scale: f32,
) {
    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
    for (a, b) in a.iter().zip(b.chunks_exact(vectors)) {
        let b: &[S::f32s; VECTORS] = b[column..].first_chunk().expect("the column is in the row");
        for (sums, a) in sums.iter_mut().zip(a) {
            let a = simd.splat_f32s(*a);
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = simd.mul_add_e_f32s(a, *b, *sum);
            }
        }
    }
    let scale = simd.splat_f32s(scale);
    for (out, sums) in out.chunks_exact_mut(vectors).zip(&sums) {
        for (out, sum) in out[column..].iter_mut().zip(sums) {
            *out = simd.mul_add_e_f32s(scale, *sum, *out);
        }
    }
}
