//! Clean-up of predicted masks.

use ndarray::{Array2, ArrayViewMut2, s};

use super::parts::{Parts, Side};
use crate::image::Geometry;
use crate::prompt::{BoxXyxy, Prompt};

/// Smallest part that is kept, as a share of the largest one's area.
const LEAST_SHARE: f32 = 0.02;

/// Largest size of a logit in smoothing. Otherwise cells that are certainly outside would outweigh a
/// thin structure that was found with less certainty.
const LARGEST: f32 = 2.0;

/// Number of times that logits are smoothed with the weights 1 2 1: together, their weights are
/// those of a Gaussian filter with a standard deviation of one cell.
const PASSES: usize = 2;

/// Clean-up of predicted masks. It keeps its memory from mask to mask.
#[derive(Debug, Default)]
pub struct CleanUp {
    parts: Parts,
    /// For each part: true if its cells change sides.
    chosen: Vec<bool>,
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

    /// Smooths the logits with a standard deviation of one cell, after limiting them to -2 to 2.
    pub fn smooth(&mut self, logits: &mut Array2<f32>, geometry: &Geometry) {
        let mut cells = of_frame(logits, geometry);
        cells.mapv_inplace(|logit| logit.clamp(-LARGEST, LARGEST));
        for _ in 0..PASSES {
            self.pass(&mut cells);
        }
    }

    fn pass(&mut self, cells: &mut ArrayViewMut2<f32>) {
        let (height, width) = cells.dim();
        for mut row in cells.rows_mut() {
            let mut left = row[0];
            for x in 0..width {
                let (here, right) = (row[x], row[(x + 1).min(width - 1)]);
                row[x] = 0.25 * left + 0.5 * here + 0.25 * right;
                left = here;
            }
        }
        let above = &mut self.above;
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

    /// Removes the parts that the prompt does not support. A part is supported by a positive click
    /// in it or one cell beside it. If no part is, the one with the largest overlap with the box
    /// stays, or the largest. Parts smaller than 2 % of the largest are noise, even under a click.
    pub fn keep_supported(
        &mut self,
        logits: &mut Array2<f32>,
        geometry: &Geometry,
        prompt: &Prompt,
    ) {
        let on_grid = OnGrid { geometry, size: (logits.ncols(), logits.nrows()) };
        let mut cells = of_frame(logits, geometry);
        let Self { parts, chosen, .. } = self;
        parts.find(cells.view(), Side::Inside);
        let Some(largest) = parts.largest() else { return };
        let least = parts.all()[largest].area as f32 * LEAST_SHARE;
        chosen.clear();
        chosen.resize(parts.all().len(), true);
        for part in on_grid.clicked(parts, prompt, true) {
            chosen[part] = (parts.all()[part].area as f32) < least;
        }
        if chosen.iter().all(|&removed| removed) {
            let boxed = prompt.bbox().and_then(|bbox| on_grid.boxed(parts, bbox));
            chosen[boxed.unwrap_or(largest)] = false;
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

    /// Part with the most cells in the box; `None` if no part has any.
    fn boxed(&self, parts: &Parts, [x0, y0, x1, y1]: BoxXyxy) -> Option<usize> {
        let low = self.geometry.to_cell([x0, y0], self.size).map(|at| at.ceil().max(0.0) as usize);
        let high = self.geometry.to_cell([x1, y1], self.size).map(|at| (at + 1.0) as usize);
        let mut overlap = vec![0; parts.all().len()];
        for run in parts.runs().iter().filter(|run| (low[1]..high[1]).contains(&run.y)) {
            overlap[run.part] += run.end.min(high[0]).saturating_sub(run.start.max(low[0]));
        }
        let most = overlap.iter().copied().max().filter(|&most| most > 0)?;
        overlap.iter().position(|&cells| cells == most)
    }
}

/// The cells that cover the frame, without padding.
fn of_frame<'a>(logits: &'a mut Array2<f32>, geometry: &Geometry) -> ArrayViewMut2<'a, f32> {
    let (width, height) = geometry.mask_size((logits.ncols(), logits.nrows()));
    logits.slice_mut(s![..height, ..width])
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
        // One cell is less than 2 % of 52.
        assert_eq!(kept(&[click(14.0, 10.0, true)], None), 52);
    }

    #[test]
    fn box_keeps_the_part_with_the_largest_overlap() {
        let around = |[x0, y0]: [f32; 2], [x1, y1]: [f32; 2]| {
            let (low, high) = (click(x0, y0, true), click(x1, y1, true));
            Some([low.x, low.y, high.x, high.y])
        };
        assert_eq!(kept(&[], around([7.0, 3.0], [14.0, 6.0])), 52);
        assert_eq!(kept(&[], around([8.0, 3.0], [14.0, 6.0])), 6);
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
        let mut edge = Array2::from_shape_fn((16, 16), |(_, x)| (x as f32 - 6.5) / 8.0);
        let before = edge.clone();
        CleanUp::default().smooth(&mut edge, &geometry());
        assert_eq!(edge.slice(s![..12, 2..14]), before.slice(s![..12, 2..14]));
    }

    #[test]
    fn thin_structure_among_certain_background_is_kept() {
        let mut band =
            Array2::from_shape_fn((16, 16), |(y, _)| if y / 3 == 1 { 1.0 } else { -20.0 });
        CleanUp::default().smooth(&mut band, &geometry());
        assert!(band.row(4).iter().all(|&logit| logit > 0.0));
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
