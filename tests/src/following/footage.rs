//! Frames with everything that does not depend on prompts, and their play.

use std::cell::OnceCell;
use std::sync::Arc;

use medsa_edge::follow::Pyramid;
use medsa_edge::pipeline::{Change, Rehearsal, Shown};
use medsa_engine::{Embedding, Engine, frame_view};
use medsa_frames::Frame;
use medsa_wire::MaskState;
use medsa_wire::topic::ObjectId;
use ndarray::Array2;

use super::Error;

/// Frames, with their embeddings as far as they were needed.
pub struct Footage<'a> {
    engine: &'a Engine,
    frames: Vec<(Frame, Arc<Pyramid>, OnceCell<Embedding>)>,
}

/// Order and speed of the frames, and the prompt.
#[derive(Clone, Copy)]
pub struct Play<'a> {
    /// Indices of the frames, in the order in which they arrive.
    pub order: &'a [usize],
    /// Duration of an encoder run in frames; 0 if every frame is encoded before it is shown.
    pub encoder_frames: usize,
    /// Frames per second.
    pub rate: usize,
    /// Prompt on the first frame.
    pub prompt: &'a Change,
}

/// Mask and state of an object on the screen while a frame is shown.
pub struct Seen {
    /// Mask `[H, W]`.
    pub mask: Array2<bool>,
    /// True if the object is marked as uncertain.
    pub uncertain: bool,
}

impl<'a> Footage<'a> {
    /// Prepares frames.
    ///
    /// # Errors
    /// A frame is not consistent.
    pub fn new(engine: &'a Engine, frames: Vec<Frame>) -> Result<Self, Error> {
        let prepare = |frame: Frame| {
            let pyramid = Arc::new(Pyramid::new(frame_view(&frame)?));
            Ok((frame, pyramid, OnceCell::new()))
        };
        Ok(Self { engine, frames: frames.into_iter().map(prepare).collect::<Result<_, Error>>()? })
    }

    /// The frames.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// True if there are no frames.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Plays frames and returns what is shown on each of them.
    ///
    /// # Errors
    /// The prompt does not fit, or errors of the engine.
    pub fn play(&self, play: Play) -> Result<Vec<Option<Seen>>, Error> {
        let object = ObjectId::new(0)?;
        let mut rehearsal = Rehearsal::default();
        let mut seen = Vec::new();
        let mut running: Option<usize> = None;
        for (time, &index) in play.order.iter().enumerate() {
            let (frame, pyramid, _) = &self.frames[index];
            let size = (frame.width as usize, frame.height as usize);
            let mut now = rehearsal.arrive(time as u64, pyramid, size).pop();
            if time == 0 {
                rehearsal.change(object, play.prompt.clone())?;
            }
            if running.is_none_or(|begun| begun + play.encoder_frames <= time) {
                let done = if play.encoder_frames == 0 { Some(time) } else { running };
                if let Some(done) = done {
                    let at = play.order[done];
                    let frame = &self.frames[at].0;
                    let taken = (done as u64, (1_000_000 * done / play.rate) as u64);
                    rehearsal.encoded(taken, frame, self.engine, self.embedding(at)?)?;
                    if play.encoder_frames == 0 {
                        now = rehearsal.shown().pop();
                    }
                }
                running = Some(time);
            }
            seen.push(now.map(|(_, shown)| Seen::of(&shown)));
        }
        Ok(seen)
    }

    /// Result of a prompt alone on one frame.
    ///
    /// # Errors
    /// As [`Footage::play`].
    pub fn single(&self, frame: usize, prompt: &Change) -> Result<Option<Seen>, Error> {
        let play = Play { order: &[frame], encoder_frames: 0, rate: 1, prompt };
        Ok(self.play(play)?.pop().flatten())
    }

    fn embedding(&self, index: usize) -> Result<&Embedding, Error> {
        let (frame, _, embedding) = &self.frames[index];
        if embedding.get().is_none() {
            let image = self.engine.preprocess().run(frame_view(frame)?).0;
            // It was empty.
            let _ = embedding.set(self.engine.encode(&image)?);
        }
        Ok(embedding.get().expect("it was set"))
    }
}

impl Seen {
    fn of(shown: &Shown) -> Self {
        let logits = shown.geometry.logits_in_frame(shown.logits.view());
        Self {
            mask: logits.mapv(|logit| logit > 0.0),
            uncertain: shown.state == MaskState::Uncertain,
        }
    }
}
