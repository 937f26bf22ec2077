//! Clean-up of predicted masks.

use std::cmp::Reverse;

use ndarray::{Array2, ArrayViewMut2, s};

use super::parts::{Parts, Side};
use crate::image::Geometry;
use crate::prompt::{BoxXyxy, Prompt};

/// Smallest part that is kept, as a share of the largest one's area.
const LEAST_SHARE: f32 = 0.05;

/// Largest size of a logit in smoothing. Otherwise cells that are certainly outside would outweigh a
/// thin structure that was found with less certainty.
const LARGEST: f32 = 2.0;

/// Clean-up of predicted masks. It keeps its memory from mask to mask.
#[derive(Debug, Default)]
pub struct CleanUp {
    parts: Parts,
    /// For each part: true if its cells change sides.
    chosen: Vec<bool>,
    /// For each part: number of cells in the box.
    in_box: Vec<u32>,
    /// Cells of the frame, row by row.
    blurred: Vec<f32>,
    /// One row.
    above: Vec<f32>,
}

impl CleanUp {
    /// Cleans up the logits `[h, w]` of a mask in place: smooths them, keeps the parts that
    /// `prompt` supports, and closes holes. `geometry` is that of the frame; cells of its padding
    /// stay as they are.
    pub fn run(&mut self, logits: &mut Array2<f32>, geometry: &Geometry, prompt: &Prompt) {
        self.smooth(logits, geometry);
        self.keep_supported(logits, geometry, prompt);
        self.close_holes(logits, geometry, prompt);
    }

    /// Smooths the logits, after limiting them to -2 to 2. With a blur `b`, the result is
    /// `2 b(x) - b(b(x))`: without the noise from cell to cell, and with thin structures less worn
    /// than in `b(x)` (twicing; Tukey, 1977).
    pub fn smooth(&mut self, logits: &mut Array2<f32>, geometry: &Geometry) {
        let mut cells = of_frame(logits, geometry);
        cells.mapv_inplace(|logit| logit.clamp(-LARGEST, LARGEST));
        blur(&mut cells, &mut self.above);
        self.blurred.clear();
        self.blurred.extend(&cells);
        blur(&mut cells, &mut self.above);
        for (cell, blurred) in cells.iter_mut().zip(&self.blurred) {
            *cell = 2.0 * blurred - *cell;
        }
    }

    /// Removes the parts that the prompt does not support. Supported are parts with a positive click
    /// in them or one cell beside them. If there is none, these are the part with the most cells in
    /// the box, and others with at least half of their cells in it; without a box, the largest.
    /// Parts smaller than 5 % of the largest are noise, even under a click.
    pub fn keep_supported(
        &mut self,
        logits: &mut Array2<f32>,
        geometry: &Geometry,
        prompt: &Prompt,
    ) {
        let on_grid = OnGrid { geometry, size: (logits.ncols(), logits.nrows()) };
        let mut cells = of_frame(logits, geometry);
        let Self { parts, chosen, in_box, .. } = self;
        parts.find(cells.view(), Side::Inside);
        let area = |part: usize| parts.all()[part].area;
        let largest = parts.all().iter().map(|part| part.area).max().unwrap_or(0);
        let is_noise = |part| (area(part) as f32) < largest as f32 * LEAST_SHARE;
        chosen.clear();
        chosen.resize(parts.all().len(), true);
        for part in on_grid.clicked(parts, prompt, true) {
            chosen[part] = is_noise(part);
        }
        if chosen.iter().all(|&removed| removed) {
            on_grid.count_in_box(parts, prompt.bbox(), in_box);
            let main =
                (0..chosen.len()).max_by_key(|&part| (in_box[part], area(part), Reverse(part)));
            for part in 0..chosen.len() {
                let in_box = 2 * in_box[part] >= area(part) && !is_noise(part);
                chosen[part] = !in_box && Some(part) != main;
            }
        }
        set_sign(&mut cells, parts, chosen, -1.0);
    }

