//! One object: its prompts, its motion, and its last mask.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use medsa_sam::PromptError;
use medsa_sam::image::Geometry;
use medsa_sam::prompt::{Point, Prompt};
use ndarray::{Array2, ArrayView2};

use crate::follow::{Motion, POINTS};

/// Number of prompts kept for undo.
const HISTORY: usize = 32;

/// Number of frames whose motion is kept: ten seconds at 60 fps, longer than any encoder run.
const REMEMBERED: usize = 600;

/// Lowest predicted IoU at which an object counts as found.
const LEAST_SCORE: f32 = 0.3;

/// Lowest overlap of the predicted mask with the followed one at which they count as the same
/// object.
const LEAST_AGREEMENT: f32 = 0.4;

/// Number of consecutive failures after which an object counts as lost.
const STRIKES: u32 = 2;

/// Overlap from which a mask is smoothed with the previous one. Below it, something moved or
/// changed, which should show at once.
const SMOOTHED: f32 = 0.6;

/// Weight of the new mask's logits in a smoothed one.
const NEW: f32 = 0.6;

/// Smallest share of a box's area that must stay in the frame; below it the object is lost.
const LEAST_OF_BOX: f32 = 0.25;

/// Half side of the square followed around a click before there is a mask, as a share of the
/// frame's shorter side.
const SURROUNDINGS: f32 = 0.1;

/// Logit of cells that no mask covers: certainly outside.
const OUTSIDE: f32 = -10.0;

/// One object. Its prompts are in pixels of the newest frame and move with the image.
pub(super) struct Object {
    /// Prompts; the last is in force. Never empty.
    history: Vec<Prompt>,
    /// Number of the last change of the prompt.
    pub revision: u64,
    /// Time of the last change, until a mask was decoded for it.
    pub asked: Option<Instant>,
    path: Path,
    found: Option<Found>,
    trust: Trust,
    strikes: u32,
}

/// Reliability of the object's known position.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// The position is shown.
    Good,
    /// Following failed; the network must confirm the position first.
    Doubtful,
    /// The network did not confirm it, or the object left the frame.
    Lost,
}

/// A mask of the network, smoothed.
struct Found {
    frame_id: u64,
    mask: Shown,
    /// Points on the structure, in pixels of that frame.
    points: Arc<[[f32; 2]]>,
}

/// A mask to publish.
#[derive(Clone)]
pub struct Shown {
    /// Logits `[h, w]`.
    pub logits: Arc<Array2<f32>>,
    /// Position of the frame within the logits.
    pub geometry: Geometry,
    /// Intersection over union that the network predicts.
    pub score: f32,
    /// Overlap (IoU) of the predicted mask with the followed one.
    pub agreement: Option<f32>,
}

/// Decoder input for an object on a frame.
pub(super) struct Question {
    pub prompt: Prompt,
    /// The followed mask, as logits `[h, w]`.
    pub expected: Option<Array2<f32>>,
    /// True if the decoder gets the followed mask as its mask input.
    pub hint: bool,
}

/// Frames between the one being decoded and the one on which the object was prompted.
pub(super) struct Gap {
    /// Number of the frame on which the object was prompted.
    pub begins: u64,
    /// Points around it, in pixels of that frame.
    pub places: Vec<[f32; 2]>,
}

/// Evaluation of a prediction.
pub(super) enum Verdict {
    Found(Shown),
    /// Not certain: nothing is published.
    Doubtful,
    /// The object counts as lost.
    Lost,
}

impl Object {
    /// A newly prompted object, in pixels of frame `newest`.
    pub fn new(prompt: Prompt, revision: u64, newest: u64) -> Self {
        Self {
            history: vec![prompt],
            revision,
            asked: Some(Instant::now()),
            path: Path::starting_at(newest),
            found: None,
            trust: Trust::Good,
            strikes: 0,
        }
    }

    /// The prompt in force.
    pub fn prompt(&self) -> &Prompt {
        // Invariant: never empty.
        &self.history[self.history.len() - 1]
    }

