//! The most interior cell of a mask.

use ndarray::{Array2, ArrayView2};

/// Distance of neighbours along a row or column, and along a diagonal, in the 3-4 chamfer metric
/// (Borgefors 1986).
const STRAIGHT: u32 = 3;
const DIAGONAL: u32 = 4;

/// The cell of `logits` `[h, w]` that is farthest from any cell at or below zero, as `[x, y]`; the
/// first in reading order if several are. Cells beyond the edge count as outside of the mask.
/// `None` for an empty mask.
pub(super) fn most_interior(logits: ArrayView2<f32>) -> Option<[f32; 2]> {
    let (height, width) = logits.dim();
    // With a border of zeros.
    let mut distance = Array2::<u32>::zeros((height + 2, width + 2));
    for ((y, x), &logit) in logits.indexed_iter() {
        if logit > 0.0 {
            let above = [(0, 0, DIAGONAL), (0, 1, STRAIGHT), (0, 2, DIAGONAL), (1, 0, STRAIGHT)];
            distance[[y + 1, x + 1]] = nearest(&distance, [y, x], above);
        }
    }
    let mut best = (0, [0.0; 2]);
    for y in (0..height).rev() {
        for x in (0..width).rev() {
            let here = distance[[y + 1, x + 1]];
            if here == 0 {
                continue;
            }
            let below = [(2, 2, DIAGONAL), (2, 1, STRAIGHT), (2, 0, DIAGONAL), (1, 2, STRAIGHT)];
            let here = here.min(nearest(&distance, [y, x], below));
            distance[[y + 1, x + 1]] = here;
            if here >= best.0 {
                best = (here, [x as f32, y as f32]);
            }
        }
    }
    (best.0 > 0).then_some(best.1)
}

/// Smallest distance by way of one of four neighbours, given as steps down and right from
/// `corner`.
fn nearest(
    distance: &Array2<u32>,
    [top, left]: [usize; 2],
    neighbours: [(usize, usize, u32); 4],
) -> u32 {
    let by_way = neighbours.map(|(down, right, step)| distance[[top + down, left + right]] + step);
    by_way.into_iter().fold(u32::MAX, u32::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn middle_of_the_widest_place_is_found() {
        // A disc of radius 9 with a long, thin tail.
        let logits = Array2::from_shape_fn((40, 60), |(y, x)| {
            let disc = (x as f32 - 15.0).hypot(y as f32 - 20.0) < 9.0;
            let tail = (19..22).contains(&y) && (15..58).contains(&x);
            if disc || tail { 1.0 } else { -1.0 }
        });
        assert_eq!(most_interior(logits.view()), Some([15.0, 20.0]));
    }

    #[test]
    fn edge_of_the_frame_is_an_edge_of_the_mask() {
        let full = Array2::from_elem((21, 41), 1.0);
        let [x, y] = most_interior(full.view()).unwrap();
        assert!(y == 10.0 && (10.0..=30.0).contains(&x), "{x} {y}");
        assert_eq!(most_interior(Array2::from_elem((5, 5), 0.0).view()), None);
        let mut one = Array2::from_elem((5, 5), -1.0);
        one[[4, 0]] = 2.0;
        assert_eq!(most_interior(one.view()), Some([0.0, 4.0]));
    }
}
