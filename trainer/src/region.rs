//! Regions of masks: connected components, their most interior pixel, distances.

use ndarray::{Array2, ArrayView2};

/// The connected components of a mask (8-neighbourhood), largest first; equally large ones in
/// reading order.
pub fn components(mask: ArrayView2<bool>) -> Vec<Array2<bool>> {
    let (height, width) = mask.dim();
    let mut seen = Array2::from_elem((height, width), false);
    let mut found: Vec<Vec<(usize, usize)>> = Vec::new();
    for start in ndarray::indices((height, width)) {
        if !mask[start] || seen[start] {
            continue;
        }
        seen[start] = true;
        let mut pixels = vec![start];
        let mut next = 0;
        while let Some(&(y, x)) = pixels.get(next) {
            next += 1;
            for y in y.saturating_sub(1)..(y + 2).min(height) {
                for x in x.saturating_sub(1)..(x + 2).min(width) {
                    if mask[(y, x)] && !seen[(y, x)] {
                        seen[(y, x)] = true;
                        pixels.push((y, x));
                    }
                }
            }
        }
        found.push(pixels);
    }
    found.sort_by_key(|pixels| std::cmp::Reverse(pixels.len()));
    let as_mask = |pixels: Vec<(usize, usize)>| {
        let mut component = Array2::from_elem((height, width), false);
        for pixel in pixels {
            component[pixel] = true;
        }
        component
    };
    found.into_iter().map(as_mask).collect()
}

/// The pixel (row, column) that is farthest from everything outside the mask (and the picture's
/// border), the first in reading order; none for an empty mask.
pub fn most_interior(mask: ArrayView2<bool>) -> Option<(usize, usize)> {
    let (height, width) = mask.dim();
    let padded = Array2::from_shape_fn((height + 2, width + 2), |(y, x)| {
        (1..=height).contains(&y) && (1..=width).contains(&x) && mask[(y - 1, x - 1)]
    });
    let outside = padded.mapv(|inside| !inside);
    let squared = squared_distance(outside.view());
    let mut best: Option<((usize, usize), f32)> = None;
    for (at, inside) in mask.indexed_iter() {
        let distance = squared[(at.0 + 1, at.1 + 1)];
        if *inside && best.is_none_or(|(_, most)| distance > most) {
            best = Some((at, distance));
        }
    }
    best.map(|(at, _)| at)
}

/// Squared Euclidean distance of every pixel to the nearest `true` one; infinite if there is
/// none. Lower envelopes of parabolas, columns then rows (Felzenszwalb and Huttenlocher, 2012).
pub fn squared_distance(targets: ArrayView2<bool>) -> Array2<f32> {
    let mut distance = targets.mapv(|target| if target { 0.0 } else { f32::INFINITY });
    for mut lane in distance.columns_mut() {
        let transformed = envelope(&lane.to_vec());
        lane.assign(&ndarray::ArrayView1::from(&transformed));
    }
    for mut lane in distance.rows_mut() {
        let transformed = envelope(&lane.to_vec());
        lane.assign(&ndarray::ArrayView1::from(&transformed));
    }
    distance
}

/// `min over q of (p - q)^2 + values[q]` for every p.
fn envelope(values: &[f32]) -> Vec<f32> {
    // Parabolas of the envelope: where each stands, and from where on it is the lowest.
    let mut parabolas: Vec<(usize, f32)> = Vec::new();
    for (q, &value) in values.iter().enumerate().filter(|(_, value)| value.is_finite()) {
        let crossing = |p: usize| {
            let (pf, qf) = (p as f32, q as f32);
            ((value + qf * qf) - (values[p] + pf * pf)) / (2.0 * (qf - pf))
        };
        let mut from = f32::NEG_INFINITY;
        while let Some(&(p, start)) = parabolas.last() {
            from = crossing(p);
            if from > start {
                break;
            }
            parabolas.pop();
            from = f32::NEG_INFINITY;
        }
        parabolas.push((q, from));
    }
    if parabolas.is_empty() {
        return values.to_vec();
    }
    let mut current = 0;
    (0..values.len())
        .map(|p| {
            while parabolas.get(current + 1).is_some_and(|&(_, from)| from <= p as f32) {
                current += 1;
            }
            let (q, _) = parabolas[current];
            let offset = p as f32 - q as f32;
            offset * offset + values[q]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn components_come_largest_first_and_diagonals_touch() {
        let mask = picture(&["##...", "..#..", ".....", "#...#", "....#"]);
        let found = components(mask.view());
        let sizes: Vec<usize> = found.iter().map(|c| c.iter().filter(|&&p| p).count()).collect();
        assert_eq!(sizes, [3, 2, 1]);
    }

    #[test]
    fn the_most_interior_pixel_is_the_middle() {
        let mask = picture(&["#####", "#####", "#####", "#####", "#####"]);
        assert_eq!(most_interior(mask.view()), Some((2, 2)));
        let ring = picture(&["####", "#..#", "####", "####", "####"]);
        assert_eq!(most_interior(ring.view()), Some((3, 1)));
        assert_eq!(most_interior(Array2::from_elem((3, 3), false).view()), None);
    }

    fn picture(rows: &[&str]) -> Array2<bool> {
        Array2::from_shape_fn((rows.len(), rows[0].len()), |(y, x)| rows[y].as_bytes()[x] == b'#')
    }
}
