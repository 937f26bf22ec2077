//! Prompts made anew from the last mask.
//!
//! A click that is only carried along with the image drifts to the edge of the structure, where the
//! network's answer is worse, and then out of it. So each prompt to the network is centred on the
//! followed mask.

use medsa_sam::image::Geometry;
use medsa_sam::prompt::{BoxXyxy, Point, Prompt};
use ndarray::ArrayView2;

use super::interior::most_interior;

/// The part of logits `[h, w]` that covers the frame, and its geometry.
pub(super) struct Cells<'a> {
    pub logits: ArrayView2<'a, f32>,
    pub geometry: &'a Geometry,
}

impl Cells<'_> {
    fn size(&self) -> (usize, usize) {
        let (height, width) = self.logits.dim();
        (width, height)
    }

    /// True if a position in frame pixels is within the mask.
    fn contains(&self, at: &Point) -> bool {
        let [x, y] = self.geometry.to_cell([at.x, at.y], self.size());
        let cell = (y.round().max(0.0) as usize, x.round().max(0.0) as usize);
        self.logits.get(cell).is_some_and(|&logit| logit > 0.0)
    }

    /// The most interior position, in frame pixels; `None` for an empty mask.
    pub fn middle(&self) -> Option<[f32; 2]> {
        let cell = most_interior(self.logits)?;
        Some(self.clamped(self.geometry.from_cell(cell, self.size())))
    }

    fn clamped(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let (width, height) = self.geometry.frame;
        [x.clamp(0.0, width as f32), y.clamp(0.0, height as f32)]
    }

    /// The bounding box in frame pixels; `None` for an empty mask.
    pub fn bounds(&self) -> Option<BoxXyxy> {
        let (mut low, mut high) = ([f32::MAX; 2], [f32::MIN; 2]);
        for ((row, column), &logit) in self.logits.indexed_iter() {
            if logit > 0.0 {
                for (axis, cell) in [column as f32, row as f32].into_iter().enumerate() {
                    low[axis] = low[axis].min(cell);
                    high[axis] = high[axis].max(cell);
                }
            }
        }
        if low[0] > high[0] {
            return None;
        }
        let corner = |[x, y]: [f32; 2], half: f32| {
            self.clamped(self.geometry.from_cell([x + half, y + half], self.size()))
        };
        let ([x0, y0], [x1, y1]) = (corner(low, -0.5), corner(high, 0.5));
        Some([x0, y0, x1, y1])
    }
}

/// Distances of a prompted box's sides from those of the mask that it gave, as shares of the mask's
/// width and height.
#[derive(Clone, Copy, Debug)]
pub(super) struct Margins([f32; 4]);

impl Margins {
    pub fn between(bbox: BoxXyxy, mask: BoxXyxy) -> Self {
        let sides = sides(mask);
        Self(std::array::from_fn(|i| (bbox[i] - mask[i]) / sides[i % 2]))
    }

    fn around(self, mask: BoxXyxy) -> BoxXyxy {
        let sides = sides(mask);
        std::array::from_fn(|i| mask[i] + self.0[i] * sides[i % 2])
    }
}

fn sides([x0, y0, x1, y1]: BoxXyxy) -> [f32; 2] {
    [(x1 - x0).max(1.0), (y1 - y0).max(1.0)]
}

/// The prompt for the object of the followed mask `cells`. `carried` is the user's prompt, moved
/// with the image; clicks on the wrong side of the mask's edge are left out. `None` for an empty
/// mask.
pub(super) fn renewed(carried: &Prompt, margins: Option<Margins>, cells: &Cells) -> Option<Prompt> {
    let [x, y] = cells.middle()?;
    let frame = cells.geometry.frame;
    let single = carried.points().iter().filter(|p| p.positive).count() <= 1;
    let mut points = vec![Point { x, y, positive: true }];
    points.extend(
        carried
            .points()
            .iter()
            // The middle replaces a single click.
            .filter(|p| p.positive == cells.contains(p) && !(p.positive && single))
            .take(medsa_sam::prompt::MAX_POINTS - 1),
    );
    let bbox = carried.bbox().and_then(|bbox| {
        let Some((margins, mask)) = margins.zip(cells.bounds()) else { return Some(bbox) };
        let [x0, y0, x1, y1] = margins.around(mask);
        let ([x0, y0], [x1, y1]) = (cells.clamped([x0, y0]), cells.clamped([x1, y1]));
        (x0 < x1 && y0 < y1).then_some([x0, y0, x1, y1])
    });
    Prompt::new(points, bbox, frame).ok()
}

