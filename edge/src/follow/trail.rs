//! Pyramids of the last frames, to follow a structure back in time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Motion, Pyramid, follow};

/// Number of frames kept: three seconds at 20 fps, about 6 MB.
const KEPT: usize = 60;

/// Pyramids of the last frames, by frame number.
#[derive(Default)]
pub struct Trail {
    frames: Mutex<VecDeque<(u64, Arc<Pyramid>)>>,
}

impl Trail {
    /// Adds the newest frame.
    pub fn push(&self, frame_id: u64, pyramid: Arc<Pyramid>) {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        if frames.len() == KEPT {
            frames.pop_front();
        }
        frames.push_back((frame_id, pyramid));
    }

    /// A frame, if it is still kept.
    pub fn frame(&self, frame_id: u64) -> Option<Arc<Pyramid>> {
        let frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        frames.iter().find(|(id, _)| *id == frame_id).map(|(_, frame)| frame.clone())
    }

    /// Follows the structure under `points` of frame `to` back to the earlier frame `from`. For
    /// each frame after `from` up to `to`, oldest first, returns its number and the motion to it
    /// from the previous one. `None` if a frame is no longer kept or following fails.
    pub fn back(&self, to: u64, from: u64, points: &[[f32; 2]]) -> Option<Vec<(u64, Motion)>> {
        let frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        let between: Vec<_> =
            frames.iter().filter(|(id, _)| (from..=to).contains(id)).cloned().collect();
        drop(frames);
        let (first, last) = (between.first()?.0, between.last()?.0);
        if (first, last) != (from, to) {
            return None;
        }
        let mut points = points.to_vec();
        let mut steps = Vec::new();
        for pair in between.windows(2).rev() {
            let [(_, earlier), (id, later)] = pair else { continue };
            let back = follow(later, earlier, &points, &Motion::NONE)?;
            points.iter_mut().for_each(|point| *point = back.apply(*point));
            steps.push((*id, back.inverse()));
        }
        steps.reverse();
        Some(steps)
    }
}
