//! One object: its prompts, its motion, and its last mask.
//!
//! Between two runs of the network, the last mask moves with the image. For the network, a prompt is
//! made anew from the followed mask ([`request`], [`renewed`]). A prediction is accepted if the
//! evidence for it outweighs that against it ([`evaluation`], [`evidence`]). An object that is lost is
//! still looked for: where it was, where it should be, and where the image looks like it
//! ([`appearance`]). Where the image repeats, so does the mask ([`views`]).

mod appearance;
mod evaluation;
mod evidence;
mod interior;
mod path;
mod places;
mod prompts;
mod remembered;
mod renewed;
mod request;
mod shown;
mod spill;
mod views;

use std::sync::Arc;
use std::time::{Duration, Instant};

use medsa_sam::PromptError;
use medsa_sam::prompt::Prompt;
use medsa_wire::Reason;

use crate::follow::{Motion, Pyramid};
use evidence::Confidence;
use path::Path;
use places::surroundings;
use prompts::{Carried, Prompts};
use remembered::Remembered;
use views::{SeenAgain, Views};

pub use evaluation::{Prediction, RequestedFrame, Verdict};
pub use path::Step;
pub use request::PredictionRequest;
pub use shown::Shown;

/// Time for which an object without a prompt is followed, so that its prompts can be restored.
const REMEMBERED: Duration = Duration::from_secs(120);

/// One object. Its prompts are in pixels of the newest frame and move with the image.
#[derive(Clone)]
pub(super) struct Object {
    prompts: Prompts,
    /// Time when the prompt was removed, if there is none in force.
    removed: Option<Instant>,
    /// Number of the last change of the prompt.
    pub revision: u64,
    /// Time of the last change, until a mask was decoded for it.
    pub pending_since: Option<Instant>,
    path: Path,
    found: Option<Found>,
    confidence: Confidence,
    state: State,
    views: Views,
    /// The view that the newest frame shows again, if there is one.
    seen_again: Option<SeenAgain>,
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
#[derive(Clone)]
struct Found {
    frame_id: u64,
    mask: Shown,
    /// Points on the structure, in pixels of that frame.
    points: Arc<[[f32; 2]]>,
    /// Its most interior position, in pixels of that frame.
    middle: [f32; 2],
    /// Positive clicks of the prompt that gave it, in pixels of that frame.
    clicks: Vec<[f32; 2]>,
    remembered: Remembered,
}

/// Frames between the one being decoded and the one on which the object was prompted.
pub(super) struct Gap {
    /// Number of the frame on which the object was prompted.
    pub begins: u64,
    /// Points around it, in pixels of that frame.
    pub places: Vec<[f32; 2]>,
}

impl Object {
    /// A newly prompted object, in pixels of frame `newest`.
    pub fn new(prompt: Prompt, revision: u64, newest: u64) -> Self {
        Self {
            prompts: Prompts::new(prompt),
            removed: None,
            revision,
            pending_since: Some(Instant::now()),
            path: Path::starting_at(newest),
            found: None,
            confidence: Confidence::NEW,
            state: State::Tracking,
            views: Views::default(),
            seen_again: None,
        }
    }

    /// The prompt in force; `None` if it was removed.
    pub fn prompt(&self) -> Option<&Prompt> {
        self.prompts.current()
    }

    /// Replaces the prompt by one for another structure and forgets the mask.
    pub fn set(&mut self, prompt: Prompt, revision: u64, newest: u64) {
        self.prompts.push(Some(prompt));
        self.restart(revision, newest);
    }

    /// Refines the prompt for the same structure.
    pub fn correct(&mut self, prompt: Prompt, revision: u64) {
        self.prompts.push(Some(prompt));
        self.revision = revision;
        self.pending_since = Some(Instant::now());
        self.state = State::Tracking;
        self.confidence = Confidence::NEW;
        self.forget_views();
    }

    /// Removes the prompt. The object is still followed for a while, so that this can be undone.
    pub fn clear(&mut self, revision: u64, newest: u64) {
        if self.prompt().is_some() {
            self.prompts.push(None);
            self.restart(revision, newest);
        }
    }

