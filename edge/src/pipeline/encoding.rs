//! The thread that runs the encoder on the newest frame: no I/O.

use std::sync::Arc;
use std::time::Instant;

use medsa_sam::image::Geometry;
use medsa_wire::Stage;

use super::Segmenter;
use super::bell::Bell;
use super::following::Seen;
use super::mailbox::Mailbox;
use super::meter::{Counter, Meter};
use super::slot::{Network, Slot};
use crate::config::Pace;
use crate::error::Error;
use crate::source::frame_view;
use crate::watchdog::Beat;

/// A frame as the decoder needs it.
pub(super) struct Encoded<S: Segmenter> {
    pub seen: Arc<Seen>,
    pub embedding: S::Embedding,
    pub geometry: Geometry,
    /// The only one that understands the embedding.
    pub network: Arc<Network<S>>,
}

/// Encodes what comes in `seen` until it ends. `bell` is rung for each frame, and at the end.
pub(super) fn run<S: Segmenter>(
    slot: &Slot<S>,
    pace: Pace,
    seen: &Mailbox<Arc<Seen>>,
    encoded: &Mailbox<Encoded<S>>,
    bell: &Bell,
    beat: &Beat,
    meter: &Meter,
) {
    while let Some(seen) = seen.take() {
        let frame_id = seen.captured.frame_id;
        let turn = slot.turn();
        let _work = beat.work();
        let frame = encode(slot.current(), seen, meter);
        drop(turn);
        match frame {
            Ok(frame) => {
                if beat.wait(|| encoded.pass(frame, pace)).is_some() {
                    meter.count(Counter::ReplacedBeforeDecoder);
                }
                bell.ring();
            }
            Err(error) => {
                meter.count(Counter::FramesFailed);
                tracing::warn!("frame {frame_id} not segmented: {error}");
            }
        }
    }
    encoded.finish();
    bell.ring();
}

fn encode<S: Segmenter>(
    network: Arc<Network<S>>,
    seen: Arc<Seen>,
    meter: &Meter,
) -> Result<Encoded<S>, Error> {
    let segmenter = &network.segmenter;
    let begun = Instant::now();
    let (image, geometry) = segmenter.preprocess().run(frame_view(&seen.captured.frame)?);
    meter.record(Stage::Preprocess, begun.elapsed());
    let begun = Instant::now();
    let embedding = segmenter.encode(&image)?;
    meter.record(Stage::Encoder, begun.elapsed());
    Ok(Encoded { seen, embedding, geometry, network })
}
