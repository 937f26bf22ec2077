//! Positions for maps of another size than they were trained at.

use ndarray::{Array3, ArrayD, Axis, concatenate};

/// Absolute positions `[1, g, g, C]`, interpolated bilinearly to `[1, grid, grid, C]`.
pub(super) fn resize_grid(positions: ArrayD<f32>, grid: usize) -> ArrayD<f32> {
    resize_axis(resize_axis(positions, 1, grid), 2, grid)
}

/// Relative positions `[2 trained - 1, d]` as the matrix `[side, d, side]` that takes the query
/// at position `q` to its score with each key position (ViTDet, decomposed by axis).
pub(super) fn relative(table: ArrayD<f32>, side: usize) -> Array3<f32> {
    let table = resize_axis(table, 0, 2 * side - 1);
    let d = table.shape()[1];
    Array3::from_shape_fn((side, d, side), |(q, c, k)| table[[q + side - 1 - k, c]])
}

/// Linear interpolation along an axis, entries taken as cells (`align_corners = False`).
fn resize_axis(values: ArrayD<f32>, axis: usize, length: usize) -> ArrayD<f32> {
    let trained = values.shape()[axis];
    if trained == length {
        return values;
    }
    let axis = Axis(axis);
    let scale = trained as f32 / length as f32;
    let entries: Vec<_> = (0..length)
        .map(|i| {
            let position = ((i as f32 + 0.5) * scale - 0.5).max(0.0);
            let first = (position as usize).min(trained - 1);
            let second = (first + 1).min(trained - 1);
            let weight = position - first as f32;
            let (a, b) = (values.index_axis(axis, first), values.index_axis(axis, second));
            (&a * (1.0 - weight) + &b * weight).insert_axis(axis)
        })
        .collect();
    let views: Vec<_> = entries.iter().map(|entry| entry.view()).collect();
    concatenate(axis, &views).expect("all entries have the same shape")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array, array};

    #[test]
    fn interpolation_keeps_cells_in_place() {
        let values = array![0.0, 1.0, 2.0, 3.0].into_dyn();
        assert_eq!(resize_axis(values.clone(), 0, 4), values);
        assert_eq!(resize_axis(values.clone(), 0, 2), array![0.5, 2.5].into_dyn());
        let twice = resize_axis(array![0.0, 1.0].into_dyn(), 0, 4);
        assert_eq!(twice, array![0.0, 0.25, 0.75, 1.0].into_dyn());
    }

    #[test]
    fn a_query_meets_the_key_at_the_same_place_in_the_middle_of_the_table() {
        let table = Array::from_shape_fn((5, 1), |(i, _)| i as f32).into_dyn();
        let matrix = relative(table, 3);
        assert_eq!((matrix[[1, 0, 1]], matrix[[2, 0, 0]], matrix[[0, 0, 2]]), (2.0, 4.0, 0.0));
    }
}
