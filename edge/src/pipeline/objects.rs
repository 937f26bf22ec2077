//! The objects that people asked for, shared by those who ask, who follow, and who segment.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use medsa_sam::PromptError;
use medsa_sam::image::Geometry;
use medsa_sam::prompt::{BoxXyxy, Point, Prompt};
use medsa_wire::MAX_OBJECT;
use medsa_wire::topic::ObjectId;
use ndarray::ArrayView2;
use tokio::sync::watch;

use super::bell::Bell;
use super::error::Error;
use super::object::{Object, Question, Shown, Verdict};
use crate::config::Following;
use crate::follow::{Motion, Pyramid, Trail};

const OBJECTS: usize = MAX_OBJECT as usize + 1;

/// One prompt per object, where each object is, and whether frames are segmented at all.
pub struct Objects {
    state: Mutex<State>,
    activity: watch::Sender<Activity>,
    /// Rung when a prompt changes.
    bell: Arc<Bell>,
    following: Following,
    trail: Trail,
}

struct State {
    /// Width and height that the prompts fit; `None` before the first frame.
    frame: Option<(usize, usize)>,
    /// Number of the newest frame that was followed.
    newest: u64,
    objects: [Option<Object>; OBJECTS],
    /// Changes of prompts so far.
    revision: u64,
}

/// Whether frames are segmented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// They are.
    Running,
    /// The frame that is there stays, and prompts are answered on it; new ones are dropped.
    Frozen,
    /// They are dropped, and prompts are not answered.
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
    /// Adds a click, or begins with it.
    Add(Point),
    /// Takes the last change back.
    Undo,
    /// Removes the object.
    Clear,
}

/// An object to be followed from the frame before.
pub(super) struct Place {
    object: usize,
    revision: u64,
    /// Places on the structure in pixels of the frame before.
    pub points: Vec<[f32; 2]>,
}

/// An object to be segmented.
pub(super) struct Asked {
    object: usize,
    revision: u64,
    /// `None` when the object is known to be lost.
    pub question: Option<Question>,
}

impl Asked {
    /// The object's number.
    pub fn number(&self) -> u8 {
        self.object as u8
    }

    /// Which prompt it is; larger numbers are later ones.
    pub fn revision(&self) -> u64 {
        self.revision
    }
}

/// What became of an answer, and since when it was awaited, if somebody awaited it.
pub(super) struct Answered {
    pub verdict: Verdict,
    pub asked: Option<Instant>,
}

impl Objects {
    /// No objects yet. `bell` is rung when a prompt changes.
    pub fn new(bell: Arc<Bell>, following: Following) -> Self {
        let objects = std::array::from_fn(|_| None);
        let state = Mutex::new(State { frame: None, newest: 0, objects, revision: 0 });
        let activity = watch::Sender::new(Activity::Running);
        Self { state, activity, bell, following, trail: Trail::default() }
    }

