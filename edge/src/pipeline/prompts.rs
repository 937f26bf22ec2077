//! The prompts in force: changed by people, read by the inference thread at every frame.

use std::sync::{Mutex, MutexGuard, PoisonError};

use medsa_sam::PromptError;
use medsa_sam::prompt::{BoxXyxy, Point, Prompt};
use medsa_wire::MAX_OBJECT;
use medsa_wire::topic::ObjectId;

const OBJECTS: usize = MAX_OBJECT as usize + 1;

/// One prompt per object, and whether any is to be answered.
pub struct Prompts {
    state: Mutex<State>,
}

#[derive(Clone)]
struct State {
    /// Width and height that the prompts fit.
    frame: (usize, usize),
    objects: [Option<Prompt>; OBJECTS],
    activity: Activity,
}

/// Whether frames are segmented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// They are.
    Running,
    /// They are dropped.
    Paused,
}

impl Prompts {
    /// No prompts, for frames of `frame` = (width, height) pixels.
    pub fn new(frame: (usize, usize)) -> Self {
        let state = State {
            frame,
            objects: std::array::from_fn(|_| None),
            activity: Activity::Running,
        };
        Self { state: Mutex::new(state) }
    }

    /// Replaces the prompt of an object; the old one stays when the new one is refused.
    ///
    /// # Errors
    /// [`PromptError`] when it does not fit the frames that come at present.
    pub fn set(
        &self,
        object: ObjectId,
        points: Vec<Point>,
        bbox: Option<BoxXyxy>,
    ) -> Result<(), PromptError> {
        let mut state = self.lock();
        let prompt = Prompt::new(points, bbox, state.frame)?;
        state.objects[usize::from(object.get())] = Some(prompt);
        Ok(())
    }

    /// Removes the prompt of an object.
    pub fn clear(&self, object: ObjectId) {
        self.lock().objects[usize::from(object.get())] = None;
    }

    /// Pauses or resumes.
    pub fn set_activity(&self, activity: Activity) {
        self.lock().activity = activity;
    }

    /// Whether frames are segmented.
    pub fn activity(&self) -> Activity {
        self.lock().activity
    }

    /// The prompts for a frame of `frame` = (width, height) pixels. When the size has changed,
    /// those that do not fit any more are removed and handed to `refused`.
    pub fn for_frame(
        &self,
        frame: (usize, usize),
        mut refused: impl FnMut(u8, PromptError),
    ) -> Vec<(u8, Prompt)> {
        let mut state = self.lock();
        if state.frame != frame {
            state.frame = frame;
            for (object, slot) in (0..).zip(&mut state.objects) {
                let Some(prompt) = slot else { continue };
                if let Err(error) = Prompt::new(prompt.points().to_vec(), prompt.bbox(), frame) {
                    *slot = None;
                    refused(object, error);
                }
            }
        }
        let objects = (0..).zip(&state.objects);
        objects.filter_map(|(object, prompt)| Some((object, prompt.clone()?))).collect()
    }

    /// A panic elsewhere leaves the state whole: its parts are only ever assigned.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn click(x: f32) -> Vec<Point> {
        vec![Point { x, y: 1.0, positive: true }]
    }

    #[test]
    fn a_prompt_that_is_refused_leaves_the_old_one() {
        let prompts = Prompts::new((100, 100));
        let object = ObjectId::new(3).unwrap();
        prompts.set(object, click(50.0), None).unwrap();
        assert!(prompts.set(object, click(101.0), None).is_err());
        let now = prompts.for_frame((100, 100), |_, _| {});
        assert_eq!(now.len(), 1);
        assert_eq!((now[0].0, now[0].1.points()[0].x), (3, 50.0));
    }

    #[test]
    fn smaller_frames_refuse_prompts_that_no_longer_fit() {
        let prompts = Prompts::new((100, 100));
        prompts.set(ObjectId::new(0).unwrap(), click(90.0), None).unwrap();
        prompts.set(ObjectId::new(1).unwrap(), click(10.0), None).unwrap();
        let mut refused = Vec::new();
        let now = prompts.for_frame((80, 80), |object, _| refused.push(object));
        assert_eq!((refused, now.len(), now[0].0), (vec![0], 1, 1));
    }
}
