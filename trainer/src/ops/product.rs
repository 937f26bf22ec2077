//! Small matrix products whose operands stay in the cache: the products of one attention head.

/// Columns that are computed together: two vectors of AVX2.
const WIDE: usize = 16;
/// Columns that are left over are computed in eights.
const NARROW: usize = 8;
/// Rows that are computed together.
const ROWS: usize = 4;

/// Length of a row of `columns` values with room for the last eight.
pub(super) fn padded(columns: usize) -> usize {
    columns.next_multiple_of(NARROW)
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
        self.values[row * self.row_stride + column * self.column_stride]
    }

    /// Copies it into rows that are padded with zeros.
    #[inline(always)]
    pub(super) fn pack(&self, rows: usize, columns: usize) -> Vec<f32> {
        let width = padded(columns);
        let mut packed = vec![0.0; rows * width];
        for (r, row) in packed.chunks_exact_mut(width).enumerate() {
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

/// `out += scale * a b`, where `a` is `[rows, inner]`, and the rows of `b` and `out` are padded
/// to `width`.
#[inline(always)]
pub(super) fn add_product(
    out: &mut [f32],
    a: View,
    b: &[f32],
    [rows, inner, width]: [usize; 3],
    scale: f32,
) {
    let mut row = 0;
    while row < rows {
        let count = ROWS.min(rows - row);
        let mut column = 0;
        while column + WIDE <= width {
            tile::<WIDE>(out, a, b, [row, count, inner, width, column], scale);
            column += WIDE;
        }
        if column < width {
            tile::<NARROW>(out, a, b, [row, count, inner, width, column], scale);
        }
        row += count;
    }
}

#[inline(always)]
fn tile<const COLUMNS: usize>(
    out: &mut [f32],
    a: View,
    b: &[f32],
    [row, count, inner, width, column]: [usize; 5],
    scale: f32,
) {
    let mut sums = [[0.0f32; COLUMNS]; ROWS];
    if count == ROWS {
        for k in 0..inner {
            let b: &[f32; COLUMNS] =
                b[k * width + column..][..COLUMNS].try_into().expect("a slice of that length");
            for (r, sums) in sums.iter_mut().enumerate() {
                let a = a.at(row + r, k);
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = a.mul_add(*b, *sum);
                }
            }
        }
    } else {
        for (r, sums) in sums.iter_mut().take(count).enumerate() {
            for k in 0..inner {
                let a = a.at(row + r, k);
                let b = &b[k * width + column..][..COLUMNS];
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = a.mul_add(*b, *sum);
                }
            }
        }
    }
    for (r, sums) in sums.iter().take(count).enumerate() {
        let out = &mut out[(row + r) * width + column..][..COLUMNS];
        for (out, sum) in out.iter_mut().zip(sums) {
            *out += scale * sum;
        }
    }
}