    /// Changes the prompt of an object; a change that is refused changes nothing.
    ///
    /// # Errors
    /// [`Error::Prompt`] when it does not fit the frames that come at present,
    /// [`Error::NoFrameYet`] before the first.
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
            Change::Add(point) => match slot {
                Some(known) => {
                    let now = known.prompt();
                    let points = [now.points(), &[point]].concat();
                    known.correct(Prompt::new(points, now.bbox(), size)?, revision);
                }
                None => {
                    let prompt = Prompt::new(vec![point], None, size)?;
                    *slot = Some(Object::new(prompt, revision, newest));
                }
            },
            Change::Undo => *slot = slot.take().and_then(|o| o.undone(revision, newest)),
            Change::Clear => *slot = None,
        }
        state.revision = revision;
        drop(state);
        self.bell.ring();
        Ok(())
    }

    /// Runs, freezes or pauses.
    pub fn set_activity(&self, activity: Activity) {
        self.activity.send_replace(activity);
        self.bell.ring();
    }

    /// Whether frames are segmented.
    pub fn activity(&self) -> Activity {
        *self.activity.borrow()
    }

    /// The same, for those who have to tell when it changes.
    pub fn activities(&self) -> watch::Receiver<Activity> {
        self.activity.subscribe()
    }

    /// The prompts in force, in pixels of the newest frame.
    pub fn prompts(&self) -> Vec<(u8, Prompt)> {
        let state = self.lock();
        let objects = (0..).zip(&state.objects);
        objects.filter_map(|(number, o)| Some((number, o.as_ref()?.prompt().clone()))).collect()
    }

    /// Takes note of the size of the frames that come. When it has changed, prompts that do not
    /// fit any more are removed and handed to `refused`.
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

    /// What to follow to the next frame.
    pub(super) fn places(&self) -> Vec<Place> {
        let state = self.lock();
        let (Following::On, Some(size)) = (self.following, state.frame) else { return Vec::new() };
        let objects = state.objects.iter().enumerate();
        let place = |(object, slot): (usize, &Option<Object>)| {
            let known = slot.as_ref()?;
            Some(Place { object, revision: known.revision, points: known.places(size)? })
        };
        objects.filter_map(place).collect()
    }

    /// Takes note of a frame whose objects have been followed to it.
    pub(super) fn followed(&self, frame_id: u64, pyramid: Arc<Pyramid>) {
        self.trail.push(frame_id, pyramid);
        self.lock().newest = frame_id;
    }

    /// How a place moved to frame `frame_id`, or that it could not be followed; number and mask
    /// of the object there. A prompt that was changed meanwhile is not moved.
    pub(super) fn step(
        &self,
        place: &Place,
        frame_id: u64,
        step: Option<Motion>,
    ) -> Option<(u8, Shown)> {
        let mut state = self.lock();
        let size = state.frame?;
        let known = state.objects[place.object].as_mut()?;
        if known.revision != place.revision {
            return None;
        }
        Some((place.object as u8, known.step(frame_id, step, size)?))
    }

    /// What to segment on frame `frame_id`, in order of the objects' numbers. Objects that have
    /// left that frame are not asked for. `geometry` is the frame's, for a network whose masks
    /// have `side` pixels.
    pub(super) fn asked(&self, frame_id: u64, geometry: &Geometry, side: usize) -> Vec<Asked> {
        if self.following == Following::On {
            self.fill_gaps(frame_id, geometry.frame);
        }
        let state = self.lock();
        let objects = state.objects.iter().enumerate();
        let asked = |(object, slot): (usize, &Option<Object>)| {
            let known = slot.as_ref()?;
            let question = known.question(frame_id, geometry, side);
            let wanted = question.is_some() || known.is_lost();
            wanted.then_some(Asked { object, revision: known.revision, question })
        };
        objects.filter_map(asked).collect()
    }

    /// Follows objects that were asked for after frame `frame_id` back to it.
    fn fill_gaps(&self, frame_id: u64, size: (usize, usize)) {
        let gap = |object: usize| {
            let state = self.lock();
            let known = state.objects[object].as_ref()?;
            Some((known.revision, known.unknown_since(frame_id, size)?))
        };
        for object in 0..OBJECTS {
            let Some((revision, gap)) = gap(object) else { continue };
            // Where that fails, the object is taken to have been still.
            let steps = self.trail.back(gap.begins, frame_id, &gap.places).unwrap_or_default();
            if let Some(known) = &mut self.lock().objects[object]
                && known.revision == revision
            {
                known.fill(&gap, frame_id, steps);
            }
        }
    }

    /// Takes the network's answer in: logits `[h, w]` and their score. `None` when the prompt was
    /// changed meanwhile.
    pub(super) fn answer(
        &self,
        asked: &Asked,
        frame_id: u64,
        logits: ArrayView2<f32>,
        score: f32,
        geometry: Geometry,
    ) -> Option<Answered> {
        let mut state = self.lock();
        let known = state.objects[asked.object].as_mut()?;
        if known.revision != asked.revision {
            return None;
        }
        let since = known.asked;
        let verdict = known.answer(asked.question.as_ref()?, logits, score, geometry);
        if let (Following::On, Verdict::Found(mask)) = (self.following, &verdict) {
            known.follow(frame_id, mask.clone());
        }
        Some(Answered { verdict, asked: since })
    }

    /// A panic elsewhere leaves the state whole: its parts are only ever assigned.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn click(x: f32) -> Change {
        Change::Set { points: vec![Point { x, y: 1.0, positive: true }], bbox: None }
    }

    fn objects(size: (usize, usize)) -> Objects {
        let objects = Objects::new(Arc::default(), Following::On);
        objects.fit(size, |_, _| {});
        objects
    }

    #[test]
    fn a_prompt_that_is_refused_leaves_the_old_one() {
        let objects = objects((100, 100));
        let object = ObjectId::new(3).unwrap();
        objects.change(object, click(50.0)).unwrap();
        assert!(objects.change(object, click(101.0)).is_err());
        let outside = Change::Add(Point { x: -1.0, y: 0.0, positive: false });
        assert!(objects.change(object, outside).is_err());
        let now = objects.prompts();
        assert_eq!(now.len(), 1);
        assert_eq!((now[0].0, now[0].1.points()[0].x), (3, 50.0));
    }

    #[test]
    fn smaller_frames_refuse_prompts_that_no_longer_fit() {
        let objects = objects((100, 100));
        objects.change(ObjectId::new(0).unwrap(), click(90.0)).unwrap();
        objects.change(ObjectId::new(1).unwrap(), click(10.0)).unwrap();
        let mut refused = Vec::new();
        objects.fit((80, 80), |object, _| refused.push(object));
        let now = objects.prompts();
        assert_eq!((refused, now.len(), now[0].0), (vec![0], 1, 1));
    }

    #[test]
    fn points_are_added_and_taken_back_until_nothing_is_left() {
        let objects = objects((100, 100));
        let object = ObjectId::new(0).unwrap();
        for x in [10.0, 20.0, 30.0] {
            objects.change(object, Change::Add(Point { x, y: 1.0, positive: true })).unwrap();
        }
        let xs = || -> Vec<_> {
            objects.prompts().iter().flat_map(|(_, p)| p.points().iter().map(|p| p.x)).collect()
        };
        assert_eq!(xs(), [10.0, 20.0, 30.0]);
        objects.change(object, Change::Undo).unwrap();
        assert_eq!(xs(), [10.0, 20.0]);
        objects.change(object, Change::Undo).unwrap();
        objects.change(object, Change::Undo).unwrap();
        assert!(objects.prompts().is_empty());
        objects.change(object, Change::Undo).unwrap();
        let before_the_first = Objects::new(Arc::default(), Following::On);
        assert!(before_the_first.change(object, click(1.0)).is_err());
    }
}