    /// Replaces the prompt by one for another structure and forgets the mask.
    pub fn set(&mut self, prompt: Prompt, revision: u64, newest: u64) {
        let history = std::mem::take(&mut self.history);
        *self = Self { history, ..Self::new(prompt.clone(), revision, newest) };
        self.remember(prompt);
    }

    /// Refines the prompt for the same structure.
    pub fn correct(&mut self, prompt: Prompt, revision: u64) {
        self.remember(prompt);
        self.renew(revision);
    }

    /// Undoes the last change; `None` if no prompt is left.
    pub fn undone(mut self, revision: u64, newest: u64) -> Option<Self> {
        self.history.pop();
        let prompt = self.history.last()?.clone();
        let history = self.history;
        Some(Self { history, ..Self::new(prompt, revision, newest) })
    }

    fn remember(&mut self, prompt: Prompt) {
        if self.history.len() == HISTORY {
            self.history.remove(0);
        }
        self.history.push(prompt);
    }

    fn renew(&mut self, revision: u64) {
        self.revision = revision;
        self.asked = Some(Instant::now());
        self.trust = Trust::Good;
        self.strikes = 0;
    }

    /// Keeps only prompts that fit frames of `size` = (width, height), and forgets the mask found
    /// on frames of another size.
    ///
    /// # Errors
    /// The reason why the prompt in force does not fit; the object is unchanged.
    pub fn fit(&mut self, size: (usize, usize), newest: u64) -> Result<(), PromptError> {
        let fitted = |p: &Prompt| Prompt::new(p.points().to_vec(), p.bbox(), size);
        fitted(self.prompt())?;
        self.history.retain(|prompt| fitted(prompt).is_ok());
        self.found = None;
        self.path = Path::starting_at(newest);
        Ok(())
    }

    /// Points to follow, in pixels of the newest frame of `size` = (width, height); `None` if the
    /// object is not to be followed.
    pub fn places(&self, size: (usize, usize)) -> Option<Vec<[f32; 2]>> {
        if self.trust != Trust::Good {
            return None;
        }
        let Some(found) = &self.found else { return Some(surroundings(self.prompt(), size)) };
        let moved = self.path.since(found.frame_id);
        Some(found.points.iter().map(|&point| moved.apply(point)).collect())
    }

    /// The gap before the first known motion, if that begins after `frame_id`, with points to
    /// follow back from there.
    pub fn unknown_since(&self, frame_id: u64, size: (usize, usize)) -> Option<Gap> {
        let begins = self.path.begins;
        if begins <= frame_id {
            return None;
        }
        let back = self.path.since(begins).inverse();
        let mut places = surroundings(self.prompt(), size);
        places.iter_mut().for_each(|place| *place = back.apply(*place));
        Some(Gap { begins, places })
    }

    /// Fills the path between a frame and the gap's beginning.
    pub fn fill(&mut self, gap: &Gap, frame_id: u64, steps: Vec<(u64, Motion)>) {
        if self.path.begins == gap.begins {
            self.path.begins = frame_id;
            steps.into_iter().rev().for_each(|step| self.path.steps.push_front(step));
        }
    }

    /// Moves the object to a new frame of `size` = (width, height) and returns its mask there;
    /// `None` if following failed or there is no mask yet.
    pub fn step(
        &mut self,
        frame_id: u64,
        step: Option<Motion>,
        size: (usize, usize),
    ) -> Option<Shown> {
        let Some(step) = step else {
            self.trust = Trust::Doubtful;
            return None;
        };
        let Some(prompt) = carry(self.prompt(), &step, size) else {
            self.trust = Trust::Lost;
            return None;
        };
        self.history.pop();
        self.history = self.history.iter().filter_map(|p| carry(p, &step, size)).collect();
        self.history.push(prompt);
        self.path.push(frame_id, step);
        let found = self.found.as_ref()?;
        let moved = self.path.since(found.frame_id);
        let logits =
            Arc::new(found.mask.moved(&moved, &found.mask.geometry, found.mask.logits.dim().0));
        Some(Shown { logits, ..found.mask.clone() })
    }

