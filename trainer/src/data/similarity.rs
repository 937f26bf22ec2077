//! Similarity of images: detects images of the same scene, such as neighbouring frames of a scan,
//! or the same frame twice.
//!
//! Plain correlation of thumbnails does not work. All ultrasound is bright at the top and dark
//! below, so images of different patients correlate at 0.75 and more, while images of one scene
//! correlate less once the probe moves a little. Local contrast is compared instead: the difference
//! of a pixel from its surroundings, divided by their variation, at the shift with the best match.

use std::ops::Range;

use medsa_sam::image::{RgbView, resize_bilinear_u8};
use rayon::prelude::*;

use super::training_image::TrainingImage;

/// Smallest correlation of local contrast at which two images count as the same scene. In nerve and
/// breast ultrasound, frames of one scene with a moved probe reach 0.33 and more, neighbouring
/// frames 0.5 to 1, and about one pair in a thousand of unrelated images exceeds 0.3.
const ALIKE: f32 = 0.3;

/// Correlation of coarse or fine local contrast below which a pair is not examined further.
const WORTH_A_LOOK: f32 = 0.2;

/// Plain correlation above which a lower correlation of local contrast is enough: two frames of
/// uniform tissue have little local contrast except noise.
const PLAINLY_ALIKE: f32 = 0.85;

/// Sides of the two thumbnails, in pixels. The fine one is twice the coarse one.
const SIDES_PX: [usize; 2] = [32, 64];

/// Radius of the surroundings of a pixel in the coarse thumbnail, in pixels; twice that in the fine
/// one.
const RADIUS_PX: usize = 3;

/// Largest movement of the scene along each axis, in pixels of the coarse thumbnail.
const MAX_SHIFT_PX: i32 = 3;

/// Brightness, of 255, below which a pixel counts as black. The dark depth of an ultrasound image
/// is brighter because of its noise.
const BLACK: f32 = 4.0;

/// Features of an image: a coarse thumbnail, and its local contrast at two sizes. Each is
/// normalized to length 1, so that a product is a correlation.
pub(super) struct Scene {
    plain: Vec<f32>,
    coarse: Vec<f32>,
    fine: Vec<f32>,
}

impl Scene {
    pub(super) fn new(image: &TrainingImage) -> Self {
        let frame = RgbView::new(image.width, image.height, &image.rgb);
        let frame = frame.expect("a decoded image is whole");
        let [small, large] = SIDES_PX.map(|side| {
            let small = resize_bilinear_u8(frame, side, side);
            let grey = small.chunks_exact(3).map(|p| p.iter().map(|&v| f32::from(v)).sum::<f32>());
            grey.map(|sum| sum / 3.0).collect::<Vec<f32>>()
        });
        let mean = small.iter().sum::<f32>() / small.len() as f32;
        Self {
            plain: of_length_1(small.iter().map(|value| value - mean).collect()),
            coarse: local_contrast(&small, SIDES_PX[0], RADIUS_PX),
            fine: local_contrast(&large, SIDES_PX[1], 2 * RADIUS_PX),
        }
    }

    /// Correlation of two similar scenes; `None` if they are not similar.
    fn alike(&self, other: &Self) -> Option<f32> {
        let correlation = self.correlation(other);
        let plainly =
            || shifted_product(&self.plain, &other.plain, SIDES_PX[0], (0, 0)) > PLAINLY_ALIKE;
        let alike = correlation > ALIKE || (correlation > WORTH_A_LOOK && plainly());
        alike.then_some(correlation)
    }

    /// Best correlation over all shifts: searched coarsely, and refined if the coarse value is high
    /// enough.
    fn correlation(&self, other: &Self) -> f32 {
        let shifts = -MAX_SHIFT_PX..=MAX_SHIFT_PX;
        let best = |candidates: &mut dyn Iterator<Item = (i32, i32)>, a: &[f32], b, side| {
            let all = candidates.map(|shift| (shifted_product(a, b, side, shift), shift));
            all.max_by(|a, b| a.0.total_cmp(&b.0)).expect("there are shifts")
        };
        let mut all = shifts.clone().flat_map(|dy| shifts.clone().map(move |dx| (dy, dx)));
        let (product, (dy, dx)) = best(&mut all, &self.coarse, &other.coarse, SIDES_PX[0]);
        if product < WORTH_A_LOOK {
            return product;
        }
        let around = |at: i32| 2 * at - 1..=2 * at + 1;
        let mut near = around(dy).flat_map(|dy| around(dx).map(move |dx| (dy, dx)));
        best(&mut near, &self.fine, &other.fine, SIDES_PX[1]).0
    }
}

