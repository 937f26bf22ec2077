//! Evaluation of the network's predictions: the one that shows the object, or none.

use std::sync::Arc;

use medsa_sam::image::Geometry;
use medsa_sam::prompt::Prompt;
use medsa_wire::{MaskState, Reason};
use ndarray::{Array2, ArrayView3};

use super::evidence::Clues;
use super::places::places;
use super::remembered::{Remembered, Seen, radius};
use super::renewed::{Anchor, Cells, Margins, moved_to};
use super::request::PredictionRequest;
use super::shown::{Shown, overlap};
use super::spill::spill;
use super::{Found, Object, State};
use crate::follow::Pyramid;

/// Overlap from which a mask is smoothed with the previous one. Below it, something moved or
/// changed, which should show at once.
const SMOOTHED: f32 = 0.6;

/// Weight of the new mask's logits in a smoothed one.
const NEW: f32 = 0.85;

/// Log odds from which a prediction is accepted.
const ACCEPTED: f32 = 0.0;

/// Log odds from which a prediction is accepted for a lost object.
const ACCEPTED_AGAIN: f32 = 1.0;

/// Log odds from which the appearance is learned from a prediction.
const LEARNED: f32 = 1.0;

/// The frame for which predictions were requested.
#[derive(Clone, Copy)]
pub struct RequestedFrame {
    /// Number of the frame.
    pub frame_id: u64,
    /// Its capture time, in microseconds.
    pub captured_us: u64,
    /// Hash of the build that predicts.
    pub build: [u8; 32],
}

/// Prediction for one prompt of a request.
pub struct Prediction {
    /// Number of the prompt.
    pub prompt: usize,
    /// Logits `[h, w]`.
    pub logits: Array2<f32>,
    /// Intersection over union that the network predicts.
    pub score: f32,
}

/// Result of the evaluation.
pub enum Verdict {
    /// The mask, and the number of its prompt.
    Found { mask: Shown, prompt: usize },
    /// No prediction is accepted: the followed mask stays, as uncertain.
    Uncertain(Shown),
    /// The object is not shown.
    Lost(Reason),
}

impl Object {
    /// Chooses among the predictions for a request on frame `at` of `geometry` and `features`
    /// `[C, h, w]`.
    pub fn evaluate(
        &mut self,
        at: RequestedFrame,
        request: &PredictionRequest,
        predictions: Vec<Prediction>,
        features: Option<ArrayView3<f32>>,
        geometry: Geometry,
    ) -> Verdict {
        let mut best: Option<(f32, Prediction, Seen)> = None;
        for prediction in predictions {
            let seen = Seen::of(prediction.logits.view(), features, &geometry);
            let Some(seen) = seen else { continue };
            let log_odds = self.log_odds(request, &prediction, &seen, &geometry);
            if best.as_ref().is_none_or(|(least, ..)| log_odds > *least) {
                best = Some((log_odds, prediction, seen));
            }
        }
        self.pending_since = None;
        let RequestedFrame { frame_id, captured_us, .. } = at;
        let needed = if self.is_lost() { ACCEPTED_AGAIN } else { ACCEPTED };
        match best {
            Some((log_odds, prediction, seen)) if log_odds >= needed => {
                self.confidence.confirm(captured_us);
                self.accept(frame_id, request, prediction, seen, log_odds, geometry)
            }
            refused => {
                self.confidence.doubt(refused.map_or(f32::MIN, |(log_odds, ..)| log_odds));
                self.refuse(captured_us, request, geometry)
            }
        }
    }

    /// Moves the mask of a verdict on frame `at` towards the one that the object had when it looked
    /// the same, and learns the view. `direct`: the network got the user's own prompt.
    pub fn settle(
        &mut self,
        verdict: Verdict,
        at: RequestedFrame,
        direct: bool,
        frame: &Pyramid,
    ) -> Verdict {
        let again = self.views.find(frame).filter(|_| !direct && self.views.are_of(at.build));
        let settled = |mask: Shown| match &again {
            Some(again) => again.settle(mask),
            None => mask,
        };
        match verdict {
            Verdict::Found { mask, prompt } => {
                let mask = settled(mask);
                let bounds = Cells::of_frame(mask.logits.view(), &mask.geometry).bounds();
                if let (Some(found), Some(bounds)) = (&mut self.found, bounds) {
                    self.views.learn(frame, &mask, bounds, at.build, direct);
                    found.mask.logits = mask.logits.clone();
                }
                Verdict::Found { mask, prompt }
            }
            Verdict::Uncertain(mask) => Verdict::Uncertain(settled(mask)),
            Verdict::Lost(reason) => Verdict::Lost(reason),
        }
    }

