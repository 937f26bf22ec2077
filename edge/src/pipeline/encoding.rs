//! The thread that runs the encoder on the newest frame; it does no I/O.

use std::sync::Arc;
use std::time::{Duration, Instant};

use medsa_sam::image::Geometry;
use medsa_wire::Stage;

use super::bell::Bell;
use super::error::Error;
use super::following::FollowedFrame;
use super::segmenter::Segmenter;
use super::slot::{Network, Slot};
use crate::config::Pace;
use crate::mailbox::Mailbox;
use crate::meter::{Counter, Meter};
use crate::watchdog::Beat;
use medsa_engine::frame_view;

/// An encoded frame, ready for the decoder.
pub(super) struct Encoded<S: Segmenter> {
    pub seen: Arc<FollowedFrame>,
    pub embedding: S::Embedding,
    pub geometry: Geometry,
    /// The network that made the embedding; no other can decode it.
    pub network: Arc<Network<S>>,
}

/// Encodes frames of `seen` until it ends. `bell` is rung for each frame and at the end.
pub(super) fn run<S: Segmenter>(
    slot: &Slot<S>,
    pace: Pace,
    seen: &Mailbox<Arc<FollowedFrame>>,
    encoded: &Mailbox<Encoded<S>>,
    bell: &Bell,
    beat: &Beat,
    meter: &Meter,
) {
    let mut throttle = Throttle { skipped: 0, until: Instant::now() };
    while let Some(seen) = seen.take() {
        // With every-frame pace no frame is skipped.
        let encode_every = if pace == Pace::Live { slot.encode_every() } else { 1 };
        if throttle.skips(encode_every) && !seen.wanted {
            meter.count(Counter::ReplacedBeforeEncoder);
            continue;
        }
        let frame_id = seen.captured.frame_id;
        let turn = slot.turn();
        let _work = beat.work();
        let begun = Instant::now();
        let frame = encode(slot.current(), seen, meter);
        drop(turn);
        throttle.ran(begun.elapsed(), encode_every);
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

/// Skips frames on a degraded device. Between two encoded frames it skips at least N - 1, and more
/// while the encoder rests for N - 1 times its last run.
struct Throttle {
    skipped: u32,
    until: Instant,
}

impl Throttle {
    fn skips(&mut self, encode_every: u32) -> bool {
        let rests =
            self.skipped + 1 < encode_every || (encode_every > 1 && Instant::now() < self.until);
        self.skipped = if rests { self.skipped + 1 } else { 0 };
        rests
    }

    fn ran(&mut self, took: Duration, encode_every: u32) {
        self.until = Instant::now() + took * (encode_every - 1);
    }
}

fn encode<S: Segmenter>(
    network: Arc<Network<S>>,
    seen: Arc<FollowedFrame>,
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
    fn one_of_n_frames_is_encoded_and_none_while_the_encoder_rests() {
        let mut throttle = Throttle { skipped: 0, until: Instant::now() };
        for (encode_every, expected) in [(1, "EEEEEE"), (2, "sEsEsE"), (4, "sssEsssE")] {
            let skipped: String = expected
                .chars()
                .map(|_| if throttle.skips(encode_every) { 's' } else { 'E' })
                .collect();
            assert_eq!(skipped, expected, "one of {encode_every}");
        }
        throttle.ran(Duration::from_secs(3600), 2);
        assert!((0..100).all(|_| throttle.skips(2)));
        assert!(!throttle.skips(1));
    }
}
