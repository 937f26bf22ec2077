//! One object: its prompts, its motion, and its last mask.
//!
//! Between two runs of the network, the last mask moves with the image. For the network, a prompt is
//! made anew from the followed mask ([`renewed`]). A prediction is accepted if the evidence for it
//! ([`evidence`]) outweighs that against it. An object that is lost is still looked for: where it
//! was, where it should be, and where the image looks like it ([`appearance`]).

mod appearance;
mod evidence;
mod interior;
mod path;
mod places;
mod renewed;
mod shown;
mod spill;

use std::sync::Arc;
use std::time::{Duration, Instant};

use medsa_sam::PromptError;
use medsa_sam::image::Geometry;
use medsa_sam::prompt::Prompt;
use medsa_wire::{MaskState, Reason};
use ndarray::{Array2, ArrayView3};

use crate::follow::Motion;
use appearance::Appearance;
use evidence::{Clues, Confidence};
use path::Path;
use places::{carry, places, surroundings};
use renewed::{Anchor, Cells, Margins, moved_to, renewed};
use shown::overlap;
use spill::spill;

pub use path::Step;
pub use shown::Shown;

/// Number of prompts kept for undo.
const HISTORY: usize = 32;

/// Time for which an object without a prompt is followed, so that its prompts can be restored.
const REMEMBERED: Duration = Duration::from_secs(120);

/// Overlap from which a mask is smoothed with the previous one. Below it, something moved or
/// changed, which should show at once.
const SMOOTHED: f32 = 0.6;

/// Weight of the new mask's logits in a smoothed one.
const NEW: f32 = 0.6;

/// Log odds from which a prediction is accepted.
const ACCEPTED: f32 = 0.0;

/// Log odds from which a prediction is accepted for a lost object.
const ACCEPTED_AGAIN: f32 = 1.0;

/// Log odds from which the appearance is learned from a prediction.
const LEARNED: f32 = 1.0;

/// Share of a new appearance in the remembered one.
const LEARNING: f32 = 0.3;

/// One object. Its prompts are in pixels of the newest frame and move with the image.
pub(super) struct Object {
    /// Prompts, `None` for none; the last is in force. Never empty.
    history: Vec<Option<Prompt>>,
    /// Undone prompts, the last of which was undone last.
    undone: Vec<Option<Prompt>>,
    /// Time when the prompt was removed, if there is none in force.
    removed: Option<Instant>,
    /// Number of the last change of the prompt.
    pub revision: u64,
    /// Time of the last change, until a mask was decoded for it.
    pub asked: Option<Instant>,
    path: Path,
    found: Option<Found>,
    confidence: Confidence,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The network confirmed the last mask.
    Tracking,
    /// The network did not confirm the last mask, or the image changed completely.
    Uncertain,
    /// The object is not shown, but looked for.
    Lost(Reason),
}

/// A mask of the network, smoothed.
struct Found {
    frame_id: u64,
    mask: Shown,
    /// Points on the structure, in pixels of that frame.
    points: Arc<[[f32; 2]]>,
    /// Its most interior position, in pixels of that frame.
    middle: [f32; 2],
    remembered: Remembered,
}

/// Properties by which the object is recognized.
#[derive(Clone)]
struct Remembered {
    appearance: Option<Appearance>,
    /// Area as a share of the frame.
    area: f32,
    /// Margins of the prompted box, if there is one.
    margins: Option<Margins>,
    /// Places of the positive clicks on the mask.
    anchors: Vec<Anchor>,
}

/// Decoder inputs for an object on a frame.
pub(super) struct Question {
    /// Prompts to try, in pixels of the frame; at least one.
    pub prompts: Vec<Prompt>,
    /// The followed mask, as logits `[h, w]`.
    pub expected: Option<Array2<f32>>,
    /// True if the object was not followed all the way from its last mask.
    blind: bool,
    /// True if the user's prompt is asked itself.
    direct: bool,
}

/// The frame that a question was about.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    /// Number of the frame.
    pub frame_id: u64,
    /// Its capture time, in microseconds.
    pub captured_us: u64,
}

/// Prediction for one prompt of a question.
pub(super) struct Prediction {
    /// Number of the prompt.
    pub prompt: usize,
    /// Logits `[h, w]`.
    pub logits: Array2<f32>,
    /// Intersection over union that the network predicts.
    pub score: f32,
}

