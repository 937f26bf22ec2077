//! Appearance of an object in the features of the encoder, by which it is recognized.

use ndarray::{Array2, ArrayView2, ArrayView3};

/// Mean features within a mask and around it.
#[derive(Clone, Debug)]
pub(super) struct Appearance {
    /// Of length 1.
    inside: Vec<f32>,
    /// Cosine between the features inside and around.
    pub contrast: f32,
}

impl Appearance {
    /// Appearance of the mask `logits` `[4h, 4w]` in `features` `[C, h, w]`; `None` if the mask is
    /// empty or covers everything.
    pub fn of(features: ArrayView3<f32>, logits: ArrayView2<f32>) -> Option<Self> {
        let inside = coverage(logits, features.dim());
        let around = surroundings(&inside);
        let (inside, around) = (mean(features, &inside)?, mean(features, &around)?);
        let contrast = dot(&inside, &around);
        Some(Self { inside, contrast })
    }

    /// Cosine between the features inside of two objects.
    pub fn similarity(&self, other: &Self) -> f32 {
        dot(&self.inside, &other.inside)
    }

    /// Moves the appearance towards `newer` by `share`.
    pub fn learn(&mut self, newer: &Self, share: f32) {
        for (old, new) in self.inside.iter_mut().zip(&newer.inside) {
            *old += share * (new - *old);
        }
        normalize(&mut self.inside);
        self.contrast += share * (newer.contrast - self.contrast);
    }

    /// The place in `features` `[C, h, w]` that looks most like the object, as a cell `[x, y]` of
    /// a mask `[4h, 4w]`. Only the first `part` = (width, height) cells of the mask count, and
    /// similarities are averaged over a square with half side `radius` cells.
    pub fn most_similar(
        &self,
        features: ArrayView3<f32>,
        part: (usize, usize),
        radius: f32,
    ) -> [f32; 2] {
        let (_, height, width) = features.dim();
        let columns = part.0.div_ceil(CELLS).clamp(1, width);
        let rows = part.1.div_ceil(CELLS).clamp(1, height);
        let similar = Array2::from_shape_fn((rows, columns), |(y, x)| {
            let here = features.slice(ndarray::s![.., y, x]);
            let (mut along, mut square) = (0.0, 0.0);
            for (value, own) in here.iter().zip(&self.inside) {
                along += value * own;
                square += value * value;
            }
            along / square.sqrt().max(f32::MIN_POSITIVE)
        });
        let reach = (radius / CELLS as f32).round() as usize;
        let around = |y: usize, x: usize| {
            let (top, left) = (y.saturating_sub(reach), x.saturating_sub(reach));
            let (bottom, right) = ((y + reach + 1).min(rows), (x + reach + 1).min(columns));
            similar.slice(ndarray::s![top..bottom, left..right]).mean().unwrap_or(0.0)
        };
        let mut best = (f32::NEG_INFINITY, [0; 2]);
        for y in 0..rows {
            for x in 0..columns {
                let value = around(y, x);
                if value > best.0 {
                    best = (value, [x, y]);
                }
            }
        }
        best.1.map(|cell| (cell * CELLS) as f32 + (CELLS - 1) as f32 / 2.0)
    }
}

/// Cells of a mask per place of the features, along one axis.
const CELLS: usize = 4;

/// Share of each place of the features that a mask covers, `[h, w]`.
fn coverage(logits: ArrayView2<f32>, (_, height, width): (usize, usize, usize)) -> Array2<f32> {
    let mut covered = Array2::zeros((height, width));
    for ((y, x), &logit) in logits.indexed_iter() {
        if logit > 0.0
            && let Some(place) = covered.get_mut([y / CELLS, x / CELLS])
        {
            *place += 1.0 / (CELLS * CELLS) as f32;
        }
    }
    covered
}

