//! Measurements on a play.

use medsa_edge::pipeline::Change;
use medsa_sam::prompt::Point;
use ndarray::Array2;

use super::footage::Seen;

/// Overlap (IoU) from which an object counts as found.
const FOUND: f32 = 0.5;

/// Smallest motion between frames, in pixels, at which a delay can be measured.
const MOVING_PX: f32 = 0.5;

/// Figures of one play.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measured {
    /// Share of the frames with the object on which it is outlined.
    pub outlined: f32,
    /// Mean overlap (IoU) with the truth on frames with the object; 0 where it is not outlined.
    pub j: f32,
    /// Share of the frames without the object on which something is outlined.
    pub false_outlines: f32,
    /// Longest time until the object is found after it returned, in frames.
    pub frames_to_return: Option<usize>,
    /// Root mean square of the change of the mask's position against the truth from frame to frame,
    /// in pixels.
    pub jitter_px: f32,
    /// 95th percentile of the delay of the mask against a moving truth, in frames.
    pub lag_frames: Option<f32>,
}

impl Measured {
    /// Compares what was seen on each frame with the truth `[H, W]` there; an empty truth means that
    /// the object is not there. Frames before the first result do not count.
    pub fn of(seen: &[Option<Seen>], truth: &[&Array2<bool>]) -> Self {
        let first = seen.iter().position(Option::is_some).unwrap_or(0);
        let (seen, truth) = (&seen[first..], &truth[first..]);
        let there: Vec<bool> =
            truth.iter().map(|truth| truth.iter().any(|&inside| inside)).collect();
        let overlaps: Vec<f32> = seen
            .iter()
            .zip(truth)
            .map(|(seen, truth)| seen.as_ref().map_or(0.0, |seen| overlap(&seen.mask, truth)))
            .collect();
        let of = |there_is: bool, value: &dyn Fn(usize) -> f32| {
            mean((0..seen.len()).filter(|&i| there[i] == there_is).map(value))
        };
        let is_shown = |i: usize| f32::from(u8::from(seen[i].is_some()));
        // Position of mask and truth, where both exist.
        let places: Vec<_> = seen
            .iter()
            .zip(truth)
            .zip(&there)
            .map(|((seen, truth), there)| {
                let seen = seen.as_ref().filter(|_| *there)?;
                Some((middle(&seen.mask), middle(truth)))
            })
            .collect();
        Self {
            outlined: of(true, &is_shown),
            j: of(true, &|i| overlaps[i]),
            false_outlines: of(false, &is_shown),
            frames_to_return: frames_to_return(&there, &overlaps),
            jitter_px: jitter(&places),
            lag_frames: lag(&places),
        }
    }
}

/// Longest wait for an object that returned; one that is never found waits until the end.
fn frames_to_return(there: &[bool], overlaps: &[f32]) -> Option<usize> {
    let returns = (1..there.len()).filter(|&i| there[i] && !there[i - 1]);
    let wait = |i: usize| {
        let found = overlaps[i..].iter().position(|&overlap| overlap >= FOUND);
        found.unwrap_or(overlaps.len() - i)
    };
    returns.map(wait).max()
}

type Places = [Option<([f32; 2], [f32; 2])>];

fn jitter(places: &Places) -> f32 {
    let pairs = places.windows(2).filter_map(|pair| pair[0].zip(pair[1]));
    let squares = pairs.map(|(before, now)| {
        let change = |axis: usize| (now.0[axis] - now.1[axis]) - (before.0[axis] - before.1[axis]);
        change(0).powi(2) + change(1).powi(2)
    });
    mean(squares).sqrt()
}

/// The mask trails a truth of velocity `v` by `e` pixels: its delay is `e v / v^2`. A constant
/// difference between mask and truth is not a delay, so the mean difference is subtracted.
fn lag(places: &Places) -> Option<f32> {
    let known = || places.iter().flatten();
    let offset = [0, 1].map(|axis| mean(known().map(|(mask, truth)| truth[axis] - mask[axis])));
    let mut lags: Vec<f32> = places
        .windows(2)
        .filter_map(|pair| pair[0].zip(pair[1]))
        .filter_map(|(before, now)| {
            let v = [0, 1].map(|axis| now.1[axis] - before.1[axis]);
            let e = [0, 1].map(|axis| now.1[axis] - now.0[axis] - offset[axis]);
            let square = v[0].powi(2) + v[1].powi(2);
            (square >= MOVING_PX.powi(2)).then(|| (e[0] * v[0] + e[1] * v[1]) / square)
        })
        .collect();
    lags.sort_by(f32::total_cmp);
    lags.get((lags.len() * 95 / 100).min(lags.len().saturating_sub(1))).copied()
}