/// Frames between the one being decoded and the one on which the object was prompted.
pub(super) struct Gap {
    /// Number of the frame on which the object was prompted.
    pub begins: u64,
    /// Points around it, in pixels of that frame.
    pub places: Vec<[f32; 2]>,
}

/// Evaluation of the predictions for a question.
pub(super) enum Verdict {
    /// The mask, and the number of its prompt.
    Found { mask: Shown, prompt: usize },
    /// Not certain: the followed mask stays.
    Doubtful(Shown),
    /// The object is not shown.
    Lost(Reason),
}

impl Object {
    /// A newly prompted object, in pixels of frame `newest`.
    pub fn new(prompt: Prompt, revision: u64, newest: u64) -> Self {
        Self {
            history: vec![None, Some(prompt)],
            undone: Vec::new(),
            removed: None,
            revision,
            asked: Some(Instant::now()),
            path: Path::starting_at(newest),
            found: None,
            confidence: Confidence::NEW,
            state: State::Tracking,
        }
    }

    /// The prompt in force; `None` if it was removed.
    pub fn prompt(&self) -> Option<&Prompt> {
        self.history.last()?.as_ref()
    }

    /// Replaces the prompt by one for another structure and forgets the mask.
    pub fn set(&mut self, prompt: Prompt, revision: u64, newest: u64) {
        self.remember(Some(prompt));
        self.restart(revision, newest);
    }

    /// Refines the prompt for the same structure.
    pub fn correct(&mut self, prompt: Prompt, revision: u64) {
        self.remember(Some(prompt));
        self.revision = revision;
        self.asked = Some(Instant::now());
        self.state = State::Tracking;
        self.confidence = Confidence::NEW;
    }

    /// Removes the prompt. The object is still followed for a while, so that this can be undone.
    pub fn clear(&mut self, revision: u64, newest: u64) {
        if self.prompt().is_some() {
            self.remember(None);
            self.restart(revision, newest);
        }
    }

    /// Undoes the last change, if one is left.
    pub fn undo(&mut self, revision: u64, newest: u64) {
        if self.history.len() > 1 {
            self.undone.extend(self.history.pop());
            self.restart(revision, newest);
        }
    }

    /// Makes the last undone change again, if there was no other change since.
    pub fn redo(&mut self, revision: u64, newest: u64) {
        if let Some(prompt) = self.undone.pop() {
            self.history.push(prompt);
            self.restart(revision, newest);
        }
    }

    /// True if the prompt was removed too long ago to restore it.
    pub fn is_over(&self) -> bool {
        self.removed.is_some_and(|removed| removed.elapsed() > REMEMBERED)
    }

    fn remember(&mut self, prompt: Option<Prompt>) {
        if self.history.len() == HISTORY {
            self.history.remove(0);
        }
        self.history.push(prompt);
        self.undone.clear();
    }

    /// Begins anew with the prompt in force.
    fn restart(&mut self, revision: u64, newest: u64) {
        let now = Instant::now();
        let present = self.prompt().is_some();
        (self.asked, self.removed) = if present { (Some(now), None) } else { (None, Some(now)) };
        self.revision = revision;
        self.path = Path::starting_at(newest);
        self.found = None;
        self.confidence = Confidence::NEW;
        self.state = State::Tracking;
    }

    /// Keeps only prompts that fit frames of `size` = (width, height), and forgets the mask found
    /// on frames of another size.
    ///
    /// # Errors
    /// The reason why the prompt in force does not fit; the object is unchanged.
    pub fn fit(&mut self, size: (usize, usize), newest: u64) -> Result<(), PromptError> {
        let fitted = |prompt: &Option<Prompt>| match prompt {
            Some(p) => Prompt::new(p.points().to_vec(), p.bbox(), size).map(drop),
            None => Ok(()),
        };
        self.history.last().map_or(Ok(()), fitted)?;
        self.history.retain(|prompt| fitted(prompt).is_ok());
        self.undone.retain(|prompt| fitted(prompt).is_ok());
        self.found = None;
        self.path = Path::starting_at(newest);
        Ok(())
    }

    /// Points to follow, in pixels of the newest frame of `size` = (width, height); none for an
    /// object that is lost or removed, which moves with the whole image.
    pub fn places(&self, size: (usize, usize)) -> Vec<[f32; 2]> {
        let Some(prompt) = self.prompt().filter(|_| !self.is_lost()) else {
            return Vec::new();
        };
        let Some(found) = &self.found else { return surroundings(prompt, size) };
        let moved = self.path.since(found.frame_id);
        found.points.iter().map(|&point| moved.apply(point)).collect()
    }

