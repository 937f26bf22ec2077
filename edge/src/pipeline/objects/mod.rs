//! The prompted objects, shared by the modules that change prompts and the pipeline's threads.

mod rewind;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use medsa_sam::PromptError;
use medsa_sam::image::Geometry;
use medsa_sam::prompt::{BoxXyxy, Point, Prompt};
use medsa_wire::topic::ObjectId;
use medsa_wire::{MAX_OBJECT, Reason};
use ndarray::ArrayView3;
use tokio::sync::watch;

use super::bell::Bell;
use super::error::Error;
use super::object::{Object, Prediction, PredictionRequest, RequestedFrame, Shown, Step, Verdict};
use crate::config::Following;
use crate::follow::{Pyramid, Trail};

pub(super) use rewind::{ShownAgain, Snapshot};

const OBJECTS: usize = MAX_OBJECT as usize + 1;

/// Prompt and position of each object, and the activity of the pipeline.
pub struct Objects {
    state: Mutex<State>,
    activity: watch::Sender<Activity>,
    /// Rung when a prompt changes.
    bell: Arc<Bell>,
    following: Following,
    trail: Trail,
}

struct State {
    /// Width and height of the frames, which prompts must fit; `None` before the first frame.
    frame: Option<(usize, usize)>,
    /// Number of the newest followed frame.
    newest: u64,
    /// Number of the frame before which none is decoded any more.
    decoded_from: u64,
    objects: [Option<Object>; OBJECTS],
    /// Number of prompt changes so far.
    revision: u64,
    /// Time of the last end of a freeze.
    unfrozen: Option<Instant>,
}

/// Activity of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Frames are segmented.
    Running,
    /// The current frame stays, and prompts are decoded on it; new frames are dropped.
    Frozen,
    /// Frames are dropped, and prompts are not decoded.
    Paused,
}

/// A change of an object's prompt, in pixels of the newest frame.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Replaces the prompt.
    Set {
        /// Clicks.
        points: Vec<Point>,
        /// Box.
        bbox: Option<BoxXyxy>,
    },
    /// Adds a click; creates the object if there is none.
    Add(Point),
    /// Undoes the last change.
    Undo,
    /// Makes the last undone change again.
    Redo,
    /// Removes the object.
    Clear,
}

/// An object to follow from the previous frame.
pub(super) struct Place {
    object: usize,
    revision: u64,
    /// Points on the structure, in pixels of the previous frame; none for a lost object.
    pub points: Vec<[f32; 2]>,
}

/// An object that was followed to the newest frame.
pub struct Moved {
    /// Number of the object.
    pub object: u8,
    /// Its mask there.
    pub shown: Shown,
    /// Its prompt there.
    pub prompt: Prompt,
}

/// An object to decode.
pub(super) struct ObjectToDecode {
    object: usize,
    revision: u64,
    /// `None` if there is no prompt by which a lost object could be found on the frame.
    pub request: Option<PredictionRequest>,
    /// Reason why the object is lost; `None` if it is not.
    pub lost: Option<Reason>,
}

impl ObjectToDecode {
    /// Number of the object.
    pub fn number(&self) -> u8 {
        self.object as u8
    }

    /// Revision of the prompt; later prompts have larger numbers.
    pub fn revision(&self) -> u64 {
        self.revision
    }
}

/// Result of a prediction, and the time since which a changed prompt waited for it.
pub(super) struct Outcome {
    pub verdict: Verdict,
    pub pending_since: Option<Instant>,
}

impl Objects {
    /// Starts without objects. `bell` is rung when a prompt changes.
    pub fn new(bell: Arc<Bell>, following: Following) -> Self {
        let objects = std::array::from_fn(|_| None);
        let state = Mutex::new(State {
            frame: None,
            newest: 0,
            decoded_from: 0,
            objects,
            revision: 0,
            unfrozen: None,
        });
        let activity = watch::Sender::new(Activity::Running);
        Self { state, activity, bell, following, trail: Trail::default() }
    }