    /// Closes the holes of the parts, except those with a negative click in them or one cell
    /// beside them.
    pub fn close_holes(&mut self, logits: &mut Array2<f32>, geometry: &Geometry, prompt: &Prompt) {
        let on_grid = OnGrid { geometry, size: (logits.ncols(), logits.nrows()) };
        let mut cells = of_frame(logits, geometry);
        let Self { parts, chosen, .. } = self;
        parts.find(cells.view(), Side::Outside);
        chosen.clear();
        chosen.extend(parts.all().iter().map(|part| !part.at_border));
        for part in on_grid.clicked(parts, prompt, false) {
            chosen[part] = false;
        }
        set_sign(&mut cells, parts, chosen, 1.0);
    }
}

/// Conversion of prompts to the cells of a mask of `size` = (width, height).
struct OnGrid<'a> {
    geometry: &'a Geometry,
    size: (usize, usize),
}

impl OnGrid<'_> {
    /// Parts with a click of one kind in them or one cell beside them; a part may occur repeatedly.
    fn clicked<'a>(
        &self,
        parts: &'a Parts,
        prompt: &'a Prompt,
        positive: bool,
    ) -> impl Iterator<Item = usize> + 'a {
        let (geometry, size) = (*self.geometry, self.size);
        let clicks = prompt.points().iter().filter(move |point| point.positive == positive);
        let cells = clicks.flat_map(move |point| {
            let [x, y] = geometry.to_cell([point.x, point.y], size).map(|at| at.round() as isize);
            (-1..=1).flat_map(move |dy| (-1..=1).map(move |dx| [x + dx, y + dy]))
        });
        cells.filter_map(|[x, y]| parts.at([usize::try_from(x).ok()?, usize::try_from(y).ok()?]))
    }

    /// Counts the cells of each part in the box.
    fn count_in_box(&self, parts: &Parts, bbox: Option<BoxXyxy>, in_box: &mut Vec<u32>) {
        in_box.clear();
        in_box.resize(parts.all().len(), 0);
        let Some([x0, y0, x1, y1]) = bbox else { return };
        let low = self.geometry.to_cell([x0, y0], self.size).map(|at| at.ceil().max(0.0) as usize);
        let high = self.geometry.to_cell([x1, y1], self.size).map(|at| (at + 1.0) as usize);
        for run in parts.runs().iter().filter(|run| (low[1]..high[1]).contains(&run.y)) {
            let cells = run.end.min(high[0]).saturating_sub(run.start.max(low[0]));
            in_box[run.part] += cells as u32;
        }
    }
}

/// The cells that cover the frame, without padding.
fn of_frame<'a>(logits: &'a mut Array2<f32>, geometry: &Geometry) -> ArrayViewMut2<'a, f32> {
    let (width, height) = geometry.mask_size((logits.ncols(), logits.nrows()));
    logits.slice_mut(s![..height, ..width])
}

/// Blurs with a standard deviation of 1.4 cells: four times with the weights 1 2 1 in both
/// directions, which are close to a Gaussian filter and exact on every processor.
fn blur(cells: &mut ArrayViewMut2<f32>, above: &mut Vec<f32>) {
    let (height, width) = cells.dim();
    for _ in 0..4 {
        for mut row in cells.rows_mut() {
            let mut left = row[0];
            for x in 0..width {
                let (here, right) = (row[x], row[(x + 1).min(width - 1)]);
                row[x] = 0.25 * left + 0.5 * here + 0.25 * right;
                left = here;
            }
        }
        above.clear();
        above.extend(cells.row(0));
        for y in 0..height {
            for x in 0..width {
                let (here, below) = (cells[[y, x]], cells[[(y + 1).min(height - 1), x]]);
                cells[[y, x]] = 0.25 * above[x] + 0.5 * here + 0.25 * below;
                above[x] = here;
            }
        }
    }
}