    /// The gap before the first known motion, if that begins after `frame_id`, with points to
    /// follow back from there.
    pub fn unknown_since(&self, frame_id: u64, size: (usize, usize)) -> Option<Gap> {
        let begins = self.path.begins;
        if begins <= frame_id {
            return None;
        }
        let back = self.path.since(begins).inverse();
        let mut places = surroundings(self.prompt()?, size);
        places.iter_mut().for_each(|place| *place = back.apply(*place));
        Some(Gap { begins, places })
    }

    /// Fills the path between a frame and the gap's beginning.
    pub fn fill(&mut self, gap: &Gap, frame_id: u64, motions: Vec<(u64, Motion)>) {
        if self.path.begins == gap.begins {
            self.path.extend_back(frame_id, motions);
        }
    }

    /// Moves the object to a new frame of `size` = (width, height) and returns its mask there;
    /// `None` if it is not shown.
    pub fn step(&mut self, frame_id: u64, step: Step, size: (usize, usize)) -> Option<Shown> {
        self.path.push(frame_id, step);
        let motion = step.motion();
        let carried = |prompt: &Option<Prompt>| match prompt {
            Some(prompt) => carry(prompt, &motion, size).map(Some),
            None => Some(None),
        };
        let in_force = self.history.pop()?;
        self.history = self.history.iter().filter_map(carried).collect();
        self.undone = self.undone.iter().filter_map(carried).collect();
        self.history.push(carried(&in_force).unwrap_or_else(|| {
            // It has left the frame. Its prompt waits at the edge.
            self.state = State::Lost(Reason::LeftFrame);
            in_force
        }));
        self.shown()
    }

    /// The mask on the newest frame; `None` if it is not shown.
    pub fn shown(&self) -> Option<Shown> {
        let found = self.found.as_ref()?;
        // In an image that changed completely, the network must find the object first.
        if self.is_lost() || self.path.has_unknown_since(found.frame_id) {
            return None;
        }
        let moved = self.path.since(found.frame_id);
        let logits =
            Arc::new(found.mask.moved(&moved, &found.mask.geometry, found.mask.logits.dim().0));
        let shown = Shown { logits, ..found.mask.clone() };
        Some(if self.state == State::Tracking { shown } else { shown.not_confirmed() })
    }

    /// Decoder inputs for a frame of `geometry` with `features` `[C, h, w]`, for a network whose
    /// masks have `side` pixels; `None` if there is nothing to ask.
    pub fn question(
        &self,
        frame_id: u64,
        geometry: &Geometry,
        side: usize,
        features: Option<ArrayView3<f32>>,
    ) -> Option<Question> {
        let prompt = self.prompt()?;
        let back = self.path.since(frame_id).inverse();
        let carried = carry(prompt, &back, geometry.frame);
        let Some(found) = self.found.as_ref().filter(|_| self.asked.is_none()) else {
            let expected =
                self.found.as_ref().map(|found| self.expected(found, &back, geometry, side));
            let prompts = vec![carried?];
            return Some(Question { prompts, expected, blind: false, direct: true });
        };
        let expected = self.expected(found, &back, geometry, side);
        let blind = self.path.is_blind(found.frame_id, frame_id);
        let (part_width, part_height) = geometry.mask_size((side, side));
        let Remembered { margins, anchors, .. } = &found.remembered;
        let user = carried.as_ref().unwrap_or(prompt);
        let mut prompts = Vec::new();
        prompts.extend(renewed(
            user,
            anchors,
            *margins,
            &Cells::of_frame(expected.view(), geometry),
        ));
        if blind || self.state != State::Tracking {
            let appearance = found.remembered.appearance.as_ref();
            if let Some((appearance, features)) = appearance.zip(features) {
                let cells = part_width as f32 * part_height as f32;
                let radius = radius(found.remembered.area * cells) / 2.0;
                let at = appearance.most_similar(features, (part_width, part_height), radius);
                prompts.extend(moved_to(
                    geometry.from_cell(at, (side, side)),
                    user,
                    geometry.frame,
                ));
            }
            prompts.extend(moved_to(found.middle, user, geometry.frame));
        }
        let expected = Some(expected);
        (!prompts.is_empty()).then_some(Question { prompts, expected, blind, direct: false })
    }

