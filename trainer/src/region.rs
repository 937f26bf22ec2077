//! Regions of masks: connected components, most interior pixels and distances.
//!
//! Masks are `[H, W]`, pixels (row, column). All functions work on the part of a mask that is not
//! empty, so that small structures in large images are fast.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, ArrayViewMut1, Axis, Slice};

/// Connected components of a mask (8-neighbourhood) with at least `min_px` pixels, each `[H, W]`,
/// largest first; equally large ones in reading order.
pub fn components(mask: ArrayView2<bool>, min_px: usize) -> Vec<Array2<bool>> {
    // Filtered before masks are made: a noisy prediction has thousands of specks.
    let mut found = component_pixels(mask);
    found.retain(|pixels| pixels.len() >= min_px);
    found.sort_by_key(|pixels| std::cmp::Reverse(pixels.len()));
    found.into_iter().map(|pixels| from_pixels(mask.dim(), pixels)).collect()
}

/// The largest component `[H, W]` with its size in pixels; the first in reading order among equally
/// large ones. `None` for an empty mask.
pub fn largest_component(mask: ArrayView2<bool>) -> Option<(Array2<bool>, usize)> {
    let mut largest: Vec<(usize, usize)> = Vec::new();
    for pixels in component_pixels(mask) {
        if pixels.len() > largest.len() {
            largest = pixels;
        }
    }
    let size = largest.len();
    (size > 0).then(|| (from_pixels(mask.dim(), largest), size))
}

/// Rows and columns of the smallest rectangle that contains the mask; `None` for an empty mask.
pub fn extent(mask: ArrayView2<bool>) -> Option<(Range<usize>, Range<usize>)> {
    let mut found: Option<(Range<usize>, Range<usize>)> = None;
    for (y, row) in mask.rows().into_iter().enumerate() {
        let Some(left) = row.iter().position(|&inside| inside) else { continue };
        let right = row.iter().rposition(|&inside| inside).unwrap_or(left) + 1;
        found = Some(match found {
            None => (y..y + 1, left..right),
            Some((rows, columns)) => {
                (rows.start..y + 1, columns.start.min(left)..columns.end.max(right))
            }
        });
    }
    found
}

/// A rectangular part of the mask.
pub(crate) fn crop(
    mask: ArrayView2<bool>,
    rows: Range<usize>,
    columns: Range<usize>,
) -> ArrayView2<bool> {
    // Not `s!`, because it expands to an `unsafe` block, which this crate denies.
    let mut part = mask;
    part.slice_axis_inplace(Axis(0), Slice::from(rows));
    part.slice_axis_inplace(Axis(1), Slice::from(columns));
    part
}

/// The pixel (row, column) with the largest distance from everything outside the mask and the
/// image; the first in reading order. `None` for an empty mask.
pub fn most_interior(mask: ArrayView2<bool>) -> Option<(usize, usize)> {
    let (rows, columns) = extent(mask)?;
    let (top, left) = (rows.start, columns.start);
    let part = crop(mask, rows, columns);
    let (height, width) = part.dim();
    // A margin of one pixel outside the mask or the image.
    let outside = Array2::from_shape_fn((height + 2, width + 2), |(y, x)| {
        let inside = (1..=height).contains(&y) && (1..=width).contains(&x);
        !(inside && part[(y - 1, x - 1)])
    });
    let squared = squared_distance(outside.view());
    let mut best: Option<((usize, usize), f32)> = None;
    for ((y, x), _) in part.indexed_iter().filter(|(_, inside)| **inside) {
        let distance = squared[(y + 1, x + 1)];
        if best.is_none_or(|(_, most)| distance > most) {
            best = Some(((y + top, x + left), distance));
        }
    }
    best.map(|(at, _)| at)
}

