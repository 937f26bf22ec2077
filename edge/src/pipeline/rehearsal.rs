//! The pipeline without threads and clock: the caller says when a frame arrives and when its
//! encoder run ends. Measurements of following use it, so that the machine's speed plays no part.

use std::sync::Arc;

use medsa_frames::Frame;
use medsa_sam::mask::CleanUp;

use super::bell::Bell;
use super::decoding::predict;
use super::error::Error;
use super::following::move_objects;
use super::object::{RequestedFrame, Shown};
use super::objects::{Change, Objects};
use super::segmenter::Segmenter;
use crate::config::Following;
use crate::follow::Pyramid;
use medsa_engine::frame_view;
use medsa_wire::topic::ObjectId;

/// Objects on a sequence of frames.
pub struct Rehearsal {
    objects: Objects,
    before: Option<Arc<Pyramid>>,
}

impl Default for Rehearsal {
    fn default() -> Self {
        Self { objects: Objects::new(Arc::new(Bell::default()), Following::On), before: None }
    }
}

impl Rehearsal {
    /// Changes the prompt of an object, in pixels of the newest frame.
    ///
    /// # Errors
    /// As [`Objects::change`].
    pub fn change(&self, object: ObjectId, change: Change) -> Result<(), Error> {
        self.objects.change(object, change)
    }

    /// A frame arrives: its pyramid, and its width and height. Returns the numbers and masks of the
    /// objects shown on it.
    pub fn arrive(
        &mut self,
        frame_id: u64,
        pyramid: &Arc<Pyramid>,
        size: (usize, usize),
    ) -> Vec<(u8, Shown)> {
        self.objects.fit(size, |_, _| {});
        let shown = match self.before.replace(pyramid.clone()) {
            Some(before) => move_objects(&before, pyramid, frame_id, &self.objects),
            None => Vec::new(),
        };
        let shown = shown.into_iter().map(|moved| (moved.object, moved.shown)).collect();
        self.objects.followed(frame_id, pyramid.clone());
        shown
    }

    /// The encoder run of a frame that arrived, with its number and capture time, ends.
    ///
    /// # Errors
    /// Errors of the runtime.
    pub fn encoded<S: Segmenter>(
        &self,
        (frame_id, captured_us): (u64, u64),
        frame: &Frame,
        segmenter: &S,
        embedding: &S::Embedding,
    ) -> Result<(), Error> {
        let geometry = segmenter.preprocess().geometry(frame_view(frame)?.size());
        let features = segmenter.features(embedding);
        let mut clean_up = CleanUp::default();
        let at = RequestedFrame { frame_id, captured_us, build: [0; 32] };
        let side = segmenter.mask_side_px();
        for object in self.objects.to_decode(frame_id, &geometry, side, features) {
            let Some(request) = &object.request else { continue };
            let number = object.number();
            let predictions =
                predict(segmenter, embedding, &geometry, number, request, &mut clean_up)?;
            self.objects.evaluate(&object, at, predictions, features, geometry);
        }
        Ok(())
    }

    /// Numbers and masks of the objects shown on the newest frame.
    pub fn shown(&self) -> Vec<(u8, Shown)> {
        self.objects.shown()
    }
}
