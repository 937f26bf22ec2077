//! The thread that runs the encoder on the newest frame: no I/O.

use std::sync::Arc;
use std::time::{Duration, Instant};

use medsa_sam::image::Geometry;
use medsa_wire::Stage;

use super::bell::Bell;
use super::error::Error;
use super::following::Seen;
use super::segmenter::Segmenter;
use super::slot::{Network, Slot};
use crate::config::Pace;
use crate::mailbox::Mailbox;
use crate::meter::{Counter, Meter};
use crate::watchdog::Beat;
use medsa_engine::frame_view;

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
    let mut sparing = Sparing { spared: 0, until: Instant::now() };
    while let Some(seen) = seen.take() {
        // A recording waits for every frame.
        let one_of = if pace == Pace::Live { slot.one_of() } else { 1 };
        if sparing.spares(one_of) {
            meter.count(Counter::ReplacedBeforeEncoder);
            continue;
        }
        let frame_id = seen.captured.frame_id;
        let turn = slot.turn();
        let _work = beat.work();
        let begun = Instant::now();
        let frame = encode(slot.current(), seen, meter);
        drop(turn);
        sparing.ran(begun.elapsed(), one_of);
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

/// Which frames a degraded device leaves to following: all but one of so many, and so many that
/// the encoder rests in proportion, where frames come faster than it can take them.
struct Sparing {
    spared: u32,
    until: Instant,
}

impl Sparing {
    fn spares(&mut self, one_of: u32) -> bool {
        let rests = self.spared + 1 < one_of || (one_of > 1 && Instant::now() < self.until);
        self.spared = if rests { self.spared + 1 } else { 0 };
        rests
    }

    fn ran(&mut self, took: Duration, one_of: u32) {
        self.until = Instant::now() + took * (one_of - 1);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_one_of_so_many_frames_are_spared_and_more_while_the_encoder_rests() {
        let mut sparing = Sparing { spared: 0, until: Instant::now() };
        for (one_of, expected) in [(1, "EEEEEE"), (2, "sEsEsE"), (4, "sssEsssE")] {
            let spared: String =
                expected.chars().map(|_| if sparing.spares(one_of) { 's' } else { 'E' }).collect();
            assert_eq!(spared, expected, "one of {one_of}");
        }
        sparing.ran(Duration::from_secs(3600), 2);
        assert!((0..100).all(|_| sparing.spares(2)));
        assert!(!sparing.spares(1));
    }
}