    /// The last mask on the frame from which `back` leads to the newest.
    fn expected(
        &self,
        found: &Found,
        back: &Motion,
        geometry: &Geometry,
        side: usize,
    ) -> Array2<f32> {
        let moved = self.path.since(found.frame_id).then(back);
        found.mask.moved(&moved, geometry, side)
    }

    /// Forgets the mask, so that the user's prompt is asked on every frame.
    pub fn forget(&mut self) {
        self.found = None;
    }

    /// True if the object is lost.
    pub fn is_lost(&self) -> bool {
        self.lost().is_some()
    }

    /// Why the object is lost; `None` if it is not.
    pub fn lost(&self) -> Option<Reason> {
        match self.state {
            State::Lost(reason) => Some(reason),
            State::Tracking | State::Uncertain => None,
        }
    }

    /// Chooses among the predictions for a question on frame `at` of `geometry` and `features`
    /// `[C, h, w]`.
    pub fn answer(
        &mut self,
        at: Asked,
        question: &Question,
        predictions: Vec<Prediction>,
        features: Option<ArrayView3<f32>>,
        geometry: Geometry,
    ) -> Verdict {
        let mut best: Option<(f32, Prediction, Seen)> = None;
        for prediction in predictions {
            let Some(seen) = Seen::of(&prediction, features, &geometry) else { continue };
            let log_odds = self.log_odds(question, &prediction, &seen, &geometry);
            if best.as_ref().is_none_or(|(least, ..)| log_odds > *least) {
                best = Some((log_odds, prediction, seen));
            }
        }
        self.asked = None;
        let Asked { frame_id, captured_us } = at;
        let needed = if self.is_lost() { ACCEPTED_AGAIN } else { ACCEPTED };
        match best {
            Some((log_odds, prediction, seen)) if log_odds >= needed => {
                self.confidence.confirm(captured_us);
                self.accept(frame_id, question, prediction, seen, log_odds, geometry)
            }
            refused => {
                self.confidence.doubt(refused.map_or(f32::MIN, |(log_odds, ..)| log_odds));
                self.refuse(captured_us, question, geometry)
            }
        }
    }

    /// The verdict if no prediction is accepted.
    fn refuse(&mut self, captured_us: u64, question: &Question, geometry: Geometry) -> Verdict {
        if let Some(reason) = self.lost() {
            return Verdict::Lost(reason);
        }
        let changed =
            self.found.as_ref().is_some_and(|found| self.path.has_unknown_since(found.frame_id));
        let reason = if changed { Reason::ImageChanged } else { Reason::NotConfirmed };
        let expected = self.found.as_ref().zip(question.expected.clone());
        let lost = self.confidence.is_lost(captured_us);
        self.state = if lost { State::Lost(reason) } else { State::Uncertain };
        match expected.filter(|_| !lost && !changed) {
            Some((found, logits)) => {
                let logits = Arc::new(logits);
                let mask = Shown { logits, geometry, ..found.mask.clone() };
                Verdict::Doubtful(mask.not_confirmed())
            }
            None => Verdict::Lost(reason),
        }
    }

    fn log_odds(
        &self,
        question: &Question,
        prediction: &Prediction,
        seen: &Seen,
        geometry: &Geometry,
    ) -> f32 {
        // The user knows best.
        let Some((found, expected)) =
            self.found.as_ref().zip(question.expected.as_ref()).filter(|_| !question.direct)
        else {
            return f32::MAX;
        };
        let known = &found.remembered;
        let cells = Cells::of_frame(expected.view(), geometry);
        let middle = cells.middle().unwrap_or(found.middle);
        let (width, height) = (geometry.frame.0 as f32, geometry.frame.1 as f32);
        let away = (seen.middle[0] - middle[0]).hypot(seen.middle[1] - middle[1]);
        let appearance = known.appearance.as_ref().zip(seen.appearance.as_ref());
        Clues {
            score: prediction.score,
            similarity: appearance.map(|(known, seen)| known.similarity(seen)),
            contrast: appearance.map(|(_, seen)| seen.contrast),
            area_ratio: seen.area / known.area,
            overlap: overlap(prediction.logits.view(), expected.view()),
            distance: away / radius(known.area * width * height),
            blind: question.blind,
        }
        .log_odds()
    }