/// Gives the cells of the chosen parts a sign. They keep their distance from zero, so that
/// interpolated logits do not cross it there.
fn set_sign(cells: &mut ArrayViewMut2<f32>, parts: &Parts, chosen: &[bool], sign: f32) {
    for run in parts.runs().iter().filter(|run| chosen[run.part]) {
        let mut cells = cells.slice_mut(s![run.y, run.start..run.end]);
        cells.mapv_inplace(|logit| sign * logit.abs().max(f32::MIN_POSITIVE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::Point;

    /// Frames are 32 x 24 px, and fill the upper three quarters of a mask of 16 x 16 cells.
    const FRAME: (usize, usize) = (32, 24);

    fn geometry() -> Geometry {
        Geometry::new(FRAME, 16)
    }

    /// Logits of 5 inside and -5 outside.
    fn logits(rows: [&str; 12]) -> Array2<f32> {
        Array2::from_shape_fn((16, 16), |(y, x)| {
            let inside = rows.get(y).is_none_or(|row| row.as_bytes()[x] == b'#');
            if inside { 5.0 } else { -5.0 }
        })
    }

    /// A large part with a hole, a small part, and a single cell.
    fn scattered() -> Array2<f32> {
        logits([
            "................",
            ".########.......",
            ".########.......",
            ".###..###...##..",
            ".###..###...##..",
            ".########...##..",
            ".########.......",
            ".########.......",
            "................",
            "................",
            "..............#.",
            "................",
        ])
    }

    fn click(x: f32, y: f32, positive: bool) -> Point {
        // Cells are 2 x 2 px.
        let [x, y] = geometry().from_cell([x, y], (16, 16));
        Point { x, y, positive }
    }

    fn prompt(points: &[Point], bbox: Option<BoxXyxy>) -> Prompt {
        Prompt::new(points.to_vec(), bbox, FRAME).unwrap()
    }

    /// Cells of the frame above zero after `step`.
    fn area(mut logits: Array2<f32>, step: impl Fn(&mut CleanUp, &mut Array2<f32>)) -> usize {
        step(&mut CleanUp::default(), &mut logits);
        assert!(logits.slice(s![12.., ..]).iter().all(|&padding| padding == 5.0));
        logits.slice(s![..12, ..]).iter().filter(|&&logit| logit > 0.0).count()
    }

    fn kept(points: &[Point], bbox: Option<BoxXyxy>) -> usize {
        let prompt = prompt(points, bbox);
        area(scattered(), |clean_up, logits| {
            clean_up.keep_supported(logits, &geometry(), &prompt);
        })
    }

    #[test]
    fn clicked_parts_are_kept() {
        assert_eq!(kept(&[click(2.0, 2.0, true)], None), 52);
        assert_eq!(kept(&[click(12.0, 4.0, true)], None), 6);
        // One cell beside the part.
        assert_eq!(kept(&[click(11.0, 6.0, true)], None), 6);
        assert_eq!(kept(&[click(2.0, 2.0, true), click(12.0, 4.0, true)], None), 58);
        // A click on the hole, and one outside: the largest part.
        assert_eq!(kept(&[click(10.0, 9.0, true)], None), 52);
        assert_eq!(kept(&[click(12.0, 4.0, false)], None), 52);
    }

    #[test]
    fn noise_is_removed_even_under_a_click() {
        // One cell is less than 5 % of 52.
        assert_eq!(kept(&[click(14.0, 10.0, true)], None), 52);
    }

    #[test]
    fn box_keeps_the_part_with_the_largest_overlap_and_those_within() {
        let around = |[x0, y0]: [f32; 2], [x1, y1]: [f32; 2]| {
            let (low, high) = (click(x0, y0, true), click(x1, y1, true));
            Some([low.x, low.y, high.x, high.y])
        };
        // Four cells of the large part, and the small part, or half of it.
        assert_eq!(kept(&[], around([8.0, 3.0], [14.0, 6.0])), 6);
        assert_eq!(kept(&[], around([3.0, 1.0], [14.0, 6.0])), 58);
        assert_eq!(kept(&[], around([3.0, 1.0], [12.0, 6.0])), 58);
        assert_eq!(kept(&[], around([3.0, 1.0], [11.0, 6.0])), 52);
        assert_eq!(kept(&[], around([9.0, 0.0], [10.0, 2.0])), 52);
        // A click that hits decides.
        assert_eq!(kept(&[click(2.0, 2.0, true)], around([8.0, 3.0], [14.0, 6.0])), 52);
    }

    #[test]
    fn holes_are_closed_unless_a_negative_click_asks_for_them() {
        let closed = |points: &[Point]| {
            let prompt = prompt(points, None);
            area(scattered(), |clean_up, logits| {
                clean_up.close_holes(logits, &geometry(), &prompt);
            })
        };
        assert_eq!(closed(&[click(2.0, 2.0, true)]), 52 + 4 + 7);
        assert_eq!(closed(&[click(4.0, 3.0, true)]), 52 + 4 + 7);
        assert_eq!(closed(&[click(4.0, 3.0, false)]), 52 + 7);
        // What reaches the border of the frame is not a hole, although the mask goes on below.
        let open = logits([
            "................",
            "................",
            "................",
            "................",
            "................",
            "................",
            "................",
            "................",
            "................",
            "....########....",
            "....#......#....",
            "....#......#....",
        ]);
        let click = prompt(&[click(4.0, 10.0, true)], None);
        let area = area(open, |clean_up, logits| clean_up.close_holes(logits, &geometry(), &click));
        assert_eq!(area, 12);
    }

    #[test]
    fn hole_of_zeros_is_closed() {
        let mut zeros = scattered();
        zeros.mapv_inplace(|logit| logit.max(0.0));
        zeros.row_mut(0).fill(-1.0);
        let prompt = prompt(&[click(2.0, 2.0, true)], None);
        CleanUp::default().close_holes(&mut zeros, &geometry(), &prompt);
        assert!(zeros[[3, 4]] > 0.0);
    }

    #[test]
    fn smoothing_keeps_levels_and_straight_edges() {
        let mut level = Array2::from_elem((16, 16), 1.5);
        CleanUp::default().smooth(&mut level, &geometry());
        assert!(level.iter().all(|&logit| logit == 1.5));
        let mut edge = Array2::from_shape_fn((16, 16), |(_, x)| if x < 3 { 7.0 } else { -2.0 });
        CleanUp::default().smooth(&mut edge, &geometry());
        for ((y, x), &logit) in edge.slice(s![..12, ..]).indexed_iter() {
            assert_eq!(logit > 0.0, x < 3, "{logit} at {x}, {y}");
        }
    }

    #[test]
    fn thin_structure_among_certain_background_is_kept() {
        let inside = |y: usize| (4..6).contains(&y);
        let mut band =
            Array2::from_shape_fn((16, 16), |(y, _)| if inside(y) { 2.0 } else { -20.0 });
        CleanUp::default().smooth(&mut band, &geometry());
        for (y, row) in band.rows().into_iter().enumerate().take(12) {
            assert!(row.iter().all(|&logit| (logit > 0.0) == inside(y)), "row {y}: {row}");
        }
    }

    #[test]
    fn cleaned_mask_has_one_smooth_outline() {
        let mut mask = scattered();
        mask[[2, 9]] = 5.0;
        let prompt = prompt(&[click(2.0, 2.0, true)], None);
        CleanUp::default().run(&mut mask, &geometry(), &prompt);
        let in_frame = geometry().logits_in_frame(mask.view());
        assert_eq!(crate::mask::rings(in_frame.view()).len(), 1);
        assert!(mask[[2, 9]] <= 0.0, "a bump of one cell remains");
        // The same memory gives the same mask.
        let mut again = scattered();
        again[[2, 9]] = 5.0;
        let mut clean_up = CleanUp::default();
        clean_up.run(&mut scattered(), &geometry(), &prompt);
        clean_up.run(&mut again, &geometry(), &prompt);
        assert_eq!(again, mask);
    }
}
