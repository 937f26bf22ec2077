//! The thread that runs the decoder: for every encoded frame, and again on the same frame when a
//! prompt changes. It does no I/O.

use std::time::Instant;

use medsa_sam::image::Geometry;
use medsa_sam::mask::CleanUp;
use medsa_sam::prompt::Prompt;
use medsa_wire::Stage;

use super::bell::Bell;
use super::describe;
use super::encoding::Encoded;
use super::error::Error;
use super::object::{Prediction, PredictionRequest, RequestedFrame, Verdict};
use super::objects::{Activity, ObjectToDecode, Objects};
use super::output::{Closed, Output, Ready};
use super::recent::ShotObject;
use super::segmenter::Segmenter;
use crate::mailbox::{Mailbox, Polled};
use crate::meter::{Counter, Meter};

/// Decodes until frames end or the receiver of masks is gone.
pub(super) fn run<S: Segmenter>(
    encoded: &Mailbox<Encoded<S>>,
    objects: &Objects,
    bell: &Bell,
    output: &Output,
    meter: &Meter,
) -> Result<(), Closed> {
    let mut heard = 0;
    let mut current: Option<Encoded<S>> = None;
    let mut clean_up = CleanUp::default();
    // Newest prompt revision decoded on the current frame.
    let mut decoded_revision = 0;
    // True while nothing was decoded on the current frame, because it arrived during a pause.
    let mut undecoded = false;
    loop {
        let polled = encoded.poll();
        if undecoded && !matches!(polled, Polled::Nothing) {
            meter.count(Counter::FramesPaused);
            undecoded = false;
        }
        match polled {
            Polled::Item(frame) => {
                undecoded = true;
                current = Some(frame);
                decoded_revision = 0;
            }
            Polled::Nothing => heard = bell.wait(heard),
            Polled::Ended => return Ok(()),
        }
        let Some(frame) = &current else { continue };
        if objects.activity() == Activity::Paused {
            continue;
        }
        let _work = output.beat.work();
        let captured = &frame.seen.captured;
        let side = frame.network.segmenter.mask_side_px();
        let features = frame.network.segmenter.features(&frame.embedding);
        let to_decode = objects.to_decode(captured.frame_id, &frame.geometry, side, features);
        let mut failed = false;
        for object in to_decode.iter().filter(|object| object.revision() > decoded_revision) {
            let _work = output.beat.work();
            match decode(frame, object, objects, &mut clean_up, meter) {
                Ok(Some(ready)) => {
                    output.send(captured, ready, Some(&frame.network.build), meter)?;
                }
                Ok(None) => {}
                Err(error) => {
                    meter.count(Counter::PredictionsFailed);
                    failed = true;
                    let (object, frame_id) = (object.number(), captured.frame_id);
                    tracing::warn!("object {object} not segmented on frame {frame_id}: {error}");
                }
            }
        }
        if std::mem::take(&mut undecoded) {
            let end = if failed { Counter::FramesFailed } else { Counter::FramesSegmented };
            meter.count(end);
        }
        output.recent.segmented(&frame.network.build);
        let newest = to_decode.iter().map(ObjectToDecode::revision).max().unwrap_or(0);
        decoded_revision = decoded_revision.max(newest);
    }
}

/// Decodes one object on one frame; `None` if there is nothing to publish.
fn decode<S: Segmenter>(
    frame: &Encoded<S>,
    to_decode: &ObjectToDecode,
    objects: &Objects,
    clean_up: &mut CleanUp,
    meter: &Meter,
) -> Result<Option<Ready>, Error> {
    let captured = &frame.seen.captured;
    let object = to_decode.number();
    let Some(request) = &to_decode.request else {
        let Some(reason) = to_decode.lost else { return Ok(None) };
        let message = describe::lost(captured, object, reason)?;
        return Ok(Some(Ready { message, object: None }));
    };
    let segmenter = &frame.network.segmenter;
    let begun = Instant::now();
    let predictions =
        predict(segmenter, &frame.embedding, &frame.geometry, object, request, clean_up)?;
    meter.record(Stage::Decoder, begun.elapsed());
    let features = segmenter.features(&frame.embedding);
    let at = RequestedFrame {
        frame_id: captured.frame_id,
        captured_us: captured.captured_us,
        build: frame.network.build.sha256,
    };
    let outcome = objects.evaluate(to_decode, at, predictions, features, frame.geometry);
    let Some(outcome) = outcome else { return Ok(None) };
    let begun = Instant::now();
    let frame_id = captured.frame_id;
    let ready = match outcome.verdict {
        Verdict::Found { mask: shown, prompt } => {
            let message = describe::mask(captured, object, true, &shown)?;
            let prompt = request.prompts[prompt].clone();
            Ready::new(message, ShotObject { frame_id, segmented: true, prompt, shown })
        }
        Verdict::Uncertain(shown) => {
            let message = describe::mask(captured, object, false, &shown)?;
            // Invariant: a request has a prompt.
            let prompt = request.prompts[0].clone();
            Ready::new(message, ShotObject { frame_id, segmented: false, prompt, shown })
        }
        Verdict::Lost(reason) => {
            Ready { message: describe::lost(captured, object, reason)?, object: None }
        }
    };
    meter.record(Stage::Postprocess, begun.elapsed());
    if let Some(since) = outcome.pending_since {
        meter.record(Stage::PromptToMask, since.elapsed());
    }
    Ok(Some(ready))
}

/// Predictions for all prompts of a request, cleaned up.
///
/// # Errors
/// [`Error::Score`] if a score is not a number, or errors of the runtime.
pub(super) fn predict<S: Segmenter>(
    segmenter: &S,
    embedding: &S::Embedding,
    geometry: &Geometry,
    object: u8,
    request: &PredictionRequest,
    clean_up: &mut CleanUp,
) -> Result<Vec<Prediction>, Error> {
    let predict = |(number, prompt): (usize, &Prompt)| {
        let decoded = segmenter.decode(embedding, &prompt.tokens(geometry))?;
        let (logits, score) = decoded.single();
        if !score.is_finite() {
            return Err(Error::Score { score, object });
        }
        let mut logits = logits.to_owned();
        clean_up.run(&mut logits, geometry, prompt);
        Ok(Prediction { prompt: number, logits, score })
    };
    request.prompts.iter().enumerate().map(predict).collect()
}