/// Squared Euclidean distance of every pixel to the nearest `true` pixel, `[H, W]`; infinite if
/// there is none. Computes distances along columns, then lower envelopes of parabolas along rows
/// (Felzenszwalb and Huttenlocher, 2012).
pub fn squared_distance(targets: ArrayView2<bool>) -> Array2<f32> {
    let mut distance = targets.mapv(|target| if target { 0.0 } else { f32::INFINITY });
    // Passes down and up, over whole rows: column by column, every step would miss the cache.
    let step = |near: &ArrayViewMut1<f32>, row: &mut ArrayViewMut1<f32>| {
        row.zip_mut_with(near, |here, near| *here = here.min(near + 1.0));
    };
    let mut rows: Vec<_> = distance.rows_mut().into_iter().collect();
    for y in 1..rows.len() {
        let (above, row) = rows.split_at_mut(y);
        step(&above[y - 1], &mut row[0]);
    }
    for y in (1..rows.len()).rev() {
        let (row, below) = rows.split_at_mut(y);
        step(&below[0], &mut row[y - 1]);
    }
    distance.mapv_inplace(|steps| steps * steps);
    let mut envelope = Envelope::default();
    for lane in distance.rows_mut() {
        envelope.lower(lane);
    }
    distance
}

/// Buffers for one row.
#[derive(Default)]
struct Envelope {
    values: Vec<f32>,
    /// Parabolas of the envelope: position, and the start of the range where it is the lowest.
    parabolas: Vec<(usize, f64)>,
}

impl Envelope {
    /// Replaces `lane[p]` by the minimum over q of `(p - q)^2 + lane[q]`.
    fn lower(&mut self, mut lane: ArrayViewMut1<f32>) {
        let Self { values, parabolas } = self;
        values.clear();
        values.extend(lane.iter());
        parabolas.clear();
        for (q, &value) in values.iter().enumerate().filter(|(_, value)| value.is_finite()) {
            // f64, because squares of positions beyond 4096 px are not exact in f32.
            let crossing = |p: usize| {
                let (pf, qf) = (p as f64, q as f64);
                let rise = f64::from(value) - f64::from(values[p]) + qf * qf - pf * pf;
                rise / (2.0 * (qf - pf))
            };
            let mut from = f64::NEG_INFINITY;
            while let Some(&(p, start)) = parabolas.last() {
                from = crossing(p);
                if from > start {
                    break;
                }
                parabolas.pop();
                from = f64::NEG_INFINITY;
            }
            parabolas.push((q, from));
        }
        if parabolas.is_empty() {
            return;
        }
        let mut current = 0;
        for (p, out) in lane.iter_mut().enumerate() {
            while parabolas.get(current + 1).is_some_and(|&(_, from)| from <= p as f64) {
                current += 1;
            }
            let (q, _) = parabolas[current];
            let offset = p as f32 - q as f32;
            *out = offset * offset + values[q];
        }
    }
}

/// Pixels of each component, in the reading order of their first pixels.
fn component_pixels(mask: ArrayView2<bool>) -> Vec<Vec<(usize, usize)>> {
    let (height, width) = mask.dim();
    let mut unseen = mask.to_owned();
    let mut found = Vec::new();
    for start in ndarray::indices((height, width)) {
        if !unseen[start] {
            continue;
        }
        unseen[start] = false;
        let mut pixels = vec![start];
        let mut next = 0;
        while let Some(&(y, x)) = pixels.get(next) {
            next += 1;
            for y in y.saturating_sub(1)..(y + 2).min(height) {
                for x in x.saturating_sub(1)..(x + 2).min(width) {
                    if unseen[(y, x)] {
                        unseen[(y, x)] = false;
                        pixels.push((y, x));
                    }
                }
            }
        }
        found.push(pixels);
    }
    found
}

fn from_pixels(shape: (usize, usize), pixels: Vec<(usize, usize)>) -> Array2<bool> {
    let mut mask = Array2::from_elem(shape, false);
    for pixel in pixels {
        mask[pixel] = true;
    }
    mask
}

