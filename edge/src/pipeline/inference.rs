//! The inference thread: frames in, masks out, no I/O.

use std::time::Instant;

use medsa_sam::image::{Geometry, Preprocess};
use medsa_sam::prompt::{Prompt, PromptTokens};
use medsa_wire::{Mask, MaskMessage, MaskState, Stage};
use ndarray::{Array4, s};
use tokio::sync::mpsc;

use super::mailbox::Mailbox;
use super::meter::{Counter, Meter};
use super::prompts::{Activity, Prompts};
use crate::config::Pace;
use crate::engine::{Decoded, Embedding, Engine};
use crate::error::Error;
use crate::source::{Captured, frame_view};

/// What turns frames and prompts into masks: the engine, or a stand-in whose pace a test sets.
pub trait Segmenter: Send + 'static {
    /// What the encoder makes of a frame.
    type Embedding;

    /// From a frame to the encoder's input.
    fn preprocess(&self) -> &Preprocess;

    /// The embedding of an image `[1, 3, S, S]`.
    ///
    /// # Errors
    /// The runtime's.
    fn encode(&mut self, image: &Array4<f32>) -> Result<Self::Embedding, Error>;

    /// Masks for one prompt.
    ///
    /// # Errors
    /// The runtime's.
    fn decode(
        &mut self,
        embedding: &Self::Embedding,
        prompt: &PromptTokens,
    ) -> Result<Decoded, Error>;
}

impl Segmenter for Engine {
    type Embedding = Embedding;

    fn preprocess(&self) -> &Preprocess {
        self.preprocess()
    }

    fn encode(&mut self, image: &Array4<f32>) -> Result<Embedding, Error> {
        Engine::encode(self, image)
    }

    fn decode(&mut self, embedding: &Embedding, prompt: &PromptTokens) -> Result<Decoded, Error> {
        Engine::decode(self, embedding, prompt, None)
    }
}

/// A mask that waits for the broker.
#[derive(Debug)]
pub struct Ready {
    /// When its frame was captured.
    pub captured: Instant,
    /// The message; its age is filled in when it leaves.
    pub message: Box<MaskMessage>,
}

/// Segments what comes in `mailbox` until it ends or nobody wants masks any more.
pub(super) fn run(
    mut segmenter: impl Segmenter,
    pace: Pace,
    mailbox: &Mailbox<Captured>,
    prompts: &Prompts,
    meter: &Meter,
    output: &mpsc::Sender<Ready>,
) {
    while let Some(captured) = mailbox.take() {
        if prompts.activity() == Activity::Paused {
            meter.count(Counter::FramesDropped);
            continue;
        }
        let masks = match segment(&mut segmenter, &captured, prompts, meter) {
            Ok(masks) => masks,
            Err(error) => {
                meter.count(Counter::FramesFailed);
                tracing::warn!("frame {} not segmented: {error}", captured.frame_id);
                continue;
            }
        };
        for message in masks {
            meter.count(Counter::MasksOut);
            let ready = Ready { captured: captured.captured, message };
            let sent = match pace {
                Pace::Live => output.try_send(ready),
                // Waits for room, so that nothing of a recording is lost.
                Pace::EveryFrame => {
                    output.blocking_send(ready).map_err(|e| mpsc::error::TrySendError::Closed(e.0))
                }
            };
            match sent {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(_)) => meter.count(Counter::PublishDropped),
                Err(mpsc::error::TrySendError::Closed(_)) => return mailbox.stop(),
            }
        }
    }
}

/// The masks of all objects on one frame.
fn segment(
    segmenter: &mut impl Segmenter,
    captured: &Captured,
    prompts: &Prompts,
    meter: &Meter,
) -> Result<Vec<Box<MaskMessage>>, Error> {
    let frame = &captured.frame;
    let view = frame_view(frame)?;
    let prompts = prompts.for_frame(view.size(), |object, error| {
        meter.count(Counter::MessagesRefused);
        tracing::warn!("prompt of object {object} removed: {error}");
    });
    if prompts.is_empty() {
        return Ok(Vec::new());
    }
    let mut lap = Lap { meter, begun: Instant::now() };
    let (image, geometry) = segmenter.preprocess().run(view);
    lap.end(Stage::Preprocess);
    let embedding = segmenter.encode(&image)?;
    lap.end(Stage::Encoder);
    let decode = |(object, prompt): &(u8, Prompt)| {
        let decoded = segmenter.decode(&embedding, &prompt.tokens(&geometry))?;
        Ok((*object, decoded))
    };
    let decoded = prompts.iter().map(decode).collect::<Result<Vec<_>, Error>>()?;
    lap.end(Stage::Decoder);
    let message = |(object, decoded): &(u8, Decoded)| {
        message(captured, *object, decoded, &geometry).map(Box::new)
    };
    let messages = decoded.iter().map(message).collect();
    lap.end(Stage::Postprocess);
    messages
}

fn message(
    captured: &Captured,
    object: u8,
    decoded: &Decoded,
    geometry: &Geometry,
) -> Result<MaskMessage, Error> {
    let (logits, score) = decoded.single();
    if !score.is_finite() {
        return Err(Error::Score { score, object });
    }
    let (height, width) = logits.dim();
    let (part_width, part_height) = geometry.mask_size((width, height));
    let part = logits.slice(s![..part_height, ..part_width]);
    let cells = part.iter().map(|&logit| logit > 0.0);
    let mask = Mask::from_bits(side(part_width), side(part_height), cells)?;
    let area = geometry.mask_in_frame(logits).iter().filter(|&&inside| inside).count();
    Ok(MaskMessage {
        frame_id: captured.frame_id,
        captured_us: captured.captured_us,
        age_us: 0,
        object,
        state: MaskState::Segmented,
        score,
        frame_width_px: side(geometry.frame.0),
        frame_height_px: side(geometry.frame.1),
        area_px: u32::try_from(area).unwrap_or(u32::MAX),
        mask,
    })
}

/// A side that is too long for a message becomes 0, which the message's own check refuses.
fn side(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(0)
}

/// Time since the last stage ended.
struct Lap<'a> {
    meter: &'a Meter,
    begun: Instant,
}

impl Lap<'_> {
    fn end(&mut self, stage: Stage) {
        let now = Instant::now();
        self.meter.record(stage, now - self.begun);
        self.begun = now;
    }
}
