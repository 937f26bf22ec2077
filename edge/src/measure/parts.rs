//! Connected parts of a mask: pixels above zero that touch by their sides.

use ndarray::ArrayView2;

/// The parts of a mask.
pub(super) struct Parts {
    parts: Vec<Part>,
}

/// One connected part.
#[derive(Clone, Copy)]
pub(super) struct Part {
    /// First pixel in reading order, `[x, y]`.
    pub first: [usize; 2],
    pub area_px: u32,
    sum: [f64; 2],
}

/// Consecutive pixels of one row.
#[derive(Clone, Copy)]
struct Run {
    start: usize,
    end: usize,
    /// Index of its part, or of a part that was joined to it.
    part: usize,
}

impl Parts {
    /// Finds the parts of `logits` `[H, W]` above zero.
    pub fn of(logits: ArrayView2<f32>) -> Self {
        let mut joined = Joined::default();
        let mut above: Vec<Run> = Vec::new();
        let mut row_runs: Vec<Run> = Vec::new();
        for (y, row) in logits.rows().into_iter().enumerate() {
            row_runs.clear();
            // Runs above that end before this one cannot touch the following ones either.
            let mut candidates = above.as_slice();
            let mut x = 0;
            while x < row.len() {
                if row[x] <= 0.0 || row[x].is_nan() {
                    x += 1;
                    continue;
                }
                let start = x;
                while x < row.len() && row[x] > 0.0 {
                    x += 1;
                }
                while candidates.first().is_some_and(|run| run.end <= start) {
                    candidates = &candidates[1..];
                }
                let touching = candidates.iter().take_while(|run| run.start < x);
                let part = joined.add(Part::of_run(y, start, x), touching.map(|run| run.part));
                row_runs.push(Run { start, end: x, part });
            }
            std::mem::swap(&mut above, &mut row_runs);
        }
        Self { parts: joined.into_parts() }
    }

    /// Number of parts.
    pub fn count(&self) -> u32 {
        self.parts.len() as u32
    }

    /// The part with the most pixels; the first if several are equal.
    pub fn largest(&self) -> Option<Part> {
        self.parts.iter().copied().reduce(|a, b| if b.area_px > a.area_px { b } else { a })
    }
}

impl Part {
    /// Centroid `[x, y]`.
    pub fn centroid_px(&self) -> [f32; 2] {
        self.sum.map(|sum| (sum / f64::from(self.area_px)) as f32)
    }

    fn of_run(y: usize, start: usize, end: usize) -> Self {
        let count = (end - start) as f64;
        let sum = [(start + end - 1) as f64 / 2.0 * count, y as f64 * count];
        Self { first: [start, y], area_px: (end - start) as u32, sum }
    }
}

/// Parts found so far (union-find); joined parts point to the earliest.
#[derive(Default)]
struct Joined {
    parts: Vec<Part>,
    parent: Vec<usize>,
}

impl Joined {
    /// Adds pixels that touch the parts `touching`; returns the part they now belong to.
    fn add(&mut self, pixels: Part, touching: impl Iterator<Item = usize>) -> usize {
        let mut part = self.parts.len();
        self.parts.push(pixels);
        self.parent.push(part);
        for other in touching {
            part = self.join(part, other);
        }
        part
    }

    fn join(&mut self, a: usize, b: usize) -> usize {
        let (a, b) = (self.root(a), self.root(b));
        let (kept, gone) = (a.min(b), a.max(b));
        if kept != gone {
            self.parent[gone] = kept;
            let Part { area_px, sum, .. } = self.parts[gone];
            let part = &mut self.parts[kept];
            part.area_px += area_px;
            part.sum = [part.sum[0] + sum[0], part.sum[1] + sum[1]];
        }
        kept
    }

    fn root(&mut self, mut part: usize) -> usize {
        while self.parent[part] != part {
            self.parent[part] = self.parent[self.parent[part]];
            part = self.parent[part];
        }
        part
    }

    fn into_parts(self) -> Vec<Part> {
        let own = self.parent.iter().enumerate().map(|(part, &parent)| part == parent);
        self.parts.into_iter().zip(own).filter_map(|(part, own)| own.then_some(part)).collect()
    }
}