/// A prompt for the same object at another position in frame pixels.
pub(super) fn moved_to(
    [x, y]: [f32; 2],
    carried: &Prompt,
    frame: (usize, usize),
) -> Option<Prompt> {
    let (width, height) = (frame.0 as f32, frame.1 as f32);
    let (x, y) = (x.clamp(0.0, width), y.clamp(0.0, height));
    let bbox = carried.bbox().map(|[x0, y0, x1, y1]| {
        let half = [(x1 - x0) / 2.0, (y1 - y0) / 2.0];
        [
            (x - half[0]).max(0.0),
            (y - half[1]).max(0.0),
            (x + half[0]).min(width),
            (y + half[1]).min(height),
        ]
    });
    Prompt::new(vec![Point { x, y, positive: true }], bbox, frame).ok()
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    const FRAME: (usize, usize) = (320, 240);

    fn point(x: f32, y: f32, positive: bool) -> Point {
        Point { x, y, positive }
    }

    fn disc(geometry: &Geometry, x: f32, y: f32) -> Array2<f32> {
        let [x, y] = geometry.to_cell([x, y], (64, 64));
        Array2::from_shape_fn((64, 64), |(row, column)| {
            10.0 - (column as f32 - x).hypot(row as f32 - y)
        })
    }

    #[test]
    fn click_returns_to_the_middle_and_others_keep_their_side() {
        let geometry = Geometry::new(FRAME, 128);
        let logits = disc(&geometry, 160.0, 120.0);
        let cells = Cells { logits: logits.view(), geometry: &geometry };
        let drifted = Prompt::new(vec![point(195.0, 120.0, true)], None, FRAME).unwrap();
        let prompt = renewed(&drifted, None, &cells).unwrap();
        let [p] = prompt.points() else { panic!("{prompt:?}") };
        assert!((p.x - 160.0).abs() < 4.0 && (p.y - 120.0).abs() < 4.0, "{p:?}");

        let corrected = [
            point(150.0, 120.0, true),
            point(175.0, 110.0, true),
            // It was inside, but the structure has moved.
            point(60.0, 60.0, true),
            point(100.0, 200.0, false),
            point(160.0, 125.0, false),
        ];
        let corrected = Prompt::new(corrected.to_vec(), None, FRAME).unwrap();
        let prompt = renewed(&corrected, None, &cells).unwrap();
        let kept: Vec<_> = prompt.points()[1..].iter().map(|p| (p.x, p.positive)).collect();
        assert_eq!(kept, [(150.0, true), (175.0, true), (100.0, false)]);
        let empty = Array2::from_elem((64, 64), -1.0);
        let empty = Cells { logits: empty.view(), geometry: &geometry };
        assert!(renewed(&corrected, None, &empty).is_none());
    }

    #[test]
    fn box_keeps_its_margins_around_the_mask() {
        let geometry = Geometry::new(FRAME, 128);
        let first = disc(&geometry, 160.0, 120.0);
        let mask = Cells { logits: first.view(), geometry: &geometry }.bounds().unwrap();
        let bbox = [100.0, 70.0, 220.0, 180.0];
        let margins = Margins::between(bbox, mask);
        let carried = Prompt::new(vec![], Some(bbox), FRAME).unwrap();
        let moved = disc(&geometry, 180.0, 110.0);
        let cells = Cells { logits: moved.view(), geometry: &geometry };
        let found = renewed(&carried, Some(margins), &cells).unwrap().bbox().unwrap();
        for (found, expected) in found.iter().zip([120.0, 60.0, 240.0, 170.0]) {
            assert!((found - expected).abs() < 6.0, "{found}, expected {expected}");
        }
    }
}
