//! Prompts made anew from the last mask.
//!
//! A click that is only carried along with the image drifts to the edge of the structure, where the
//! network's mask is worse, and then out of it. So each click to the network stays near its place
//! relative to the mask. Near, but not at it: a mask that covers too much for a moment must not take the
//! click with it.

use medsa_sam::image::Geometry;
use medsa_sam::prompt::{BoxXyxy, Point, Prompt};
use ndarray::{ArrayView2, s};

use super::interior::most_interior;

/// Largest distance of a followed click from its place on the mask, along x and y, in standard
/// deviations of the mask's positions.
const DRIFT: f32 = 0.7;

/// The cells of a mask that cover the frame.
pub(super) struct Cells<'a> {
    logits: ArrayView2<'a, f32>,
    geometry: &'a Geometry,
    /// Width and height of the whole mask, by which positions are converted.
    size: (usize, usize),
}

impl<'a> Cells<'a> {
    /// Leaves out the padding of logits `[h, w]`.
    pub fn of_frame(logits: ArrayView2<'a, f32>, geometry: &'a Geometry) -> Self {
        let (height, width) = logits.dim();
        let (part_width, part_height) = geometry.mask_size((width, height));
        let logits = logits.slice_move(s![..part_height, ..part_width]);
        Self { logits, geometry, size: (width, height) }
    }

    /// Number of cells inside, as a share of those of the frame.
    pub fn share(&self) -> f32 {
        let covered = self.logits.iter().filter(|&&logit| logit > 0.0).count();
        covered as f32 / self.logits.len() as f32
    }

    /// True if a position in frame pixels is within the mask.
    fn contains(&self, at: &Point) -> bool {
        let [x, y] = self.geometry.to_cell([at.x, at.y], self.size);
        let cell = (y.round().max(0.0) as usize, x.round().max(0.0) as usize);
        self.logits.get(cell).is_some_and(|&logit| logit > 0.0)
    }

    /// The most interior position, in frame pixels; `None` for an empty mask.
    pub fn middle(&self) -> Option<[f32; 2]> {
        let cell = most_interior(self.logits)?;
        Some(self.clamped(self.geometry.from_cell(cell, self.size)))
    }

