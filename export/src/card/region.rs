//! Masks as SVG paths in units of mask pixels.

use ndarray::{Array2, ArrayView2};

/// Path of the pixels of a mask, as rectangles one row high.
pub fn area(mask: &Array2<bool>) -> String {
    let mut path = String::new();
    for (y, row) in mask.rows().into_iter().enumerate() {
        for (start, length) in runs(row.iter().copied()) {
            path += &format!("M{start} {y}h{length}v1h-{length}z");
        }
    }
    path
}

/// Path of the boundary of a mask, without the image's border.
pub fn outline(mask: &Array2<bool>) -> String {
    let mut path = String::new();
    for (y, start, length) in edges(mask.view()) {
        path += &format!("M{start} {y}h{length}");
    }
    for (x, start, length) in edges(mask.t()) {
        path += &format!("M{x} {start}v{length}");
    }
    path
}

/// Boundary lines between rows, as (row below, first column, length).
fn edges(mask: ArrayView2<bool>) -> Vec<(usize, usize, usize)> {
    let between = |y: usize| {
        let (above, below) = (mask.row(y - 1), mask.row(y));
        let differs = above.into_iter().zip(below).map(|(above, below)| above != below);
        runs(differs).into_iter().map(move |(start, length)| (y, start, length)).collect::<Vec<_>>()
    };
    (1..mask.nrows()).flat_map(between).collect()
}

/// Runs of `true`, as (start, length).
fn runs(cells: impl Iterator<Item = bool>) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (x, _) in cells.enumerate().filter(|(_, inside)| *inside) {
        match runs.last_mut() {
            Some((start, length)) if *start + *length == x => *length += 1,
            _ => runs.push((x, 1)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn mask_area_and_outline_are_exact() {
        let mask = array![
            [false, false, false, false],
            [false, true, true, false],
            [true, false, false, false]
        ];
        assert_eq!(area(&mask), "M1 1h2v1h-2zM0 2h1v1h-1z");
        assert_eq!(outline(&mask), "M1 1h2M0 2h3M1 1v2M3 1v1");
    }
}
