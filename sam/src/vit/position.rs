//! Interpolation of positions to maps of another size than they were trained at.

use ndarray::{Array3, ArrayD, Axis, concatenate};

/// Interpolates absolute positions `[1, g, g, C]` bicubically to `[1, grid, grid, C]`, as ViTDet
/// and the released Med-SA code do.
pub(super) fn resize_grid(positions: ArrayD<f32>, grid: usize) -> ArrayD<f32> {
    let rows = resize_axis(positions, 1, grid, Kernel::Cubic);
    resize_axis(rows, 2, grid, Kernel::Cubic)
}

/// Expands relative positions `[2 trained - 1, d]` to the table `[side, d, side]`. For the query at
/// position `q`, it gives the score with each key position (ViTDet, decomposed by axis).
pub(super) fn relative(table: ArrayD<f32>, side: usize) -> Array3<f32> {
    let table = resize_axis(table, 0, 2 * side - 1, Kernel::Linear);
    let d = table.shape()[1];
    Array3::from_shape_fn((side, d, side), |(q, c, k)| table[[q + side - 1 - k, c]])
}

/// Interpolates along one axis like PyTorch with `align_corners = False`; the outermost entries are
/// repeated beyond the ends.
fn resize_axis(values: ArrayD<f32>, axis: usize, length: usize, kernel: Kernel) -> ArrayD<f32> {
    let trained = values.shape()[axis];
    if trained == length {
        return values;
    }
    let axis = Axis(axis);
    let scale = trained as f32 / length as f32;
    let entry = |i: usize| {
        let position = (i as f32 + 0.5) * scale - 0.5;
        let first = position.floor();
        let mut sum = ArrayD::zeros(values.index_axis(axis, 0).raw_dim());
        for (offset, weight) in kernel.weights(position - first) {
            let at = (first + offset).clamp(0.0, (trained - 1) as f32) as usize;
            sum.scaled_add(weight, &values.index_axis(axis, at));
        }
        sum.insert_axis(axis)
    };
    let entries: Vec<_> = (0..length).map(entry).collect();
    let views: Vec<_> = entries.iter().map(|entry| entry.view()).collect();
    concatenate(axis, &views).expect("all entries have the same shape")
}

#[derive(Clone, Copy)]
enum Kernel {
    Linear,
    /// Keys' cubic convolution with a = -0.75.
    Cubic,
}

impl Kernel {
    /// Offsets and weights of the entries around a position that lies `t` after an entry.
    fn weights(self, t: f32) -> Vec<(f32, f32)> {
        const A: f32 = -0.75;
        let near = |x: f32| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
        let far = |x: f32| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
        match self {
            Self::Linear => vec![(0.0, 1.0 - t), (1.0, t)],
            Self::Cubic => vec![
                (-1.0, far(1.0 + t)),
                (0.0, near(t)),
                (1.0, near(1.0 - t)),
                (2.0, far(2.0 - t)),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array, array};

    #[test]
    fn interpolation_keeps_cells_in_place() {
        let values = array![0.0, 1.0, 2.0, 3.0].into_dyn();
        let linear =
            |values: &ArrayD<f32>, length| resize_axis(values.clone(), 0, length, Kernel::Linear);
        assert_eq!(linear(&values, 4), values);
        assert_eq!(linear(&values, 2), array![0.5, 2.5].into_dyn());
        let twice = linear(&array![0.0, 1.0].into_dyn(), 4);
        assert_eq!(twice, array![0.0, 0.25, 0.75, 1.0].into_dyn());
    }

    /// Compares with `torch.nn.functional.interpolate(mode="bicubic")`.
    #[test]
    fn absolute_positions_are_interpolated_as_pytorch_does() {
        let row = array![0.0, 1.0, 3.0, 2.0];
        let grid = Array::from_shape_fn((1, 4, 4, 1), |(_, _, x, _)| row[x]).into_dyn();
        for (side, expected) in [
            (2, &[0.3125, 2.6875][..]),
            (6, &[-0.086_805_58, 0.3125, 1.391_203_5, 2.817_129_6, 2.6875, 1.913_194_9][..]),
        ] {
            let found = resize_grid(grid.clone(), side);
            assert_eq!(found.shape(), [1, side, side, 1]);
            for (at, found) in found.indexed_iter() {
                assert!((found - expected[at[2]]).abs() < 1e-5, "{at:?}: {found}");
            }
        }
    }

    #[test]
    fn query_and_key_at_the_same_position_use_the_middle_of_the_table() {
        let table = Array::from_shape_fn((5, 1), |(i, _)| i as f32).into_dyn();
        let matrix = relative(table, 3);
        assert_eq!((matrix[[1, 0, 1]], matrix[[2, 0, 0]], matrix[[0, 0, 2]]), (2.0, 4.0, 0.0));
    }
}
