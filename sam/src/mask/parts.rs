//! Connected parts of a mask, and of what is outside of it.

use std::ops::Range;

use ndarray::ArrayView2;

/// Cells to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Cells above zero; they touch by their sides.
    Inside,
    /// All other cells; they also touch by their corners.
    Outside,
}

impl Side {
    fn holds(self, logit: f32) -> bool {
        (logit > 0.0) == (self == Self::Inside)
    }
}

/// The connected parts of one side of a mask `[H, W]`, in the reading order of their first cells.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    runs: Vec<Run>,
    parts: Vec<Part>,
}

/// One connected part. Cells are `[x, y]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// First cell in reading order.
    pub first: [usize; 2],
    /// Number of cells.
    pub area: u32,
    /// True if a cell is at the border of the mask.
    pub at_border: bool,
    sum: [f64; 2],
}

impl Part {
    /// Mean position of the cells.
    pub fn centroid(&self) -> [f32; 2] {
        self.sum.map(|sum| (sum / f64::from(self.area)) as f32)
    }
}

/// Consecutive cells of one row: `start..end`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub y: usize,
    pub start: usize,
    pub end: usize,
    /// Index of the part. While parts are being connected: index of this run or of an earlier one
    /// of the same part.
    pub part: usize,
}

impl Parts {
    /// Finds the parts of `logits` `[H, W]`.
    pub fn of(logits: ArrayView2<f32>, side: Side) -> Self {
        let mut parts = Self::default();
        parts.find(logits, side);
        parts
    }

    /// The parts.
    pub fn all(&self) -> &[Part] {
        &self.parts
    }

    /// Index of the part with the most cells; the first if several are equal.
    pub fn largest(&self) -> Option<usize> {
        let area = |part: usize| self.parts[part].area;
        (0..self.parts.len()).reduce(|a, b| if area(b) > area(a) { b } else { a })
    }

    /// Rows of a part with their columns, in reading order; a row may come several times.
    pub fn rows(&self, part: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
        let runs = self.runs.iter().filter(move |run| run.part == part);
        runs.map(|run| (run.y, run.start..run.end))
    }

    /// Runs of all parts, in reading order.
    pub(super) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Index of the part that contains a cell.
    pub(super) fn at(&self, [x, y]: [usize; 2]) -> Option<usize> {
        let after = self.runs.partition_point(|run| (run.y, run.start) <= (y, x));
        let run = self.runs[..after].last()?;
        (run.y == y && x < run.end).then_some(run.part)
    }

    /// Replaces the parts by those of other logits; reuses the memory.
    pub(super) fn find(&mut self, logits: ArrayView2<f32>, side: Side) {
        self.runs.clear();
        self.parts.clear();
        let reach = usize::from(side == Side::Outside);
        let mut row_begin = 0;
        for (y, row) in logits.rows().into_iter().enumerate() {
            let mut above = row_begin;
            row_begin = self.runs.len();
            let mut cells = row.iter().map(|&logit| side.holds(logit)).enumerate();
            while let Some((start, _)) = cells.find(|(_, inside)| *inside) {
                let end = cells.find(|(_, inside)| !inside).map_or(row.len(), |(x, _)| x);
                let part = self.runs.len();
                self.runs.push(Run { y, start, end, part });
                // Runs above that end before this one cannot touch the following ones either.
                while above < row_begin && self.runs[above].end + reach <= start {
                    above += 1;
                }
                let touching = |run: &Run| run.start < end + reach;
                for other in above..row_begin {
                    if !touching(&self.runs[other]) {
                        break;
                    }
                    self.join(part, other);
                }
            }
        }
        self.number(logits.dim());
    }

    /// Joins the parts of two runs (union-find); runs point to the earliest.
    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.runs[a.max(b)].part = a.min(b);
    }

    fn root(&mut self, mut run: usize) -> usize {
        while self.runs[run].part != run {
            let next = self.runs[run].part;
            self.runs[run].part = self.runs[next].part;
            run = next;
        }
        run
    }

    /// Numbers the parts. Every run points to an earlier one, which has its number already.
    fn number(&mut self, (height, width): (usize, usize)) {
        for index in 0..self.runs.len() {
            let Run { y, start, end, part } = self.runs[index];
            let number = if part == index {
                self.parts.push(Part {
                    first: [start, y],
                    area: 0,
                    at_border: false,
                    sum: [0.0; 2],
                });
                self.parts.len() - 1
            } else {
                self.runs[part].part
            };
            self.runs[index].part = number;
            let part = &mut self.parts[number];
            let count = (end - start) as f64;
            part.area += (end - start) as u32;
            part.at_border |= start == 0 || end == width || y == 0 || y + 1 == height;
            part.sum[0] += (start + end - 1) as f64 / 2.0 * count;
            part.sum[1] += y as f64 * count;
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    fn logits(rows: &[&str]) -> Array2<f32> {
        let inside = |y: usize, x: usize| rows[y].as_bytes()[x] == b'#';
        Array2::from_shape_fn(
            (rows.len(), rows[0].len()),
            |(y, x)| {
                if inside(y, x) { 1.0 } else { -1.0 }
            },
        )
    }

    #[test]
    fn inside_touches_by_sides_and_outside_by_corners() {
        let checks = logits(&["#.#", ".#.", "#.#"]);
        assert_eq!(Parts::of(checks.view(), Side::Inside).all().len(), 5);
        assert_eq!(Parts::of(checks.view(), Side::Outside).all().len(), 1);
        let joined = logits(&["#.#.#", "#.#.#", "#####"]);
        assert_eq!(Parts::of(joined.view(), Side::Inside).all().len(), 1);
        assert_eq!(Parts::of(joined.view(), Side::Outside).all().len(), 2);
    }

    #[test]
    fn parts_have_area_centroid_border_and_cells() {
        let mask = logits(&[".....", ".###.", ".#.#.", ".###.", "....#"]);
        let inside = Parts::of(mask.view(), Side::Inside);
        let found: Vec<_> = inside.all().iter().map(|p| (p.first, p.area, p.at_border)).collect();
        assert_eq!(found, [([1, 1], 8, false), ([4, 4], 1, true)]);
        assert_eq!(inside.all()[inside.largest().unwrap()].centroid(), [2.0, 2.0]);
        assert_eq!(
            (inside.at([3, 2]), inside.at([2, 2]), inside.at([4, 4])),
            (Some(0), None, Some(1))
        );
        let outside = Parts::of(mask.view(), Side::Outside);
        let found: Vec<_> = outside.all().iter().map(|p| (p.first, p.area, p.at_border)).collect();
        assert_eq!(found, [([0, 0], 15, true), ([2, 2], 1, false)]);
        assert_eq!(Parts::of(logits(&["..", ".."]).view(), Side::Inside).largest(), None);
    }
}