    /// Undoes the last change, if one is left.
    pub fn undo(&mut self, revision: u64, newest: u64) {
        if self.prompts.undo() {
            self.restart(revision, newest);
        }
    }

    /// Makes the last undone change again, if there was no other change since.
    pub fn redo(&mut self, revision: u64, newest: u64) {
        if self.prompts.redo() {
            self.restart(revision, newest);
        }
    }

    /// True if the prompt was removed too long ago to restore it.
    pub fn is_over(&self) -> bool {
        self.removed.is_some_and(|removed| removed.elapsed() > REMEMBERED)
    }

    /// Begins anew with the prompt in force.
    fn restart(&mut self, revision: u64, newest: u64) {
        let now = Instant::now();
        let present = self.prompt().is_some();
        (self.pending_since, self.removed) =
            if present { (Some(now), None) } else { (None, Some(now)) };
        self.revision = revision;
        self.path = Path::starting_at(newest);
        self.found = None;
        self.confidence = Confidence::NEW;
        self.state = State::Tracking;
        self.forget_views();
    }

    fn forget_views(&mut self) {
        self.views = Views::default();
        self.seen_again = None;
    }

    /// A copy for a frame that may be shown again, without what only earlier frames need.
    pub fn snapshot(&self) -> Self {
        let found_on = self.found.as_ref().map(|found| found.frame_id);
        let Self { removed, revision, confidence, state, .. } = *self;
        Self {
            prompts: self.prompts.clone(),
            removed,
            revision,
            pending_since: None,
            path: self.path.trimmed(found_on),
            found: self.found.clone(),
            confidence,
            state,
            views: self.views.clone(),
            seen_again: self.seen_again.clone(),
        }
    }

    /// Moves a snapshot to frame `frame_id`, on which the same image is shown again.
    pub fn shown_again(mut self, frame_id: u64) -> Self {
        self.path.push(frame_id, Step::Followed(Motion::NONE));
        self
    }

    /// Size in memory, in bytes, roughly: the mask and all that is small.
    pub fn bytes(&self) -> usize {
        const REST: usize = 8 << 10;
        let mask = self.found.as_ref().map_or(0, |found| found.mask.logits.len());
        REST + mask * size_of::<f32>()
    }

    /// Keeps only prompts that fit frames of `size` = (width, height), and forgets the mask found
    /// on frames of another size.
    ///
    /// # Errors
    /// The reason why the prompt in force does not fit; the object is unchanged.
    pub fn fit(&mut self, size: (usize, usize), newest: u64) -> Result<(), PromptError> {
        self.prompts.fit(size)?;
        self.found = None;
        self.path = Path::starting_at(newest);
        self.forget_views();
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

    /// Looks whether a new frame shows a view again. To be called before [`Object::step`].
    pub fn look(&mut self, frame: &Pyramid) {
        self.seen_again = self.views.find(frame);
    }

    /// Moves the object to a new frame of `size` = (width, height) and returns its mask there;
    /// `None` if it is not shown.
    pub fn step(&mut self, frame_id: u64, step: Step, size: (usize, usize)) -> Option<Shown> {
        self.path.push(frame_id, step);
        match self.prompts.carry(&step.motion(), size) {
            Carried::Inside => {}
            Carried::Left => self.state = State::Lost(Reason::LeftFrame),
        }
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
        let shown = match &self.seen_again {
            Some(again) => again.settle(shown),
            None => shown,
        };
        Some(if self.state == State::Tracking { shown } else { shown.not_confirmed() })
    }

    /// Forgets the mask, so that the network gets the user's prompt on every frame.
    pub fn forget(&mut self) {
        self.found = None;
    }

    /// True if the object is lost.
    pub fn is_lost(&self) -> bool {
        self.lost().is_some()
    }

    /// Reason why the object is lost; `None` if it is not.
    pub fn lost(&self) -> Option<Reason> {
        match self.state {
            State::Lost(reason) => Some(reason),
            State::Tracking | State::Uncertain => None,
        }
    }
}

#[cfg(test)]
mod tests;
