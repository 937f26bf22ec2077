//! Tiles: a few rows computed together, whose sums stay in registers.

use crate::simd::Simd;

/// Largest number of rows in a tile.
pub(crate) const ROWS: usize = 6;

/// Runs `$body` for tiles of `$rows` rows. `$first` is the first row of a tile, the constant `$R`
/// its number of rows: [`ROWS`], or 2 or 1 for the rest. Each number is compiled separately.
macro_rules! tiles {
    ($rows:expr, $first:ident, $R:ident => $body:expr) => {{
        let rows = $rows;
        let mut next = 0;
        tiles!(@ next rows $first $R $crate::packed::ROWS, $body);
        tiles!(@ next rows $first $R 2, $body);
        tiles!(@ next rows $first $R 1, $body);
    }};
    (@ $next:ident $all:ident $first:ident $R:ident $count:expr, $body:expr) => {{
        const $R: usize = $count;
        while $next + $R <= $all {
            let $first = $next;
            $body;
            $next += $R;
        }
    }};
}
pub(crate) use tiles;

/// Adds to `sums` the products of `R` rows of floats, `stride` apart, with a vector of columns of
/// `weight`, whose rows are `weight_stride` apart.
///
/// # Safety
/// Each row has `inputs` values, and `weight` has `inputs` rows of at least
/// [`LANES`](crate::simd::LANES) values.
#[inline(always)]
pub(crate) unsafe fn tile<S: Simd, const R: usize>(
    s: S,
    mut sums: [S::F; R],
    rows: *const f32,
    stride: usize,
    weight: *const f32,
    weight_stride: usize,
    inputs: usize,
) -> [S::F; R] {
    for input in 0..inputs {
        // SAFETY: `input` is less than `inputs`, and `row` than `R`; by this function's contract
        // rows and weights have such elements.
        unsafe {
            let weight = s.load_ptr(weight.add(input * weight_stride));
            for (row, sum) in sums.iter_mut().enumerate() {
                *sum = s.mul_add(s.splat(*rows.add(row * stride + input)), weight, *sum);
            }
        }
    }
    sums
}