    /// Decoder input for a network whose masks have `side` pixels, on a frame of `geometry`;
    /// `None` if the object is lost or not in the frame. A mask of another side came from another
    /// network: it is still used for comparison, but not as mask input.
    pub fn question(&self, frame_id: u64, geometry: &Geometry, side: usize) -> Option<Question> {
        if self.trust == Trust::Lost {
            return None;
        }
        let back = self.path.since(frame_id).inverse();
        let prompt = carry(self.prompt(), &back, geometry.frame)?;
        let expected = self.found.as_ref().map(|found| {
            let moved = self.path.since(found.frame_id).then(&back);
            found.mask.moved(&moved, geometry, side)
        });
        let fits = self.found.as_ref().is_some_and(|found| found.mask.logits.dim().0 == side);
        Some(Question { prompt, expected, hint: fits && self.trust == Trust::Good })
    }

    /// True if the object is lost.
    pub fn is_lost(&self) -> bool {
        self.trust == Trust::Lost
    }

    /// Evaluates a prediction on a frame: logits `[h, w]` and their score.
    pub fn answer(
        &mut self,
        question: &Question,
        logits: ArrayView2<f32>,
        score: f32,
        geometry: Geometry,
    ) -> Verdict {
        let corrected = self.asked.take().is_some();
        let agreement = question.expected.as_ref().map(|expected| overlap(logits, expected.view()));
        let agrees = corrected || agreement.is_none_or(|agreement| agreement >= LEAST_AGREEMENT);
        let somewhere = logits.iter().any(|&logit| logit > 0.0);
        if score < LEAST_SCORE || !somewhere || !agrees {
            self.strikes += 1;
            if self.strikes >= STRIKES {
                self.trust = Trust::Lost;
                return Verdict::Lost;
            }
            self.trust = Trust::Doubtful;
            return Verdict::Doubtful;
        }
        let smooth = !corrected && agreement.is_some_and(|agreement| agreement >= SMOOTHED);
        let logits = match &question.expected {
            Some(expected) if smooth => NEW * &logits + (1.0 - NEW) * expected,
            _ => logits.to_owned(),
        };
        let mask = Shown { logits: Arc::new(logits), geometry, score, agreement };
        self.strikes = 0;
        self.trust = Trust::Good;
        Verdict::Found(mask)
    }

    /// Stores a mask and follows it from this frame on.
    pub fn follow(&mut self, frame_id: u64, mask: Shown) {
        let points = places(mask.logits.view(), &mask.geometry);
        self.found = Some(Found { frame_id, mask, points });
    }
}

impl Shown {
    /// Logits after a motion of the frame, resampled to the `geometry` and `side` of another
    /// network: `[side, side]`.
    fn moved(&self, motion: &Motion, geometry: &Geometry, side: usize) -> Array2<f32> {
        let (height, width) = self.logits.dim();
        let (from, onto) = ((width, height), (side, side));
        let (known_width, known_height) = self.geometry.mask_size(from);
        let (part_width, part_height) = geometry.mask_size(onto);
        let back = motion.inverse();
        // The mapping is linear, so three cells determine it.
        let source = |x: f32, y: f32| {
            self.geometry.to_cell(back.apply(geometry.from_cell([x, y], onto)), from)
        };
        let origin = source(0.0, 0.0);
        let step = |[x, y]: [f32; 2]| [x - origin[0], y - origin[1]];
        let (along, down) = (step(source(1.0, 0.0)), step(source(0.0, 1.0)));
        Array2::from_shape_fn((side, side), |(row, column)| {
            if row >= part_height || column >= part_width {
                return OUTSIDE;
            }
            let (x, y) = (column as f32, row as f32);
            let at = [0, 1].map(|axis| origin[axis] + x * along[axis] + y * down[axis]);
            let [fx, fy] = at.map(|p| p - p.floor());
            let value = |dx: f32, dy: f32| {
                let (x, y) = (at[0].floor() + dx, at[1].floor() + dy);
                let within =
                    x >= 0.0 && y >= 0.0 && x < known_width as f32 && y < known_height as f32;
                if within { self.logits[[y as usize, x as usize]] } else { OUTSIDE }
            };
            let upper =
                value(0.0, 0.0) * (1.0 - fx) + if fx > 0.0 { value(1.0, 0.0) * fx } else { 0.0 };
            if fy == 0.0 {
                return upper;
            }
            let lower =
                value(0.0, 1.0) * (1.0 - fx) + if fx > 0.0 { value(1.0, 1.0) * fx } else { 0.0 };
            upper * (1.0 - fy) + lower * fy
        })
    }
}