    /// Changes the prompt of an object. A refused change has no effect.
    ///
    /// # Errors
    /// [`Error::Prompt`] if the prompt does not fit the current frames,
    /// [`Error::NoFrameYet`] before the first frame.
    pub fn change(&self, object: ObjectId, change: Change) -> Result<(), Error> {
        let mut state = self.lock();
        let size = state.frame.ok_or(Error::NoFrameYet)?;
        let (revision, newest) = (state.revision + 1, state.newest);
        let slot = &mut state.objects[usize::from(object.get())];
        match change {
            Change::Set { points, bbox } => {
                let prompt = Prompt::new(points, bbox, size)?;
                match slot {
                    Some(known) => known.set(prompt, revision, newest),
                    None => *slot = Some(Object::new(prompt, revision, newest)),
                }
            }
            Change::Add(point) => {
                match slot.as_mut().and_then(|o| Some((o.prompt()?.clone(), o))) {
                    Some((now, known)) => {
                        let points = [now.points(), &[point]].concat();
                        known.correct(Prompt::new(points, now.bbox(), size)?, revision);
                    }
                    None => {
                        let prompt = Prompt::new(vec![point], None, size)?;
                        match slot {
                            Some(removed) => removed.set(prompt, revision, newest),
                            None => *slot = Some(Object::new(prompt, revision, newest)),
                        }
                    }
                }
            }
            Change::Undo => slot.iter_mut().for_each(|o| o.undo(revision, newest)),
            Change::Redo => slot.iter_mut().for_each(|o| o.redo(revision, newest)),
            Change::Clear => slot.iter_mut().for_each(|o| o.clear(revision, newest)),
        }
        state.revision = revision;
        drop(state);
        self.bell.ring();
        Ok(())
    }

    /// Sets the activity.
    pub fn set_activity(&self, activity: Activity) {
        let mut state = self.lock();
        if self.activity.send_replace(activity) == Activity::Frozen {
            state.unfrozen = Some(Instant::now());
        }
        drop(state);
        self.bell.ring();
    }

    /// The present activity.
    pub fn activity(&self) -> Activity {
        *self.activity.borrow()
    }

    /// Time until which the newest frame stayed on purpose: now while frozen, otherwise the end of the
    /// last freeze.
    pub fn held_until(&self) -> Option<Instant> {
        let state = self.lock();
        match self.activity() {
            Activity::Frozen => Some(Instant::now()),
            Activity::Running | Activity::Paused => state.unfrozen,
        }
    }

    /// Subscribes to the activity.
    pub fn activities(&self) -> watch::Receiver<Activity> {
        self.activity.subscribe()
    }

    /// The current prompts, in pixels of the newest frame.
    pub fn prompts(&self) -> Vec<(u8, Prompt)> {
        let state = self.lock();
        let objects = (0..).zip(&state.objects);
        objects.filter_map(|(number, o)| Some((number, o.as_ref()?.prompt()?.clone()))).collect()
    }

    /// Sets the size of the frames. When it has changed, removes prompts that no longer fit and
    /// passes them to `refused`.
    pub fn fit(&self, size: (usize, usize), mut refused: impl FnMut(u8, PromptError)) {
        let mut state = self.lock();
        if state.frame.replace(size) == Some(size) {
            return;
        }
        let newest = state.newest;
        for (number, slot) in (0..).zip(&mut state.objects) {
            let Some(object) = slot else { continue };
            if let Err(error) = object.fit(size, newest) {
                *slot = None;
                refused(number, error);
            }
        }
    }

    /// Objects to follow to the next frame.
    pub(super) fn places(&self) -> Vec<Place> {
        let mut state = self.lock();
        for slot in &mut state.objects {
            slot.take_if(|object| object.is_over());
        }
        let (Following::On, Some(size)) = (self.following, state.frame) else { return Vec::new() };
        let objects = state.objects.iter().enumerate();
        let place = |(object, slot): (usize, &Option<Object>)| {
            let known = slot.as_ref()?;
            Some(Place { object, revision: known.revision, points: known.places(size) })
        };
        objects.filter_map(place).collect()
    }

    /// Stores a frame to which all objects were followed.
    pub(super) fn followed(&self, frame_id: u64, pyramid: Arc<Pyramid>) {
        self.trail.push(frame_id, pyramid);
        self.lock().newest = frame_id;
    }