/// The mask moved by rows and columns; empty pixels move in at the border.
pub fn shifted(mask: ArrayView2<bool>, [rows, columns]: [isize; 2]) -> Array2<bool> {
    let (height, width) = mask.dim();
    let source = |i: usize, by: isize, side: usize| i.checked_add_signed(-by).filter(|&i| i < side);
    Array2::from_shape_fn((height, width), |(y, x)| {
        match (source(y, rows, height), source(x, columns, width)) {
            (Some(y), Some(x)) => mask[[y, x]],
            _ => false,
        }
    })
}

/// Removes the pixels to ignore from a mask `[H, W]` of the same size.
///
/// # Panics
/// If the sizes differ.
pub fn leave_out(mask: &mut Array2<bool>, ignored: Option<&Array2<bool>>) {
    if let Some(ignored) = ignored {
        mask.zip_mut_with(ignored, |inside, &ignored| *inside &= !ignored);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ignored_pixels_are_left_out() {
        let mut mask = ndarray::array![[true, true, false, false]];
        leave_out(&mut mask, Some(&ndarray::array![[true, false, true, false]]));
        assert_eq!(mask, ndarray::array![[false, true, false, false]]);
        leave_out(&mut mask, None);
        assert_eq!(mask, ndarray::array![[false, true, false, false]]);
    }

    #[test]
    fn distances_equal_the_definition() {
        let targets = Array2::from_shape_fn((13, 17), |(y, x)| (y * 31 + x * 17) % 23 == 0);
        let found = squared_distance(targets.view());
        for ((y, x), &distance) in found.indexed_iter() {
            let expected = targets
                .indexed_iter()
                .filter(|&(_, &target)| target)
                .map(|((ty, tx), _)| (ty.abs_diff(y).pow(2) + tx.abs_diff(x).pow(2)) as f32)
                .fold(f32::INFINITY, f32::min);
            assert_eq!(distance, expected, "at {y}, {x}");
        }
        let nothing = squared_distance(Array2::from_elem((2, 2), false).view());
        assert!(nothing.iter().all(|d| d.is_infinite()));
    }

    #[test]
    fn distances_are_exact_at_the_far_end_of_a_long_row() {
        let targets = Array2::from_shape_fn((1, 16_000), |(_, x)| x == 15_000 || x == 15_007);
        let found = squared_distance(targets.view());
        let end = &found.row(0).to_vec()[15_000..15_008];
        assert_eq!(end, [0., 1., 4., 9., 9., 4., 1., 0.]);
    }

    #[test]
    fn components_come_largest_first_and_diagonals_touch() {
        let mask = image(&["##...", "..#..", ".....", "#...#", "....#"]);
        let sizes = |min_px| -> Vec<usize> {
            let found = components(mask.view(), min_px);
            found.iter().map(|c| c.iter().filter(|&&p| p).count()).collect()
        };
        assert_eq!(sizes(1), [3, 2, 1]);
        assert_eq!(sizes(2), [3, 2]);
        let (largest, size) = largest_component(mask.view()).unwrap();
        assert_eq!((largest, size), (components(mask.view(), 1)[0].clone(), 3));
        assert_eq!(largest_component(image(&["..", ".."]).view()), None);
    }

    #[test]
    fn extent_is_tight() {
        let mask = image(&[".....", "..#..", ".#...", "....."]);
        assert_eq!(extent(mask.view()), Some((1..3, 1..3)));
        assert_eq!(extent(image(&["...", "..."]).view()), None);
    }

    #[test]
    fn most_interior_pixel_is_the_middle() {
        let mask = image(&["#####", "#####", "#####", "#####", "#####"]);
        assert_eq!(most_interior(mask.view()), Some((2, 2)));
        let ring = image(&["####", "#..#", "####", "####", "####"]);
        assert_eq!(most_interior(ring.view()), Some((3, 1)));
        let low = image(&["......", "...###", "...###", "...###"]);
        assert_eq!(most_interior(low.view()), Some((2, 4)));
        assert_eq!(most_interior(Array2::from_elem((3, 3), false).view()), None);
    }

    fn image(rows: &[&str]) -> Array2<bool> {
        Array2::from_shape_fn((rows.len(), rows[0].len()), |(y, x)| rows[y].as_bytes()[x] == b'#')
    }
}