/// Indices of two similar scenes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Alike {
    pub(super) first: usize,
    pub(super) second: usize,
    correlation: f32,
}

/// All pairs of similar scenes, most similar first. Indices with the same `bundle` are not compared
/// with each other; indices without a scene are not compared at all.
pub(super) fn alike_pairs(scenes: &[Option<Scene>], bundle: &[usize]) -> Vec<Alike> {
    let pairs_of = |(second, scene): (usize, &Option<Scene>)| -> Vec<Alike> {
        let Some(scene) = scene else { return Vec::new() };
        let others = scenes[..second].iter().enumerate();
        let compared = others.filter(|(first, _)| bundle[*first] != bundle[second]);
        let alike = compared.filter_map(|(first, other)| {
            let correlation = scene.alike(other.as_ref()?)?;
            Some(Alike { first, second, correlation })
        });
        alike.collect()
    };
    let mut pairs: Vec<Alike> = scenes.par_iter().enumerate().flat_map_iter(pairs_of).collect();
    pairs.sort_by(|a, b| {
        let order = b.correlation.total_cmp(&a.correlation);
        order.then((a.first, a.second).cmp(&(b.first, b.second)))
    });
    pairs
}

/// Groups of the indices `0..bundle.len()`. Indices with the same `bundle` (their smallest index)
/// are one group. Similar pairs join their groups, the most similar pair first, as long as the
/// joined group has at most `cap` members. Without a cap, images that resemble their neighbours
/// would chain up until the whole data set is one group.
pub(super) fn group(pairs: &[Alike], bundle: &[usize], cap: usize) -> Vec<Vec<usize>> {
    // Each index points to a smaller index of its group, or to itself.
    let mut leader = bundle.to_vec();
    let mut size = vec![0; bundle.len()];
    bundle.iter().for_each(|&first| size[first] += 1);
    let find = |leader: &[usize], mut i: usize| {
        while leader[i] != i {
            i = leader[i];
        }
        i
    };
    for pair in pairs {
        let (a, b) = (find(&leader, pair.first), find(&leader, pair.second));
        if a != b && size[a] + size[b] <= cap {
            leader[a.max(b)] = a.min(b);
            size[a.min(b)] += size[a.max(b)];
        }
    }
    let mut groups = vec![Vec::new(); bundle.len()];
    for i in 0..bundle.len() {
        groups[find(&leader, i)].push(i);
    }
    groups.retain(|members| !members.is_empty());
    groups
}

/// Sum of `a[y][x] * b[y + dy][x + dx]` over the overlap.
fn shifted_product(a: &[f32], b: &[f32], side: usize, (dy, dx): (i32, i32)) -> f32 {
    let (rows, columns) = (overlap(side, dy), overlap(side, dx));
    let mut sums = [0.0; 8];
    for (a_y, b_y) in rows[0].clone().zip(rows[1].clone()) {
        let a = &a[a_y * side..][columns[0].clone()];
        let b = &b[b_y * side..][columns[1].clone()];
        // Eight independent sums, because a single one would wait for each addition.
        for (a, b) in a.chunks(8).zip(b.chunks(8)) {
            sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
        }
    }
    sums.iter().sum()
}

/// Overlapping positions in `a` and in `b`.
fn overlap(side: usize, shift: i32) -> [Range<usize>; 2] {
    let by = shift.unsigned_abs() as usize;
    if shift >= 0 { [0..side - by, by..side] } else { [by..side, 0..side - by] }
}