    /// The verdict if no prediction is accepted.
    fn refuse(
        &mut self,
        captured_us: u64,
        request: &PredictionRequest,
        geometry: Geometry,
    ) -> Verdict {
        if let Some(reason) = self.lost() {
            return Verdict::Lost(reason);
        }
        let changed =
            self.found.as_ref().is_some_and(|found| self.path.has_unknown_since(found.frame_id));
        let reason = if changed { Reason::ImageChanged } else { Reason::NotConfirmed };
        let expected = self.found.as_ref().zip(request.expected.clone());
        let lost = self.confidence.is_lost(captured_us);
        self.state = if lost { State::Lost(reason) } else { State::Uncertain };
        match expected.filter(|_| !lost && !changed) {
            Some((found, logits)) => {
                let logits = Arc::new(logits);
                let mask = Shown { logits, geometry, ..found.mask.clone() };
                Verdict::Uncertain(mask.not_confirmed())
            }
            None => Verdict::Lost(reason),
        }
    }

    fn log_odds(
        &self,
        request: &PredictionRequest,
        prediction: &Prediction,
        seen: &Seen,
        geometry: &Geometry,
    ) -> f32 {
        // The user knows best.
        let Some((found, expected)) =
            self.found.as_ref().zip(request.expected.as_ref()).filter(|_| !request.direct)
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
            blind: request.blind,
        }
        .log_odds()
    }

    /// The verdict for the accepted prediction, which becomes the last mask.
    fn accept(
        &mut self,
        frame_id: u64,
        request: &PredictionRequest,
        prediction: Prediction,
        seen: Seen,
        log_odds: f32,
        geometry: Geometry,
    ) -> Verdict {
        let Prediction { prompt: number, logits, score } = prediction;
        let prompt = &request.prompts[number];
        let expected = request.expected.as_ref();
        let agreement = expected.map(|expected| overlap(logits.view(), expected.view()));
        let smooth = !request.direct
            && !request.blind
            && agreement.is_some_and(|agreement| agreement >= SMOOTHED);
        let logits = match expected {
            Some(expected) if smooth => NEW * &logits + (1.0 - NEW) * expected,
            _ => logits,
        };
        let usual = self.found.as_ref().filter(|_| !request.direct && !request.blind);
        let area_ratio = usual.map_or(1.0, |found| seen.area / found.remembered.area);
        let spill = spill(&logits, &geometry, seen.bounds, prompt, area_ratio);
        let mask = Shown {
            logits: Arc::new(logits),
            geometry,
            score,
            agreement,
            state: if spill.is_some() { MaskState::Uncertain } else { MaskState::Tracking },
            reason: spill.or(self.is_lost().then_some(Reason::FoundAgain)),
        };
        let known = self.found.take().filter(|_| !request.direct).map(|found| found.remembered);
        let middle = seen.middle;
        let remembered = match known {
            Some(known) if log_odds >= LEARNED => known.learn(&seen),
            Some(known) => known,
            None => {
                let sides = prompt.bbox().zip(seen.bounds);
                let margins = sides.map(|(bbox, mask)| Margins::between(bbox, mask));
                let cells = Cells::of_frame(mask.logits.view(), &geometry);
                let anchors = Anchor::all(prompt, &cells);
                Remembered { appearance: seen.appearance, area: seen.area, margins, anchors }
            }
        };
        let points = places(mask.logits.view(), &mask.geometry);
        let clicks = prompt.points().iter().filter(|p| p.positive).map(|p| [p.x, p.y]).collect();
        self.found =
            Some(Found { frame_id, mask: mask.clone(), points, middle, clicks, remembered });
        if self.is_lost() {
            self.return_to(frame_id, prompt, geometry.frame);
        }
        self.state = State::Tracking;
        Verdict::Found { mask, prompt: number }
    }

    /// Moves the prompt in force to where a lost object was found again on frame `frame_id`.
    fn return_to(&mut self, frame_id: u64, prompt: &Prompt, frame: (usize, usize)) {
        let Some(at) = prompt.points().iter().find(|p| p.positive) else { return };
        let place = self.path.since(frame_id).apply([at.x, at.y]);
        self.prompts.relocate(|last| moved_to(place, last, frame));
    }
}