fn mean(values: impl Iterator<Item = f32>) -> f32 {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    if count == 0 { 0.0 } else { sum / count as f32 }
}

/// Intersection over union.
pub fn overlap(a: &Array2<bool>, b: &Array2<bool>) -> f32 {
    let both = a.iter().zip(b).filter(|(a, b)| **a && **b).count();
    let either = a.iter().zip(b).filter(|(a, b)| **a || **b).count();
    if either == 0 { 1.0 } else { both as f32 / either as f32 }
}

/// Centroid of a mask.
pub fn middle(mask: &Array2<bool>) -> [f32; 2] {
    let inside = || mask.indexed_iter().filter(|(_, inside)| **inside);
    let count = inside().count().max(1) as f32;
    inside().fold([0.0; 2], |[x, y], ((row, column), _)| {
        [x + column as f32 / count, y + row as f32 / count]
    })
}

/// One click as a prompt.
pub(super) fn click([x, y]: [f32; 2]) -> Change {
    Change::Set { points: vec![Point { x, y, positive: true }], bbox: None }
}

/// The bounding box of a mask as a prompt, widened by a tenth of its sides.
pub(super) fn around(mask: &Array2<bool>) -> Change {
    let (height, width) = mask.dim();
    let (mut low, mut high) = ([f32::MAX; 2], [f32::MIN; 2]);
    for ((row, column), _) in mask.indexed_iter().filter(|(_, inside)| **inside) {
        for (axis, at) in [column as f32, row as f32].into_iter().enumerate() {
            low[axis] = low[axis].min(at);
            high[axis] = high[axis].max(at + 1.0);
        }
    }
    let margin = [0, 1].map(|axis| 0.05 * (high[axis] - low[axis]));
    let bbox = [
        (low[0] - margin[0]).max(0.0),
        (low[1] - margin[1]).max(0.0),
        (high[0] + margin[0]).min(width as f32),
        (high[1] + margin[1]).min(height as f32),
    ];
    Change::Set { points: Vec::new(), bbox: Some(bbox) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(x: usize) -> Array2<bool> {
        Array2::from_shape_fn((20, 60), |(row, column)| {
            (5..15).contains(&row) && (x..x + 10).contains(&column)
        })
    }

    fn seen(x: usize) -> Option<Seen> {
        Some(Seen { mask: square(x), uncertain: false })
    }

    #[test]
    fn delayed_mask_has_that_delay() {
        let truth: Vec<_> = (0..20).map(|i| square(2 * i)).collect();
        let truth: Vec<_> = truth.iter().chain(truth.iter().rev()).collect();
        // Two frames late.
        let at = |i: usize| middle(truth[i])[0] as usize - 4;
        let late: Vec<_> = (0..40usize).map(|i| seen(at(i.saturating_sub(2)))).collect();
        let measured = Measured::of(&late, &truth);
        assert!((measured.lag_frames.unwrap() - 2.0).abs() < 0.3, "{measured:?}");
        assert_eq!(measured.outlined, 1.0);
        let same: Vec<_> = (0..40).map(|i| seen(at(i))).collect();
        let measured = Measured::of(&same, &truth);
        assert_eq!((measured.j, measured.jitter_px), (1.0, 0.0));
    }

    #[test]
    fn absence_and_return_are_counted() {
        let (there, gone) = (square(10), Array2::from_elem((20, 60), false));
        let truth = [&there, &there, &gone, &gone, &there, &there, &there, &there];
        let play = [seen(10), seen(10), seen(10), None, None, None, seen(10), seen(10)];
        let measured = Measured::of(&play, &truth);
        assert_eq!(measured.false_outlines, 0.5);
        assert_eq!(measured.frames_to_return, Some(2));
        assert!((measured.outlined - 4.0 / 6.0).abs() < 1e-6);
    }
}