    /// Moves an object to frame `frame_id`; `None` if it is not shown there. An object whose prompt
    /// changed meanwhile is not moved.
    pub(super) fn step(
        &self,
        place: &Place,
        frame_id: u64,
        step: Step,
        frame: &Pyramid,
    ) -> Option<Moved> {
        let mut state = self.lock();
        let size = state.frame?;
        let known = state.objects[place.object].as_mut()?;
        if known.revision != place.revision {
            return None;
        }
        known.look(frame);
        let shown = known.step(frame_id, step, size)?;
        Some(Moved { object: place.object as u8, shown, prompt: known.prompt()?.clone() })
    }

    /// Numbers and masks of the objects that are shown on the newest frame.
    pub(super) fn shown(&self) -> Vec<(u8, Shown)> {
        let state = self.lock();
        let objects = (0..).zip(&state.objects);
        objects.filter_map(|(number, slot)| Some((number, slot.as_ref()?.shown()?))).collect()
    }

    /// Objects to decode on frame `frame_id`, in the order of their numbers, without those that
    /// have left the frame. `geometry` and `features` `[C, h, w]` are those of the frame, for a
    /// network whose masks have `side` pixels.
    pub(super) fn to_decode(
        &self,
        frame_id: u64,
        geometry: &Geometry,
        side: usize,
        features: Option<ArrayView3<f32>>,
    ) -> Vec<ObjectToDecode> {
        if self.following == Following::On {
            self.fill_gaps(frame_id, geometry.frame);
        }
        let state = self.lock();
        if frame_id < state.decoded_from {
            return Vec::new();
        }
        let objects = state.objects.iter().enumerate();
        let to_decode = |(object, slot): (usize, &Option<Object>)| {
            let known = slot.as_ref()?;
            known.prompt()?;
            let request = known.request(frame_id, geometry, side, features);
            let lost = known.lost();
            let wanted = request.is_some() || lost.is_some();
            wanted.then_some(ObjectToDecode { object, revision: known.revision, request, lost })
        };
        objects.filter_map(to_decode).collect()
    }

    /// Follows objects that were prompted after frame `frame_id` back to it.
    fn fill_gaps(&self, frame_id: u64, size: (usize, usize)) {
        let gap = |object: usize| {
            let state = self.lock();
            let known = state.objects[object].as_ref()?;
            Some((known.revision, known.unknown_since(frame_id, size)?))
        };
        for object in 0..OBJECTS {
            let Some((revision, gap)) = gap(object) else { continue };
            // If that fails, the object is assumed not to have moved.
            let steps = self.trail.back(gap.begins, frame_id, &gap.places).unwrap_or_default();
            if let Some(known) = &mut self.lock().objects[object]
                && known.revision == revision
            {
                known.fill(&gap, frame_id, steps);
            }
        }
    }

    /// Chooses among the predictions of the network for an object; `features` `[C, h, w]` are those
    /// of the frame. `None` if the prompt was changed meanwhile.
    pub(super) fn evaluate(
        &self,
        decoded: &ObjectToDecode,
        at: RequestedFrame,
        predictions: Vec<Prediction>,
        features: Option<ArrayView3<f32>>,
        geometry: Geometry,
    ) -> Option<Outcome> {
        let frame = self.trail.frame(at.frame_id);
        let mut state = self.lock();
        if at.frame_id < state.decoded_from {
            return None;
        }
        let known = state.objects[decoded.object].as_mut()?;
        if known.revision != decoded.revision {
            return None;
        }
        let pending_since = known.pending_since;
        let request = decoded.request.as_ref()?;
        let mut verdict = known.evaluate(at, request, predictions, features, geometry);
        match (self.following, frame) {
            (Following::Off, _) => known.forget(),
            (Following::On, Some(frame)) => {
                verdict = known.settle(verdict, at, request.is_direct(), &frame);
            }
            (Following::On, None) => {}
        }
        Some(Outcome { verdict, pending_since })
    }

    /// A panic elsewhere cannot leave the state inconsistent, because its parts are only assigned.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