    fn accept(
        &mut self,
        frame_id: u64,
        question: &Question,
        prediction: Prediction,
        seen: Seen,
        log_odds: f32,
        geometry: Geometry,
    ) -> Verdict {
        let Prediction { prompt, logits, score } = prediction;
        let expected = question.expected.as_ref();
        let agreement = expected.map(|expected| overlap(logits.view(), expected.view()));
        let smooth = !question.direct
            && !question.blind
            && agreement.is_some_and(|agreement| agreement >= SMOOTHED);
        let logits = match expected {
            Some(expected) if smooth => NEW * &logits + (1.0 - NEW) * expected,
            _ => logits,
        };
        let usual = self.found.as_ref().filter(|_| !question.direct && !question.blind);
        let area_ratio = usual.map_or(1.0, |found| seen.area / found.remembered.area);
        let asked = &question.prompts[prompt];
        let spill = spill(&logits, &geometry, seen.bounds, asked, area_ratio);
        let mask = Shown {
            logits: Arc::new(logits),
            geometry,
            score,
            agreement,
            state: if spill.is_some() { MaskState::Uncertain } else { MaskState::Tracking },
            reason: spill.or(self.is_lost().then_some(Reason::FoundAgain)),
        };
        let known = self.found.take().filter(|_| !question.direct).map(|found| found.remembered);
        let remembered = match known {
            Some(known) if log_odds >= LEARNED => known.learn(&seen),
            Some(known) => known,
            None => {
                let asked = &question.prompts[prompt];
                let sides = asked.bbox().zip(seen.bounds);
                let margins = sides.map(|(bbox, mask)| Margins::between(bbox, mask));
                let cells = Cells::of_frame(mask.logits.view(), &geometry);
                let anchors = Anchor::all(asked, &cells);
                Remembered { appearance: seen.appearance, area: seen.area, margins, anchors }
            }
        };
        let points = places(mask.logits.view(), &mask.geometry);
        let middle = seen.middle;
        self.found = Some(Found { frame_id, mask: mask.clone(), points, middle, remembered });
        if self.is_lost() {
            self.return_to(frame_id, &question.prompts[prompt], geometry.frame);
        }
        self.state = State::Tracking;
        Verdict::Found { mask, prompt }
    }

    /// Moves the prompt in force to where a lost object was found again on frame `frame_id`.
    fn return_to(&mut self, frame_id: u64, prompt: &Prompt, frame: (usize, usize)) {
        let Some(at) = prompt.points().iter().find(|p| p.positive) else { return };
        let [x, y] = self.path.since(frame_id).apply([at.x, at.y]);
        if let Some(Some(last)) = self.history.last_mut()
            && let Some(moved) = moved_to([x, y], last, frame)
        {
            *last = moved;
        }
    }
}

/// Properties of a prediction.
struct Seen {
    appearance: Option<Appearance>,
    /// Area as a share of the frame.
    area: f32,
    /// Most interior position, in frame pixels.
    middle: [f32; 2],
    /// Bounding box in frame pixels.
    bounds: Option<[f32; 4]>,
}

impl Seen {
    /// `None` for an empty mask.
    fn of(
        prediction: &Prediction,
        features: Option<ArrayView3<f32>>,
        geometry: &Geometry,
    ) -> Option<Self> {
        let logits = prediction.logits.view();
        let cells = Cells::of_frame(logits, geometry);
        let middle = cells.middle()?;
        Some(Self {
            appearance: features.and_then(|features| Appearance::of(features, logits)),
            area: cells.share(),
            middle,
            bounds: cells.bounds(),
        })
    }
}

impl Remembered {
    fn learn(mut self, seen: &Seen) -> Self {
        match (&mut self.appearance, &seen.appearance) {
            (Some(known), Some(seen)) => known.learn(seen, LEARNING),
            (known, seen) => *known = seen.clone(),
        }
        self.area += LEARNING * (seen.area - self.area);
        self
    }
}

/// Radius of a disc of that area.
fn radius(area: f32) -> f32 {
    (area / std::f32::consts::PI).sqrt().max(1.0)
}

#[cfg(test)]
mod tests {
    use medsa_sam::prompt::Point;

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

