//! Rounding of weights with error compensation.
//!
//! Columns are rounded in order. The error that rounding causes in the output on sampled inputs is
//! compensated by the later columns, as far as inputs are correlated (LDLQ of QuIP, Chee et al.
//! 2023, which computes the same as GPTQ).

use medsa_sam::{S8_MAX, round_ties_even};
use nalgebra::{Cholesky, DMatrix};
use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, Axis, Zip, s};

/// Columns processed together, so that the compensation of all earlier columns is one product.
const BLOCK: usize = 128;

/// Scale of each row of weights: the one with the smallest rounding error, among those that use
/// nearly the whole range.
pub(crate) fn scales(weight: &Array2<f32>) -> Array1<f32> {
    let scale = |row: ndarray::ArrayView1<f32>| {
        let row = row.to_slice().expect("rows of weights are contiguous");
        let largest = row.iter().fold(1e-12f32, |max, v| max.max(v.abs()));
        let error = |scale: f32| -> f32 {
            row.iter().map(|v| (v - round(*v, scale) * scale).powi(2)).sum()
        };
        let candidates = (0..=10).map(|i| largest * (1.0 - 0.03 * i as f32) / S8_MAX);
        candidates.min_by(|a, b| error(*a).total_cmp(&error(*b))).expect("there are candidates")
    };
    weight.outer_iter().map(scale).collect()
}

/// A weight, quantized.
pub(super) fn round(value: f32, scale: f32) -> f32 {
    round_ties_even(value / scale).clamp(-S8_MAX, S8_MAX)
}

/// Quantizes `weight` `[out, in]`, each value to the nearest.
pub(super) fn nearest(weight: &Array2<f32>, scale: &Array1<f32>) -> Array2<f32> {
    let mut nearest = weight.clone();
    for (mut row, scale) in nearest.outer_iter_mut().zip(scale) {
        row.mapv_inplace(|value| round(value, *scale));
    }
    nearest
}

/// Quantizes `weight` with error compensation. `gram` `[in, in]` holds the products of any two
/// input channels, summed over `rows` inputs.
pub(super) fn compensated(
    weight: &Array2<f32>,
    scale: &Array1<f32>,
    gram: &Array2<f32>,
    rows: usize,
) -> Array2<f32> {
    let (outputs, inputs) = weight.dim();
    let mean = gram.diag().sum() / inputs as f32;
    if mean <= 0.0 {
        return nearest(weight, scale);
    }
    // Few rows give a poor estimate of the correlations, so damping grows as rows get fewer.
    let damping = 0.01 + 0.25 * inputs as f32 / rows.max(1) as f32;
    // gram = (U + I) D (U + I)^T with U strictly upper: a Cholesky factor of the reversed matrix.
    let reversed = |i: usize| inputs - 1 - i;
    let damped = Array2::<f64>::from_shape_fn((inputs, inputs), |(i, j)| {
        let damping = if i == j { damping * mean } else { 0.0 };
        f64::from(gram[[reversed(i), reversed(j)]] + damping)
    });
    let Some(lower) = cholesky(damped) else { return nearest(weight, scale) };
    let upper = Array2::from_shape_fn((inputs, inputs), |(i, k)| {
        let (row, column) = (reversed(i), reversed(k));
        if i < k { (lower[[row, column]] / lower[[column, column]]) as f32 } else { 0.0 }
    });
    // All by input, so that the values of a column of weights are contiguous.
    let exact = weight.t().as_standard_layout().into_owned();
    let mut errors = Array2::<f32>::zeros((inputs, outputs));
    let mut rounded = Array2::<f32>::zeros((inputs, outputs));
    for start in (0..inputs).step_by(BLOCK) {
        let end = (start + BLOCK).min(inputs);
        let before = upper.slice(s![..start, start..end]);
        let before = before.t().dot(&errors.slice(s![..start, ..]));
        for k in start..end {
            let within = upper.slice(s![start..k, k]).dot(&errors.slice(s![start..k, ..]));
            let feedback = within + before.row(k - start);
            Zip::from(rounded.row_mut(k))
                .and(errors.row_mut(k))
                .and(exact.row(k))
                .and(&feedback)
                .and(scale)
                .for_each(|rounded, error, exact, feedback, scale| {
                    *rounded = round(exact + feedback, *scale);
                    *error = exact - *rounded * scale;
                });
        }
    }
    rounded.t().as_standard_layout().into_owned()
}

