//! Motion of an object from frame to frame.

use std::collections::VecDeque;

use crate::follow::Motion;

/// Number of frames whose motion is kept: ten seconds at 60 fps, longer than any encoder run.
const REMEMBERED: usize = 600;

/// Motion of an object from one frame to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// The object was followed.
    Followed(Motion),
    /// Only the whole image was followed.
    WithImage(Motion),
    /// Nothing was followed: the image changed completely.
    Unknown,
}

impl Step {
    /// The motion; none if it is unknown.
    pub fn motion(&self) -> Motion {
        match *self {
            Self::Followed(motion) | Self::WithImage(motion) => motion,
            Self::Unknown => Motion::NONE,
        }
    }

    fn is_blind(&self) -> bool {
        !matches!(self, Self::Followed(_))
    }
}

/// Steps from frame to frame.
#[derive(Clone)]
pub(super) struct Path {
    /// Number of the frame before the first step.
    pub begins: u64,
    /// Number of each frame, and the step from the previous one.
    steps: VecDeque<(u64, Step)>,
}

impl Path {
    pub fn starting_at(begins: u64) -> Self {
        Self { begins, steps: VecDeque::new() }
    }

    pub fn push(&mut self, frame_id: u64, step: Step) {
        if self.steps.len() == REMEMBERED {
            self.steps.pop_front();
        }
        self.steps.push_back((frame_id, step));
    }

    /// A copy with the steps after frame `from`; `None` keeps all.
    pub fn trimmed(&self, from: Option<u64>) -> Self {
        let Some(from) = from else { return self.clone() };
        let later = self.steps.iter().filter(|(id, _)| *id > from);
        Self { begins: self.begins.max(from), steps: later.copied().collect() }
    }

    /// Adds motions before the first step; `begins` becomes the number of the frame before them.
    pub fn extend_back(&mut self, begins: u64, motions: Vec<(u64, Motion)>) {
        self.begins = begins;
        for (frame_id, motion) in motions.into_iter().rev() {
            self.steps.push_front((frame_id, Step::Followed(motion)));
        }
    }

    /// Motion from a frame to the newest; frames without known motion count as still.
    pub fn since(&self, frame_id: u64) -> Motion {
        let later = self.steps.iter().filter(|(id, _)| *id > frame_id);
        later.fold(Motion::NONE, |moved, (_, step)| moved.then(&step.motion()))
    }

    /// True if the image changed completely after frame `from`.
    pub fn has_unknown_since(&self, from: u64) -> bool {
        self.steps.iter().any(|(id, step)| *id > from && *step == Step::Unknown)
    }

    /// True if the object was not followed in all steps after frame `from` up to frame `to`.
    pub fn is_blind(&self, from: u64, to: u64) -> bool {
        let between = |id: &u64| from < *id && *id <= to;
        self.steps.iter().any(|(id, step)| between(id) && step.is_blind())
    }
}
