//! Prompts that move with the image, and points to follow.

use std::sync::Arc;

use medsa_sam::image::Geometry;
use medsa_sam::prompt::{Point, Prompt};
use ndarray::ArrayView2;

use crate::follow::{Motion, POINTS};

/// Smallest share of a box's area that must stay in the frame; below it the object has left.
const LEAST_OF_BOX: f32 = 0.25;

/// Half side of the square followed around a click before there is a mask, as a share of the
/// frame's shorter side.
const SURROUNDINGS: f32 = 0.1;

/// A prompt after a motion, in a frame of `size` = (width, height); `None` if the structure has
/// left the frame. Negative points may leave.
pub(super) fn carry(prompt: &Prompt, motion: &Motion, size: (usize, usize)) -> Option<Prompt> {
    let (width, height) = (size.0 as f32, size.1 as f32);
    let inside = |p: &Point| (0.0..=width).contains(&p.x) && (0.0..=height).contains(&p.y);
    let moved = prompt.points().iter().map(|p| {
        let [x, y] = motion.apply([p.x, p.y]);
        Point { x, y, ..*p }
    });
    let points: Vec<_> = moved.filter(inside).collect();
    let positive = |points: &[Point]| points.iter().any(|p| p.positive);
    let bbox = match prompt.bbox() {
        None => None,
        Some([x0, y0, x1, y1]) => {
            // Boxes stay axis-aligned.
            let [x, y] = motion.apply([(x0 + x1) / 2.0, (y0 + y1) / 2.0]);
            let half = [x1 - x0, y1 - y0].map(|side| side / 2.0 * motion.scale());
            let kept = [
                (x - half[0]).max(0.0),
                (y - half[1]).max(0.0),
                (x + half[0]).min(width),
                (y + half[1]).min(height),
            ];
            let area = (kept[2] - kept[0]).max(0.0) * (kept[3] - kept[1]).max(0.0);
            if area < LEAST_OF_BOX * 4.0 * half[0] * half[1] {
                return None;
            }
            Some(kept)
        }
    };
    if bbox.is_none() && positive(prompt.points()) && !positive(&points) {
        return None;
    }
    Prompt::new(points, bbox, size).ok()
}

/// Points to follow before there is a mask: all over the box, or around the positive points.
pub(super) fn surroundings(prompt: &Prompt, (width, height): (usize, usize)) -> Vec<[f32; 2]> {
    let [x0, y0, x1, y1] = prompt.bbox().unwrap_or_else(|| {
        let positive = || prompt.points().iter().filter(|p| p.positive);
        let count = positive().count().max(1) as f32;
        let x = positive().map(|p| p.x).sum::<f32>() / count;
        let y = positive().map(|p| p.y).sum::<f32>() / count;
        let half = SURROUNDINGS * width.min(height) as f32;
        [x - half, y - half, x + half, y + half]
    });
    let side = POINTS.isqrt();
    let share = |i: usize| (i as f32 + 0.5) / side as f32;
    (0..side * side)
        .map(|i| [x0 + (x1 - x0) * share(i % side), y0 + (y1 - y0) * share(i / side)])
        .collect()
}

/// Points to follow a mask by, in frame pixels: half inside, half along the edge, where there is
/// most texture.
pub(super) fn places(logits: ArrayView2<f32>, geometry: &Geometry) -> Arc<[[f32; 2]]> {
    let (height, width) = logits.dim();
    let (part_width, part_height) = geometry.mask_size((width, height));
    let inside = |x: usize, y: usize| x < part_width && y < part_height && logits[[y, x]] > 0.0;
    let mut within = Vec::new();
    let mut edge = Vec::new();
    for y in 0..part_height {
        for x in 0..part_width {
            if !inside(x, y) {
                continue;
            }
            let surrounded = x > 0
                && y > 0
                && inside(x - 1, y)
                && inside(x + 1, y)
                && inside(x, y - 1)
                && inside(x, y + 1);
            if surrounded { &mut within } else { &mut edge }.push([x as f32, y as f32]);
        }
    }
    let spread = |cells: &[[f32; 2]], count: usize| {
        let count = count.min(cells.len());
        (0..count).map(|i| cells[i * cells.len() / count]).collect::<Vec<_>>()
    };
    let edge = spread(&edge, POINTS / 2);
    let within = spread(&within, POINTS - edge.len());
    let cells = edge.into_iter().chain(within);
    cells.map(|cell| geometry.from_cell(cell, (width, height))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: (usize, usize) = (320, 240);

    #[test]
    fn box_moves_with_its_centre() {
        let bbox = Prompt::new(vec![], Some([100.0, 100.0, 140.0, 120.0]), FRAME).unwrap();
        let moved = carry(&bbox, &Motion::shift([10.0, -5.0]), FRAME).unwrap();
        assert_eq!(moved.bbox(), Some([110.0, 95.0, 150.0, 115.0]));
        let cut = carry(&bbox, &Motion::shift([200.0, 0.0]), FRAME).unwrap();
        assert_eq!(cut.bbox(), Some([300.0, 100.0, 320.0, 120.0]));
        assert_eq!(carry(&bbox, &Motion::shift([215.0, 0.0]), FRAME), None);
    }
}