    /// Centroid and standard deviation of the positions along x and y, in frame pixels; `None` for an
    /// empty mask.
    fn spread(&self) -> Option<[[f32; 2]; 2]> {
        let (mut count, mut sum, mut squares) = (0.0f64, [0.0; 2], [0.0; 2]);
        for ((row, column), _) in self.logits.indexed_iter().filter(|(_, logit)| **logit > 0.0) {
            count += 1.0;
            for (axis, cell) in [column as f64, row as f64].into_iter().enumerate() {
                sum[axis] += cell;
                squares[axis] += cell * cell;
            }
        }
        if count == 0.0 {
            return None;
        }
        let mean = sum.map(|sum| sum / count);
        let deviation =
            [0, 1].map(|axis| (squares[axis] / count - mean[axis].powi(2)).max(0.25).sqrt());
        let at = |cell: [f64; 2]| self.geometry.from_cell(cell.map(|side| side as f32), self.size);
        let (centre, edge) = (at(mean), at([mean[0] + deviation[0], mean[1] + deviation[1]]));
        Some([centre, [edge[0] - centre[0], edge[1] - centre[1]]])
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
            self.clamped(self.geometry.from_cell([x + half, y + half], self.size))
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

/// Place of a click relative to the mask that it gave: offsets from the centroid, in standard
/// deviations of the mask's positions along x and y.
#[derive(Clone, Copy, Debug)]
pub(super) struct Anchor([f32; 2]);

impl Anchor {
    /// The places of the positive clicks of `prompt`; none for an empty mask.
    pub fn all(prompt: &Prompt, cells: &Cells) -> Vec<Self> {
        let Some([centre, deviation]) = cells.spread() else { return Vec::new() };
        let positive = prompt.points().iter().filter(|point| point.positive);
        positive.map(|point| Self::at(point, [centre, deviation])).collect()
    }

    fn at(point: &Point, [centre, deviation]: [[f32; 2]; 2]) -> Self {
        Self([(point.x - centre[0]) / deviation[0], (point.y - centre[1]) / deviation[1]])
    }

    /// The place itself if it is near `first`, or else the closest one that is.
    fn near(self, first: Self) -> Self {
        let near = |axis: usize| self.0[axis].clamp(first.0[axis] - DRIFT, first.0[axis] + DRIFT);
        Self([near(0), near(1)])
    }

    fn point(self, [centre, deviation]: [[f32; 2]; 2]) -> Point {
        let [x, y] = [0, 1].map(|axis| centre[axis] + self.0[axis] * deviation[axis]);
        Point { x, y, positive: true }
    }
}

fn sides([x0, y0, x1, y1]: BoxXyxy) -> [f32; 2] {
    [(x1 - x0).max(1.0), (y1 - y0).max(1.0)]
}

/// The prompt for the object of the followed mask `cells`: clicks on the mask, or else its middle, and
/// the negative clicks of `carried` that are outside of it. A click is where it was followed to since
/// the last prediction, among `followed`, but near its place among `anchors`; it is at the latter if
/// it was not followed or not onto the mask. `carried` is the user's prompt, moved with the image.
/// `None` for an empty mask.
pub(super) fn renewed(
    carried: &Prompt,
    anchors: &[Anchor],
    followed: &[[f32; 2]],
    margins: Option<Margins>,
    cells: &Cells,
) -> Option<Prompt> {
    let spread = cells.spread()?;
    let frame = cells.geometry.frame;
    let placed = anchors.iter().enumerate().map(|(number, anchor)| {
        let anchored = anchor.point(spread);
        let followed = followed.get(number).map(|&[x, y]| Point { x, y, positive: true });
        match followed.filter(|point| cells.contains(point)) {
            Some(point) => Anchor::at(&point, spread).near(*anchor).point(spread),
            None => anchored,
        }
    });
    let mut points: Vec<_> = placed.filter(|point| cells.contains(point)).collect();
    if points.is_empty() {
        let [x, y] = cells.middle()?;
        points.push(Point { x, y, positive: true });
    }
    let negative = carried.points().iter().filter(|p| !p.positive && !cells.contains(p));
    points.extend(negative);
    points.truncate(medsa_sam::prompt::MAX_POINTS);
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
    fn clicks_keep_their_place_on_the_mask() {
        let geometry = Geometry::new(FRAME, 128);
        let logits = disc(&geometry, 160.0, 120.0);
        let cells = Cells::of_frame(logits.view(), &geometry);
        let user = [
            point(150.0, 120.0, true),
            point(175.0, 110.0, true),
            point(100.0, 200.0, false),
            point(60.0, 60.0, false),
        ];
        let user = Prompt::new(user.to_vec(), None, FRAME).unwrap();
        let anchors = Anchor::all(&user, &cells);
        let places = |prompt: Option<Prompt>| -> Vec<_> {
            let points = prompt.unwrap().points().to_vec();
            points.iter().map(|p| (p.x.round(), p.y.round(), p.positive)).collect()
        };
        let kept = places(renewed(&user, &anchors, &[], None, &cells));
        assert_eq!(kept, places(Some(user.clone())));

        // The mask has moved by 80 px to the left and 60 px up; a negative click is on it now.
        let moved = disc(&geometry, 80.0, 60.0);
        let moved = Cells::of_frame(moved.view(), &geometry);
        let kept = places(renewed(&user, &anchors, &[], None, &moved));
        assert_eq!(kept, [(70.0, 60.0, true), (95.0, 50.0, true), (100.0, 200.0, false)]);

        // Clicks that were followed stay there if that is near, unless they left the mask.
        let followed = [[75.0, 65.0], [250.0, 50.0]];
        let kept = places(renewed(&user, &anchors, &followed, None, &moved));
        assert_eq!(kept, [(75.0, 65.0, true), (95.0, 50.0, true), (100.0, 200.0, false)]);
        // A disc with a radius of 50 px has a standard deviation of 25 px along each axis.
        let followed = [[110.0, 60.0]];
        let kept = places(renewed(&user, &anchors, &followed, None, &moved));
        let far = 70.0 + DRIFT * 25.0;
        assert!((kept[0].0 - far).abs() < 2.0 && kept[0].1 == 60.0, "{kept:?}");

        // A click outside of the mask that it gave moves to the middle of it.
        let outside = Prompt::new(vec![point(250.0, 120.0, true)], None, FRAME).unwrap();
        let anchors = Anchor::all(&outside, &cells);
        let prompt = renewed(&outside, &anchors, &[], None, &cells).unwrap();
        let [p] = prompt.points() else { panic!("{prompt:?}") };
        assert!((p.x - 160.0).abs() < 4.0 && (p.y - 120.0).abs() < 4.0, "{p:?}");
        let empty = Array2::from_elem((64, 64), -1.0);
        let empty = Cells::of_frame(empty.view(), &geometry);
        assert!(renewed(&outside, &anchors, &[], None, &empty).is_none());
    }

    #[test]
    fn box_keeps_its_margins_around_the_mask() {
        let geometry = Geometry::new(FRAME, 128);
        let first = disc(&geometry, 160.0, 120.0);
        let mask = Cells::of_frame(first.view(), &geometry).bounds().unwrap();
        let bbox = [100.0, 70.0, 220.0, 180.0];
        let margins = Margins::between(bbox, mask);
        let carried = Prompt::new(vec![], Some(bbox), FRAME).unwrap();
        let moved = disc(&geometry, 180.0, 110.0);
        let cells = Cells::of_frame(moved.view(), &geometry);
        let found = renewed(&carried, &[], &[], Some(margins), &cells).unwrap().bbox().unwrap();
        for (found, expected) in found.iter().zip([120.0, 60.0, 240.0, 170.0]) {
            assert!((found - expected).abs() < 6.0, "{found}, expected {expected}");
        }
    }
}