    /// Answers the first prompt of the question about a frame.
    fn answer(object: &mut Object, frame_id: u64, logits: &Array2<f32>, score: f32) -> Verdict {
        let question = object.question(frame_id, &geometry(), 64, None).unwrap();
        let prediction = Prediction { prompt: 0, logits: logits.clone(), score };
        object.answer(asked(frame_id), &question, vec![prediction], None, geometry())
    }

    /// Two frames per second.
    fn asked(frame_id: u64) -> Asked {
        Asked { frame_id, captured_us: 500_000 * frame_id }
    }

    fn object_at(x: f32, y: f32) -> Object {
        let mut object = Object::new(click(x, y), 0, 0);
        assert!(matches!(answer(&mut object, 0, &disc(x, y), 0.9), Verdict::Found { .. }));
        object
    }

    fn right(pixels: f32) -> Step {
        Step::Followed(Motion::shift([pixels, 0.0]))
    }

    #[test]
    fn mask_of_older_frame_is_moved_to_newest() {
        let mut object = object_at(160.0, 120.0);
        for frame_id in 1..=4 {
            let shown = object.step(frame_id, right(5.0), FRAME).unwrap();
            let expected = disc(160.0 + 5.0 * frame_id as f32, 120.0);
            assert!(overlap(shown.logits.view(), expected.view()) > 0.97);
        }
        assert_eq!(object.prompt().unwrap().points()[0].x, 180.0);
        // Frame 2 is encoded while 3 and 4 are shown.
        let question = object.question(2, &geometry(), 64, None).unwrap();
        assert!((question.prompts[0].points()[0].x - 170.0).abs() < 4.0);
        assert!(overlap(question.expected.unwrap().view(), disc(170.0, 120.0).view()) > 0.97);
        answer(&mut object, 2, &disc(170.0, 120.0), 0.9);
        let shown = object.step(5, right(5.0), FRAME).unwrap();
        assert!(overlap(shown.logits.view(), disc(185.0, 120.0).view()) > 0.97);
    }

    #[test]
    fn click_keeps_its_place_on_the_mask() {
        let mut object = Object::new(click(150.0, 110.0), 0, 0);
        answer(&mut object, 0, &disc(160.0, 120.0), 0.9);
        // The network finds the structure 20 px farther than it was followed.
        object.step(1, right(5.0), FRAME);
        answer(&mut object, 1, &disc(185.0, 120.0), 0.9);
        let question = object.question(1, &geometry(), 64, None).unwrap();
        let asked = question.prompts[0].points()[0];
        assert!((asked.x - 175.0).abs() < 4.0 && (asked.y - 110.0).abs() < 4.0, "{asked:?}");
        // The user sees the click where the image has moved it.
        assert_eq!(object.prompt().unwrap().points()[0].x, 155.0);
        object.correct(click(150.0, 110.0), 1);
        let question = object.question(1, &geometry(), 64, None).unwrap();
        assert_eq!(question.prompts, [click(150.0, 110.0)]);
    }

    #[test]
    fn object_not_found_is_lost_and_found_again() {
        let far = disc(60.0, 60.0);
        let empty = Array2::from_elem((64, 64), -1.0);
        for (logits, score) in [(&far, 0.9), (&disc(215.0, 120.0), 0.3), (&empty, 0.9)] {
            let mut object = object_at(160.0, 120.0);
            assert!(matches!(answer(&mut object, 1, logits, score), Verdict::Doubtful(_)));
            // One doubt does not hide it.
            assert!(object.step(2, right(0.0), FRAME).is_some());
            let mut frame_id = 2;
            while !object.is_lost() {
                answer(&mut object, frame_id, logits, score);
                frame_id += 1;
            }
            assert!(frame_id <= 5, "{frame_id}");
            assert!(object.step(frame_id, right(0.0), FRAME).is_none());
            let found = answer(&mut object, frame_id, &disc(163.0, 120.0), 0.9);
            assert!(matches!(found, Verdict::Found { .. }));
            assert!(object.step(frame_id + 1, right(0.0), FRAME).is_some());
        }
    }