/// Lower Cholesky factor of a symmetric matrix, of which only the lower part is read; `None` if the
/// matrix is not positive definite.
fn cholesky(mut matrix: Array2<f64>) -> Option<Array2<f64>> {
    let side = matrix.nrows();
    for start in (0..side).step_by(BLOCK) {
        let width = BLOCK.min(side - start);
        let columns = s![start.., start..start + width];
        let (before, mut columns) = matrix.multi_slice_mut((s![start.., ..start], columns));
        let across = before.slice(s![..width, ..]);
        general_mat_mul(-1.0, &before, &across.t(), 1.0, &mut columns);
        let (mut diagonal, mut below) = columns.split_at(Axis(0), width);
        let factor = DMatrix::from_fn(width, width, |i, j| diagonal[[i, j]]);
        let factor = Cholesky::new(factor)?.l();
        let inverse = factor.solve_lower_triangular(&DMatrix::identity(width, width))?;
        let array =
            |matrix: &DMatrix<f64>| Array2::from_shape_fn((width, width), |(i, j)| matrix[(i, j)]);
        diagonal.assign(&array(&factor));
        let solved = below.dot(&array(&inverse).t());
        below.assign(&solved);
    }
    Some(matrix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocked_cholesky_factor_reproduces_the_matrix() {
        let side = 2 * BLOCK + 7;
        let noise = |i: usize, j: usize| ((i * 7919 + j * 613) % 1009) as f64 / 504.5 - 1.0;
        let root = Array2::from_shape_fn((side, side), |(i, j)| noise(i, j));
        let matrix = root.dot(&root.t()) + Array2::<f64>::eye(side);
        let factor = cholesky(matrix.clone()).unwrap();
        let lower =
            Array2::from_shape_fn((side, side), |(i, j)| if i >= j { factor[[i, j]] } else { 0.0 });
        let off = lower.dot(&lower.t()) - &matrix;
        assert!(off.iter().all(|v| v.abs() < 1e-9));
        assert!(cholesky(-matrix).is_none());
    }

    #[test]
    fn compensation_reduces_the_error_of_correlated_inputs() {
        let noise = |seed: usize| ((seed * 7919 + 13) % 1009) as f32 / 504.5 - 1.0;
        let (rows, inputs, outputs) = (300, 24, 16);
        // Neighbouring channels are strongly correlated.
        let x = Array2::from_shape_fn((rows, inputs), |(n, i)| {
            noise(n * 57) + 0.5 * noise(n * 91 + i / 4) + 0.1 * noise(n * inputs + i)
        });
        let weight = Array2::from_shape_fn((outputs, inputs), |(o, i)| noise(o * 613 + i * 17));
        // A coarse scale, so that rounding matters.
        let scale = Array1::from_elem(outputs, 0.1);
        let error = |whole: &Array2<f32>| {
            let off = x.dot(&(whole * 0.1 - &weight).t());
            off.iter().map(|v| v * v).sum::<f32>()
        };
        let compensated = error(&compensated(&weight, &scale, &x.t().dot(&x), rows));
        let nearest = error(&nearest(&weight, &scale));
        assert!(compensated < 0.5 * nearest, "{compensated} {nearest}");
        assert_eq!(super::compensated(&weight, &scale, &Array2::zeros((24, 24)), 0), {
            super::nearest(&weight, &scale)
        });
    }
}