/// Weights of the places around an object: a ring as wide as half of the object's radius.
fn surroundings(inside: &Array2<f32>) -> Array2<f32> {
    let radius = (inside.sum() / std::f32::consts::PI).sqrt();
    let reach = (radius / 2.0).round().max(1.0) as isize;
    let (height, width) = inside.dim();
    let mut around = Array2::zeros((height, width));
    for ((y, x), &weight) in inside.indexed_iter() {
        if weight == 0.0 {
            continue;
        }
        for down in -reach..=reach {
            for right in -reach..=reach {
                let at = (y.checked_add_signed(down), x.checked_add_signed(right));
                let (Some(y), Some(x)) = at else { continue };
                if down * down + right * right <= reach * reach
                    && let Some(place) = around.get_mut([y, x])
                {
                    *place = weight.max(*place);
                }
            }
        }
    }
    around.zip_mut_with(inside, |around, inside| *around = f32::max(*around - inside, 0.0));
    around
}

/// Weighted mean of the features, of length 1; `None` without any weight.
fn mean(features: ArrayView3<f32>, weights: &Array2<f32>) -> Option<Vec<f32>> {
    if weights.sum() <= 0.0 {
        return None;
    }
    let channels = features.outer_iter();
    let mut sums: Vec<f32> = channels
        .map(|channel| channel.iter().zip(weights).map(|(value, weight)| value * weight).sum())
        .collect();
    normalize(&mut sums);
    Some(sums)
}

fn normalize(values: &mut [f32]) {
    let length = dot(values, values).sqrt().max(f32::MIN_POSITIVE);
    values.iter_mut().for_each(|value| *value /= length);
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    /// A disc of one kind of features on a background of another, and its mask.
    fn scene(x: f32, y: f32) -> (Array3<f32>, Array2<f32>) {
        let within = |px: f32, py: f32| (px - x).hypot(py - y) < 12.0;
        let features = Array3::from_shape_fn((8, 16, 20), |(channel, row, column)| {
            let here = within(column as f32 * 4.0 + 1.5, row as f32 * 4.0 + 1.5);
            let kind = if here { 1 } else { 5 };
            f32::from(channel == kind) + 0.1 * (channel as f32 + row as f32).sin()
        });
        let logits = Array2::from_shape_fn((64, 80), |(row, column)| {
            if within(column as f32, row as f32) { 1.0 } else { -1.0 }
        });
        (features, logits)
    }

    #[test]
    fn object_is_found_again_elsewhere() {
        let (features, logits) = scene(30.0, 30.0);
        let known = Appearance::of(features.view(), logits.view()).unwrap();
        assert!(known.contrast < 0.5, "{known:?}");
        let (features, logits) = scene(60.0, 40.0);
        let [x, y] = known.most_similar(features.view(), (80, 64), 12.0);
        assert!((x - 60.0).abs() <= 4.0 && (y - 40.0).abs() <= 4.0, "{x} {y}");
        let again = Appearance::of(features.view(), logits.view()).unwrap();
        assert!(known.similarity(&again) > 0.95);
        let background =
            Array2::from_shape_fn(
                (64, 80),
                |(row, column)| {
                    if row < 16 && column < 16 { 1.0 } else { -1.0 }
                },
            );
        let other = Appearance::of(features.view(), background.view()).unwrap();
        assert!(known.similarity(&other) < 0.5 && other.contrast > 0.8);
    }

    #[test]
    fn appearance_changes_slowly() {
        let (features, logits) = scene(30.0, 30.0);
        let mut known = Appearance::of(features.view(), logits.view()).unwrap();
        let (other, _) = scene(70.0, 60.0);
        let changed = Appearance::of(other.view(), logits.view()).unwrap();
        let before = known.similarity(&changed);
        known.learn(&changed, 0.3);
        let after = known.similarity(&changed);
        assert!(before < after && after < 0.9, "{before} {after}");
        let empty = Array2::from_elem((64, 80), -1.0);
        assert!(Appearance::of(features.view(), empty.view()).is_none());
    }
}