/// Motion from frame to frame.
struct Path {
    /// Number of the frame before the first step.
    begins: u64,
    /// Number of each frame, and the motion from the previous one.
    steps: VecDeque<(u64, Motion)>,
}

impl Path {
    fn starting_at(begins: u64) -> Self {
        Self { begins, steps: VecDeque::new() }
    }

    fn push(&mut self, frame_id: u64, step: Motion) {
        if self.steps.len() == REMEMBERED {
            self.steps.pop_front();
        }
        self.steps.push_back((frame_id, step));
    }

    /// Motion from a frame to the newest; frames without known motion count as still.
    fn since(&self, frame_id: u64) -> Motion {
        let later = self.steps.iter().filter(|(id, _)| *id > frame_id);
        later.fold(Motion::NONE, |moved, (_, step)| moved.then(step))
    }
}

/// A prompt after a motion, in a frame of `size` = (width, height); `None` if the structure has
/// left the frame. Negative points may leave.
fn carry(prompt: &Prompt, motion: &Motion, size: (usize, usize)) -> Option<Prompt> {
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

/// Intersection over union of the cells above zero; 1 if there are none.
fn overlap(a: ArrayView2<f32>, b: ArrayView2<f32>) -> f32 {
    let (mut both, mut either) = (0u32, 0u32);
    for (&a, &b) in a.iter().zip(b) {
        both += u32::from(a > 0.0 && b > 0.0);
        either += u32::from(a > 0.0 || b > 0.0);
    }
    if either == 0 { 1.0 } else { both as f32 / either as f32 }
}

/// Points to follow before there is a mask: all over the box, or around the positive points.
fn surroundings(prompt: &Prompt, (width, height): (usize, usize)) -> Vec<[f32; 2]> {
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
fn places(logits: ArrayView2<f32>, geometry: &Geometry) -> Arc<[[f32; 2]]> {
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

    fn geometry() -> Geometry {
        Geometry::new(FRAME, 128)
    }

    fn click(x: f32, y: f32) -> Prompt {
        Prompt::new(vec![Point { x, y, positive: true }], None, FRAME).unwrap()
    }

    /// A disc with a radius of ten cells, centred on a point in frame pixels.
    fn disc(x: f32, y: f32) -> Array2<f32> {
        let [x, y] = geometry().to_cell([x, y], (64, 64));
        Array2::from_shape_fn((64, 64), |(row, column)| {
            10.0 - (column as f32 - x).hypot(row as f32 - y)
        })
    }

    fn found(object: &mut Object, frame_id: u64, logits: &Array2<f32>, score: f32) -> Verdict {
        let question = object.question(frame_id, &geometry(), 64).unwrap();
        let verdict = object.answer(&question, logits.view(), score, geometry());
        if let Verdict::Found(mask) = &verdict {
            object.follow(frame_id, mask.clone());
        }
        verdict
    }

    #[test]
    fn mask_of_older_frame_is_moved_to_newest() {
        let mut object = Object::new(click(160.0, 120.0), 0, 0);
        let right = Motion::shift([5.0, 0.0]);
        assert!(matches!(found(&mut object, 0, &disc(160.0, 120.0), 0.9), Verdict::Found(_)));
        for frame_id in 1..=4 {
            let shown = object.step(frame_id, Some(right), FRAME).unwrap();
            let expected = disc(160.0 + 5.0 * frame_id as f32, 120.0);
            assert!(overlap(shown.logits.view(), expected.view()) > 0.97);
        }
        assert_eq!(object.prompt().points()[0].x, 180.0);
        // Frame 2 is encoded while 3 and 4 are shown.
        let question = object.question(2, &geometry(), 64).unwrap();
        assert_eq!(question.prompt.points()[0].x, 170.0);
        assert!(overlap(question.expected.unwrap().view(), disc(170.0, 120.0).view()) > 0.97);
        found(&mut object, 2, &disc(170.0, 120.0), 0.9);
        let shown = object.step(5, Some(right), FRAME).unwrap();
        assert!(overlap(shown.logits.view(), disc(185.0, 120.0).view()) > 0.97);
    }

    #[test]
    fn object_not_found_twice_is_lost_until_prompted_again() {
        let far = disc(60.0, 60.0);
        let empty = Array2::from_elem((64, 64), -1.0);
        for (logits, score) in [(&far, 0.9), (&disc(160.0, 120.0), 0.1), (&empty, 0.9)] {
            let mut object = Object::new(click(160.0, 120.0), 0, 0);
            found(&mut object, 0, &disc(160.0, 120.0), 0.9);
            assert!(matches!(found(&mut object, 1, logits, score), Verdict::Doubtful));
            assert!(object.places(FRAME).is_none());
            assert!(matches!(found(&mut object, 2, logits, score), Verdict::Lost));
            assert!(object.question(3, &geometry(), 64).is_none());
            object.correct(click(60.0, 60.0), 1);
            assert!(matches!(found(&mut object, 3, &far, 0.9), Verdict::Found(_)));
        }
    }

    #[test]
    fn network_must_confirm_position_after_following_failed() {
        let mut object = Object::new(click(160.0, 120.0), 0, 0);
        found(&mut object, 0, &disc(160.0, 120.0), 0.9);
        assert!(object.step(1, None, FRAME).is_none());
        assert!(object.places(FRAME).is_none());
        let question = object.question(1, &geometry(), 64).unwrap();
        assert!(!question.hint && question.expected.is_some());
        assert!(matches!(found(&mut object, 1, &disc(163.0, 120.0), 0.9), Verdict::Found(_)));
        assert!(object.places(FRAME).is_some());
    }

    #[test]
    fn mask_of_another_side_is_compared_but_no_decoder_input() {
        let mut object = Object::new(click(160.0, 120.0), 0, 0);
        found(&mut object, 0, &disc(160.0, 120.0), 0.9);
        let small = Geometry::new(FRAME, 64);
        let question = object.question(0, &small, 32).unwrap();
        let expected = question.expected.as_ref().unwrap();
        let [x, y] = small.to_cell([160.0, 120.0], (32, 32));
        let half = Array2::from_shape_fn((32, 32), |(row, column)| {
            5.0 - (column as f32 - x).hypot(row as f32 - y)
        });
        assert!(!question.hint && overlap(expected.view(), half.view()) > 0.9);
        let Verdict::Found(mask) = object.answer(&question, half.view(), 0.9, small) else {
            panic!("not found")
        };
        object.follow(0, mask);
        assert!(object.question(0, &small, 32).unwrap().hint);
    }

    #[test]
    fn object_that_leaves_the_frame_is_lost() {
        let mut object = Object::new(click(300.0, 120.0), 0, 0);
        found(&mut object, 0, &disc(300.0, 120.0), 0.9);
        assert!(object.step(1, Some(Motion::shift([30.0, 0.0])), FRAME).is_none());
        assert!(object.is_lost());
    }

    #[test]
    fn undo_restores_prompts_at_the_moved_position() {
        let mut object = Object::new(click(100.0, 100.0), 0, 0);
        object.correct(click(110.0, 100.0), 1);
        object.step(1, Some(Motion::shift([0.0, 7.0])), FRAME);
        let object = object.undone(2, 1).unwrap();
        assert_eq!(object.prompt(), &click(100.0, 107.0));
        assert!(object.undone(3, 1).is_none());
    }

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