    #[test]
    fn prompt_returns_to_where_a_lost_object_was_found() {
        let mut object = object_at(160.0, 120.0);
        object.step(1, Step::WithImage(Motion::shift([300.0, 0.0])), FRAME);
        assert!(object.is_lost());
        assert_eq!(object.prompt(), Some(&click(160.0, 120.0)));
        // Back after two frames, a bit to the left. It is looked for where it was.
        object.step(2, Step::WithImage(Motion::shift([-300.0, 0.0])), FRAME);
        let question = object.question(2, &geometry(), 64, None).unwrap();
        assert!(question.prompts.len() > 1);
        let number = question.prompts.len() - 1;
        let at = question.prompts[number].points()[0];
        assert!((at.x - 160.0).abs() < 4.0, "{at:?}");
        let there = Prediction { prompt: number, logits: disc(150.0, 120.0), score: 0.9 };
        let wrong = Prediction { prompt: 0, logits: disc(20.0, 20.0), score: 0.4 };
        let verdict = object.answer(asked(2), &question, vec![wrong, there], None, geometry());
        assert!(matches!(verdict, Verdict::Found { prompt, .. } if prompt == number));
        assert!((object.prompt().unwrap().points()[0].x - 160.0).abs() < 4.0);
        assert!(object.step(3, right(5.0), FRAME).is_some());
    }

    #[test]
    fn object_moves_with_the_image_where_it_cannot_be_followed() {
        let mut object = object_at(160.0, 120.0);
        let shown = object.step(1, Step::WithImage(Motion::shift([10.0, 0.0])), FRAME).unwrap();
        assert!(overlap(shown.logits.view(), disc(170.0, 120.0).view()) > 0.97);
        // The place counts less then, so that a right answer elsewhere is accepted ...
        let moved = disc(195.0, 120.0);
        assert!(matches!(answer(&mut object, 1, &moved, 0.9), Verdict::Found { .. }));
        // ... but a jump is not if it was followed.
        let mut object = object_at(160.0, 120.0);
        object.step(1, right(10.0), FRAME);
        let jump = disc(270.0, 120.0);
        assert!(matches!(answer(&mut object, 1, &jump, 0.9), Verdict::Doubtful(_)));
    }

    #[test]
    fn nothing_is_shown_in_another_image_until_the_network_confirms() {
        let mut object = object_at(160.0, 120.0);
        assert!(object.step(1, Step::Unknown, FRAME).is_none());
        assert!(object.step(2, right(0.0), FRAME).is_none());
        // An answer for a frame before the change confirms nothing.
        answer(&mut object, 0, &disc(160.0, 120.0), 0.9);
        assert!(object.step(3, right(0.0), FRAME).is_none());
        answer(&mut object, 3, &disc(163.0, 120.0), 0.9);
        assert!(object.step(4, right(0.0), FRAME).is_some());
    }

    #[test]
    fn mask_of_another_side_is_compared() {
        let object = object_at(160.0, 120.0);
        let small = Geometry::new(FRAME, 64);
        let question = object.question(0, &small, 32, None).unwrap();
        let [x, y] = small.to_cell([160.0, 120.0], (32, 32));
        let half = Array2::from_shape_fn((32, 32), |(row, column)| {
            5.0 - (column as f32 - x).hypot(row as f32 - y)
        });
        assert!(overlap(question.expected.unwrap().view(), half.view()) > 0.9);
    }

    #[test]
    fn undo_and_redo_restore_prompts_at_the_moved_position() {
        let mut object = Object::new(click(100.0, 100.0), 0, 0);
        object.correct(click(110.0, 100.0), 1);
        let down = Step::Followed(Motion::shift([0.0, 7.0]));
        object.step(1, down, FRAME);
        object.undo(2, 1);
        assert_eq!(object.prompt(), Some(&click(100.0, 107.0)));
        object.undo(3, 1);
        assert_eq!(object.prompt(), None);
        object.undo(4, 1);
        object.step(2, down, FRAME);
        object.redo(5, 2);
        assert_eq!(object.prompt(), Some(&click(100.0, 114.0)));
        object.redo(6, 2);
        assert_eq!(object.prompt(), Some(&click(110.0, 114.0)));
        object.redo(7, 2);
        // A removed prompt moves on, too.
        object.clear(8, 2);
        assert!(object.question(2, &geometry(), 64, None).is_none() && object.shown().is_none());
        object.step(3, down, FRAME);
        object.undo(9, 3);
        assert_eq!(object.prompt(), Some(&click(110.0, 121.0)));
        // Another change ends what can be made again.
        object.undo(10, 3);
        object.correct(click(50.0, 50.0), 11);
        object.redo(12, 3);
        assert_eq!(object.prompt(), Some(&click(50.0, 50.0)));
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
