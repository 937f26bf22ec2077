//! Signs that a mask covers more or less than the object.

use medsa_sam::image::Geometry;
use medsa_sam::mask::{Parts, Side};
use medsa_sam::prompt::{BoxXyxy, Prompt};
use medsa_wire::Reason;
use ndarray::{Array2, ArrayView2, s};

/// Area of a part from which it counts, as a share of the largest part's.
const PART: f32 = 0.2;

/// Ratio of areas from one mask to the next from which it is a jump, either way.
const JUMP: f32 = 1.6;

/// Share of the cells at the border of the frame from which a mask reaches it.
const AT_BORDER: f32 = 0.01;

/// Least overlap (IoU) of the mask's bounding box with the prompted box.
const IN_BOX: f32 = 0.5;

/// Reason to doubt a mask of logits `[h, w]` that is the best prediction; `None` if there is none.
/// `bounds` is its bounding box and `prompt` the one it was predicted for, both in pixels of the
/// frame; `area_ratio` is the ratio of its area to the object's so far.
pub(super) fn spill(
    logits: &Array2<f32>,
    geometry: &Geometry,
    bounds: Option<BoxXyxy>,
    prompt: &Prompt,
    area_ratio: f32,
) -> Option<Reason> {
    let (height, width) = logits.dim();
    let (part_width, part_height) = geometry.mask_size((width, height));
    let cells = logits.slice(s![..part_height, ..part_width]);
    let clicks = prompt.points().iter().filter(|point| point.positive).count();
    if prompt.bbox().zip(bounds).is_some_and(|(bbox, mask)| box_overlap(bbox, mask) < IN_BOX) {
        return Some(Reason::OutsideBox);
    }
    if large_parts(cells) > clicks.max(1) {
        return Some(Reason::SeveralParts);
    }
    if !(1.0 / JUMP..=JUMP).contains(&area_ratio) {
        return Some(Reason::AreaJump);
    }
    (border_share(cells) > AT_BORDER).then_some(Reason::AtBorder)
}

/// Number of parts that are not small.
fn large_parts(cells: ArrayView2<f32>) -> usize {
    let parts = Parts::of(cells, Side::Inside);
    let areas = || parts.all().iter().map(|part| part.area as f32);
    let largest = areas().fold(0.0, f32::max);
    areas().filter(|area| *area >= PART * largest).count()
}

/// Share of the cells at the border that are inside.
fn border_share(cells: ArrayView2<f32>) -> f32 {
    let (height, width) = cells.dim();
    if height < 2 || width < 2 {
        return 0.0;
    }
    let sides = [
        cells.row(0),
        cells.row(height - 1),
        cells.slice(s![1..height - 1, 0]),
        cells.slice(s![1..height - 1, width - 1]),
    ];
    let inside = sides.iter().flatten().filter(|&&logit| logit > 0.0).count();
    inside as f32 / (2 * (height + width) - 4) as f32
}

/// Intersection over union of two boxes.
fn box_overlap(a: BoxXyxy, b: BoxXyxy) -> f32 {
    let area = |[x0, y0, x1, y1]: BoxXyxy| (x1 - x0).max(0.0) * (y1 - y0).max(0.0);
    let both = area([a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
    let either = area(a) + area(b) - both;
    if either > 0.0 { both / either } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use medsa_sam::prompt::Point;

    use super::*;

    const FRAME: (usize, usize) = (64, 64);

    fn prompt(clicks: usize, bbox: Option<BoxXyxy>) -> Prompt {
        let click = |i: usize| Point { x: 20.0 + i as f32, y: 20.0, positive: true };
        Prompt::new((0..clicks).map(click).collect(), bbox, FRAME).unwrap()
    }

    /// A mask of rectangles `[x0, y0, x1, y1]` in cells, which are pixels here.
    fn found(boxes: &[[usize; 4]], prompt: &Prompt, area_ratio: f32) -> Option<Reason> {
        let geometry = Geometry::new(FRAME, 64);
        let mut logits = Array2::from_elem((64, 64), -5.0);
        for &[x0, y0, x1, y1] in boxes {
            logits.slice_mut(s![y0..y1, x0..x1]).fill(5.0);
        }
        let [x0, y0, x1, y1] = boxes[0].map(|side| side as f32);
        let bounds = Some([x0, y0, x1, y1]);
        spill(&logits, &geometry, bounds, prompt, area_ratio)
    }

    #[test]
    fn each_sign_makes_a_mask_uncertain() {
        let click = prompt(1, None);
        let square = [10, 10, 30, 30];
        assert_eq!(found(&[square], &click, 1.0), None);
        assert_eq!(found(&[square], &click, 2.0), Some(Reason::AreaJump));
        assert_eq!(found(&[square], &click, 0.5), Some(Reason::AreaJump));
        assert_eq!(found(&[[0, 10, 20, 30]], &click, 1.0), Some(Reason::AtBorder));
        let pair = [square, [40, 40, 50, 50]];
        assert_eq!(found(&pair, &click, 1.0), Some(Reason::SeveralParts));
        // Two clicks may mean two parts, and islands do not count.
        assert_eq!(found(&pair, &prompt(2, None), 1.0), None);
        assert_eq!(found(&[square, [40, 40, 43, 43]], &click, 1.0), None);
        let in_box = |bbox| found(&[square], &prompt(0, Some(bbox)), 1.0);
        assert_eq!(in_box([8.0, 8.0, 32.0, 32.0]), None);
        assert_eq!(in_box([8.0, 8.0, 60.0, 60.0]), Some(Reason::OutsideBox));
    }
}