/// `(value - local mean) / local deviation`, 0 outside the filled part of the image, normalized to
/// length 1.
fn local_contrast(grey: &[f32], side: usize, radius: usize) -> Vec<f32> {
    /// Added to the deviation, so that uniform surroundings, which contain only noise, do not count
    /// as much as others.
    const LEAST_DEVIATION: f32 = 4.0;
    let filled = filled(grey, side);
    let masked = |values: &[f32]| -> Vec<f32> {
        values.iter().zip(&filled).map(|(value, inside)| value * inside).collect()
    };
    let local_mean = |values: &[f32], radius| -> Vec<f32> {
        let (sums, counts) = (box_sums(values, side, radius), box_sums(&filled, side, radius));
        sums.iter().zip(&counts).map(|(sum, count)| sum / count.max(1.0)).collect()
    };
    let mean = local_mean(&masked(grey), radius);
    let difference: Vec<f32> = grey.iter().zip(&mean).map(|(value, mean)| value - mean).collect();
    let difference = masked(&difference);
    let squares: Vec<f32> = difference.iter().map(|d| d * d).collect();
    let variance = local_mean(&squares, 2 * radius);
    let contrast = difference
        .iter()
        .zip(&variance)
        // Differences of summed areas may end slightly below 0.
        .map(|(d, variance)| d / (variance.max(0.0).sqrt() + LEAST_DEVIATION));
    of_length_1(contrast.collect())
}

fn of_length_1(mut values: Vec<f32>) -> Vec<f32> {
    let length = values.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-6);
    values.iter_mut().for_each(|v| *v /= length);
    values
}

/// 1 in the filled part of the image; 0 in the black surroundings (and black boxes at the border)
/// and next to them, because these edges are the same in all images of one machine.
fn filled(grey: &[f32], side: usize) -> Vec<f32> {
    let around = |i: usize| {
        let near = |at: usize| at.saturating_sub(1)..(at + 2).min(side);
        let columns = near(i % side);
        near(i / side).flat_map(move |y| columns.clone().map(move |x| y * side + x))
    };
    // Black pixels connected to the border.
    let mut surrounds = vec![false; side * side];
    let mut next: Vec<usize> = (0..side * side).filter(|&i| around(i).count() < 9).collect();
    while let Some(i) = next.pop() {
        if grey[i] < BLACK && !surrounds[i] {
            surrounds[i] = true;
            next.extend(around(i));
        }
    }
    let inside = |i: usize| !around(i).any(|j| surrounds[j]);
    (0..side * side).map(|i| f32::from(u8::from(inside(i)))).collect()
}

