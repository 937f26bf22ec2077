//! Counters: every frame and every mask ends in exactly one way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use medsa_edge::config::{CineConfig, Following, Intake, Pace};
use medsa_edge::meter::{Counter, Meter};
use medsa_edge::pipeline::{
    self, Activity, Bell, Capacity, Change, Network, Objects, Pipeline, Segmenter, Slot,
};
use medsa_edge::source::{self, Event, Player, Received, Source};
use medsa_engine::{Decoded, MASKS};
use medsa_frames::Frame;
use medsa_sam::image::Preprocess;
use medsa_sam::prompt::{Point, PromptTokens};
use medsa_wire::topic::ObjectId;
use ndarray::{Array3, Array4, ArrayView3};

use crate::harness::{LIMIT, wait_until};
use crate::tiny::{PREPROCESS, SIDE};

/// All ways in which a frame can end.
const ENDS: [Counter; 7] = [
    Counter::FramesSegmented,
    Counter::FramesFailed,
    Counter::FramesMissed,
    Counter::ReplacedBeforeFollow,
    Counter::ReplacedBeforeEncoder,
    Counter::ReplacedBeforeDecoder,
    Counter::FramesPaused,
];

#[test]
fn every_frame_and_mask_is_counted_exactly_once() {
    let bell = Arc::new(Bell::default());
    let objects = Arc::new(Objects::new(bell.clone(), Following::On));
    objects.fit((SIDE, SIDE), |_, _| {});
    let points = vec![Point { x: 8.0, y: 8.0, positive: true }];
    objects.change(ObjectId::new(0).unwrap(), Change::Set { points, bbox: None }).unwrap();
    let (meter, ended) = (Arc::new(Meter::new()), Arc::new(AtomicBool::new(false)));
    let source = Flood {
        played: 0,
        until: Instant::now() + LIMIT,
        objects: objects.clone(),
        meter: meter.clone(),
        ended: ended.clone(),
    };
    let player = Player::new(Box::new(source), Pace::Live, Intake::default());
    let network = Slow { meter: meter.clone(), ended, runs: AtomicU64::new(0) };
    let slot =
        Slot::new(Network { segmenter: network, build: Arc::default(), manifest: None }, None);
    let (pipeline, mut masks) = Pipeline::start(
        player,
        slot,
        objects,
        bell,
        meter.clone(),
        Capacity { masks: 4, cine: CineConfig::default() },
    )
    .unwrap();
    pipeline.join().unwrap();

    let counts = ENDS.map(|end| (end, meter.get(end)));
    assert!(counts.iter().all(|(_, count)| *count > 0), "not every way occurred: {counts:?}");
    let ended: u64 = counts.iter().map(|(_, count)| count).sum();
    assert_eq!(meter.get(Counter::FramesIn), ended, "{counts:?}");
    let mut waiting = 0;
    while masks.try_recv().is_ok() {
        waiting += 1;
    }
    assert_eq!(meter.get(Counter::MasksOut), waiting + meter.get(Counter::MasksDropped));
    let dropped = meter.counts().frames_dropped().total();
    let [received, segmented, failed] =
        [Counter::FramesIn, Counter::FramesSegmented, Counter::FramesFailed].map(|c| meter.get(c));
    assert_eq!(received, segmented + failed + dropped);
}

/// A source that does not wait, misses and damages some frames, and is paused now and then. It ends
/// when frames have ended in every way.
struct Flood {
    played: u64,
    until: Instant,
    objects: Arc<Objects>,
    meter: Arc<Meter>,
    ended: Arc<AtomicBool>,
}

impl Source for Flood {
    fn next(&mut self, _: Duration) -> Event {
        self.played += 1;
        let complete = ENDS.iter().all(|&end| self.meter.get(end) > 0);
        if complete || Instant::now() > self.until {
            self.objects.set_activity(Activity::Running);
            self.ended.store(true, Ordering::Relaxed);
            return Event::Ended;
        }
        match self.played % 100 {
            0 => self.objects.set_activity(Activity::Paused),
            5 => self.objects.set_activity(Activity::Running),
            _ => {}
        }
        if self.played % 10 == 7 {
            return Event::Damaged(source::Error::DamagedFrame { reason: "a hole".into() });
        }
        let side = SIDE as u32;
        let rgb = vec![7; SIDE * SIDE * 3];
        let frame = Frame { width: side, height: side, rgb, pixel_spacing_mm: None };
        let missed = if self.played % 10 == 3 { 2 } else { 0 };
        Event::Frame(Received { frame, captured: Instant::now(), source_us: None, missed })
    }
}

/// A network that is slow enough for frames to be replaced, and fails now and then.
struct Slow {
    meter: Arc<Meter>,
    ended: Arc<AtomicBool>,
    runs: AtomicU64,
}

impl Slow {
    /// Waits until `counter` has increased.
    fn outwait(&self, counter: Counter) {
        let before = self.meter.get(counter);
        wait_until("others pass by", || {
            self.meter.get(counter) > before || self.ended.load(Ordering::Relaxed)
        });
    }

    fn fails(&self) -> bool {
        self.runs.fetch_add(1, Ordering::Relaxed) % 3 == 2
    }
}

impl Segmenter for Slow {
    type Embedding = ();

    fn preprocess(&self) -> &Preprocess {
        &PREPROCESS
    }

    fn mask_side_px(&self) -> usize {
        SIDE
    }

    fn features<'a>(&self, _: &'a ()) -> Option<ArrayView3<'a, f32>> {
        None
    }

    fn encode(&self, _: &Array4<f32>) -> Result<(), pipeline::Error> {
        self.outwait(Counter::ReplacedBeforeEncoder);
        if self.fails() {
            Err(pipeline::Error::Score { score: f32::NAN, object: 0 })
        } else {
            Ok(())
        }
    }

    fn decode(&self, (): &(), _: &PromptTokens) -> Result<Decoded, pipeline::Error> {
        self.outwait(Counter::ReplacedBeforeDecoder);
        let iou = [if self.fails() { f32::NAN } else { 0.5 }; MASKS];
        Ok(Decoded { masks: Array3::ones((MASKS, SIDE, SIDE)), iou })
    }
}