/// Sum over the square of `radius` around each pixel, clipped to the image.
fn box_sums(values: &[f32], side: usize, radius: usize) -> Vec<f32> {
    // Summed areas, with a row and a column of 0 in front.
    let stride = side + 1;
    let mut areas = vec![0.0f64; stride * stride];
    for y in 0..side {
        for x in 0..side {
            let value = f64::from(values[y * side + x]);
            areas[(y + 1) * stride + x + 1] =
                value + areas[y * stride + x + 1] + areas[(y + 1) * stride + x]
                    - areas[y * stride + x];
        }
    }
    let reach = |at: usize| (at.saturating_sub(radius), (at + radius + 1).min(side));
    let sum = |i: usize| {
        let ((top, bottom), (left, right)) = (reach(i / side), reach(i % side));
        let area = |y: usize, x: usize| areas[y * stride + x];
        (area(bottom, right) - area(top, right) - area(bottom, left) + area(top, left)) as f32
    };
    (0..side * side).map(sum).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Blobs at random positions, under the shading that all ultrasound has, in a black frame.
    fn scan(seed: u64, shift: usize, gain: f32) -> TrainingImage {
        let (width, height) = (160, 120);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let blobs: Vec<[f32; 3]> =
            (0..150).map(|_| [0.0; 3].map(|_| rng.random_range(0.0f32..1.0))).collect();
        let value = |x: usize, y: usize| {
            if !(12..108).contains(&y) {
                return 0u8;
            }
            let shade = 1.2 - y as f32 / 120.0;
            let blobs = blobs.iter().map(|&[bx, by, size]| {
                let dx = bx * 160.0 - (x + shift) as f32;
                let dy = by * 120.0 - y as f32;
                (-(dx * dx + dy * dy) / (8.0 + 25.0 * size)).exp()
            });
            (gain * shade * (40.0 + 100.0 * blobs.sum::<f32>())).min(255.0) as u8
        };
        let pixels = (0..width * height).map(|i| value(i % width, i / width));
        let rgb = pixels.flat_map(|value| [value; 3]).collect();
        TrainingImage { width, height, rgb, classes: Array2::zeros((height, width)) }
    }

    #[test]
    fn moved_probe_and_other_gain_are_the_same_scene() {
        let first = Scene::new(&scan(1, 0, 1.0));
        for (shift, gain) in [(0, 1.0), (0, 0.6), (6, 1.0), (12, 1.3)] {
            let correlation = first.correlation(&Scene::new(&scan(1, shift, gain)));
            assert!(correlation > 0.5, "{correlation} at shift {shift}, gain {gain}");
        }
    }

    #[test]
    fn other_scenes_under_the_same_shading_are_not_similar() {
        let scenes: Vec<_> = (0..12).map(|seed| Some(Scene::new(&scan(seed, 0, 1.0)))).collect();
        let alone: Vec<usize> = (0..12).collect();
        assert_eq!(alike_pairs(&scenes, &alone), []);
        assert_eq!(group(&[], &alone, 12), alone.iter().map(|&i| vec![i]).collect::<Vec<_>>());
    }

    #[test]
    fn similar_pairs_are_joined_transitively() {
        let images = [(1, 0), (2, 0), (1, 14), (3, 0), (1, 28)];
        let mut scenes = images.map(|(seed, shift)| Some(Scene::new(&scan(seed, shift, 1.0))));
        let [Some(first), .., Some(last)] = &scenes else { unreachable!() };
        assert_eq!(first.alike(last), None, "too far apart to be directly similar");
        let groups = |scenes: &[Option<Scene>], bundle: &[usize], cap| {
            group(&alike_pairs(scenes, bundle), bundle, cap)
        };
        assert_eq!(groups(&scenes, &[0, 1, 2, 3, 4], 5), [vec![0, 2, 4], vec![1], vec![3]]);
        assert_eq!(groups(&scenes, &[0, 1, 2, 1, 4], 5), [vec![0, 2, 4], vec![1, 3]]);
        scenes[2] = None;
        assert_eq!(groups(&scenes, &[0, 1, 2, 3, 4], 5), [[0], [1], [2], [3], [4]]);
    }

    #[test]
    fn a_capped_group_keeps_its_most_similar_members() {
        let pair = |first, second, correlation| Alike { first, second, correlation };
        let chain = [pair(2, 3, 0.9), pair(0, 1, 0.8), pair(1, 2, 0.6), pair(3, 4, 0.4)];
        let alone = [0, 1, 2, 3, 4];
        assert_eq!(group(&chain, &alone, 5), [alone]);
        assert_eq!(group(&chain, &alone, 3), [vec![0, 1], vec![2, 3, 4]]);
        assert_eq!(group(&chain, &alone, 2), [vec![0, 1], vec![2, 3], vec![4]]);
        // A recording is one group regardless of its length.
        assert_eq!(group(&chain, &[0, 0, 0, 3, 4], 2), [vec![0, 1, 2], vec![3, 4]]);
    }

    #[test]
    fn black_images_are_similar_to_nothing() {
        let black = || TrainingImage {
            width: 20,
            height: 20,
            rgb: vec![0; 1200],
            classes: Array2::zeros((20, 20)),
        };
        let scenes = [(); 2].map(|()| Some(Scene::new(&black())));
        assert_eq!(alike_pairs(&scenes, &[0, 1]), []);
    }

    #[test]
    fn sums_and_products_equal_the_definition() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let side = 9;
        let values: Vec<f32> = (0..81).map(|_| rng.random_range(-2.0..2.0)).collect();
        let at = |y: i32, x: i32| {
            let inside = (0..9).contains(&y) && (0..9).contains(&x);
            if inside { values[(y * 9 + x) as usize] } else { 0.0 }
        };
        let sums = box_sums(&values, side, 2);
        for i in 0..81i32 {
            let around = (-2..=2).flat_map(|dy| (-2..=2).map(move |dx| (dy, dx)));
            let expected: f32 = around.map(|(dy, dx)| at(i / 9 + dy, i % 9 + dx)).sum();
            assert!((sums[i as usize] - expected).abs() < 1e-4);
        }
        for (dy, dx) in [(0, 0), (2, -3), (-1, 1), (-3, -3)] {
            let found = shifted_product(&values, &values, side, (dy, dx));
            let expected: f32 =
                (0..81).map(|i: i32| at(i / 9, i % 9) * at(i / 9 + dy, i % 9 + dx)).sum();
            assert!((found - expected).abs() < 1e-3);
        }
    }
}
