//! Frames segmented by a slow network; the test controls its pace.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use medsa_edge::config::{CineConfig, Following, Intake, Pace};
use medsa_edge::meter::{Counter, Meter};
use medsa_edge::pipeline::{
    self, Activity, Bell, Capacity, Change, CineExtent, Network, NotShown, Objects, Pipeline,
    QueuedMask, Segmenter, Slot,
};
use medsa_edge::source::{self, Event, Player, Received, Source};
use medsa_edge::watchdog::Stuck;
use medsa_engine::{Decoded, MASKS};
use medsa_frames::Frame;
use medsa_sam::image::Preprocess;
use medsa_sam::prompt::{Point, PromptTokens};
use medsa_wire::topic::ObjectId;
use medsa_wire::{Cause, Degradation};
use ndarray::{Array3, Array4, ArrayView3};

use crate::harness::{LIMIT, wait_until};
use crate::tiny::{PREPROCESS, SIDE};

#[test]
fn newest_frame_is_segmented_and_others_are_counted() {
    let mut bench = Bench::start(Pace::Live, 8);
    bench.frames(1);
    bench.wait_until_encoding();
    // These five arrive while frame 0 is being encoded; only the last remains.
    bench.frames(5);
    bench.wait_until_dropped(4);
    bench.release();
    assert_eq!(bench.mask().frame_id, 0);
    bench.release();
    assert_eq!(bench.mask().frame_id, 5);
    assert_eq!(bench.meter.get(Counter::FramesIn), 6);
    assert_eq!(bench.dropped(), 4);
    bench.end();
}

#[test]
fn frames_of_the_last_seconds_are_shown_again_while_frozen() {
    let mut bench = Bench::start(Pace::Live, 8);
    let cine = bench.pipeline.cine();
    for frame_id in 0..3 {
        bench.frames(1);
        bench.wait_until_encoding();
        bench.release();
        while bench.mask().frame_id != frame_id {}
    }
    assert_eq!((cine.show(0), cine.extent()), (Err(NotShown::NotFrozen), None));
    bench.objects.set_activity(Activity::Frozen);
    // Dropped, but numbered.
    bench.frames(1);
    let extent = cine.extent().unwrap();
    assert_eq!((extent.frames, extent.shown), (3, 2));
    assert_eq!(cine.show(3), Err(NotShown::NoSuchFrame { number: 3, frames: 3 }));
    // A prompt of this moment goes along; it is for object 0, which then begins anew.
    bench.click(4.0);
    while bench.mask().frame_id != 2 {}
    let frame = bench.pipeline.frames();
    let captured_us = frame.borrow().as_ref().unwrap().captured.captured_us;
    cine.show(0).unwrap();
    assert_eq!(cine.extent().map(|extent: CineExtent| extent.shown), Some(0));
    let again = frame.borrow().as_ref().unwrap().captured.clone();
    assert_eq!(again.frame_id, 4);
    assert!(again.captured_us < captured_us);
    bench.wait_until_encoding();
    bench.release();
    let mask = loop {
        let mask = bench.mask();
        if mask.frame_id == 4 && mask.segmented {
            break mask;
        }
    };
    assert_eq!((mask.frame_id, mask.captured_us), (4, again.captured_us));
    // Frames go on after the last one, which is shown again first.
    bench.objects.set_activity(Activity::Running);
    bench.frames(1);
    wait_until("the next frame", || {
        frame.borrow().as_ref().unwrap().captured.captured_us > captured_us
    });
    // It had number 5, before the last one was shown again as 6.
    assert_eq!((frame.borrow().as_ref().unwrap().captured.frame_id, cine.extent()), (7, None));
    bench.release();
    bench.release();
    bench.end();
}

#[test]
fn every_frame_is_segmented_when_the_source_waits() {
    let mut bench = Bench::start(Pace::EveryFrame, 1);
    let frames: Vec<_> = (0..20).map(|_| Ok(frame())).collect();
    bench.send(frames);
    for frame_id in 0..20 {
        bench.release();
        assert_eq!(bench.mask().frame_id, frame_id);
    }
    // Counted once its masks are published.
    bench.wait_until_counted(Counter::FramesSegmented, 20);
    bench.end();
}

#[test]
fn full_queue_drops_masks_and_does_not_block() {
    let mut bench = Bench::start(Pace::Live, 1);
    for count in 1..=3 {
        bench.frames(1);
        bench.wait_until_encoding();
        bench.release();
        // So that the next frame does not replace it before the decoder.
        bench.wait_until_counted(Counter::FramesSegmented, count);
    }
    // The fourth is encoded although no mask was taken.
    bench.frames(1);
    bench.wait_until_encoding();
    bench.wait_until_counted(Counter::MasksDropped, 2);
    assert_eq!(bench.mask().frame_id, 0);
    bench.release();
    bench.end();
}

#[test]
fn unreadable_frames_are_counted_and_skipped() {
    let mut bench = Bench::start(Pace::EveryFrame, 8);
    let broken = source::Error::DamagedFrame { reason: "a hole".into() };
    bench.send(vec![Ok(frame()), Err(broken), Ok(frame())]);
    bench.release();
    bench.release();
    assert_eq!(bench.mask().frame_id, 0);
    // The unreadable frame keeps its number.
    assert_eq!(bench.mask().frame_id, 2);
    assert_eq!(bench.meter.get(Counter::FramesFailed), 1);
    bench.end();
}

#[test]
fn paused_service_drops_frames() {
    let mut bench = Bench::start(Pace::EveryFrame, 8);
    bench.objects.set_activity(Activity::Paused);
    bench.frames(3);
    bench.finish_source();
    assert!(bench.masks.blocking_recv().is_none());
    assert_eq!(bench.meter.get(Counter::FramesPaused), 3);
}

#[test]
fn prompt_is_decoded_while_the_encoder_is_busy() {
    let mut bench = Bench::start(Pace::Live, 8);
    bench.frames(1);
    bench.release();
    assert_eq!(bench.mask().frame_id, 0);
    bench.frames(1);
    bench.wait_until_encoding();
    bench.wait_until_encoding();
    bench.click(20.0);
    assert_eq!(bench.mask().frame_id, 0);
    bench.release();
    bench.end();
}

#[test]
fn frozen_frame_is_decoded_again_and_new_frames_are_dropped() {
    let mut bench = Bench::start(Pace::Live, 8);
    bench.frames(1);
    bench.release();
    assert_eq!(bench.mask().frame_id, 0);
    bench.objects.set_activity(Activity::Frozen);
    bench.frames(3);
    bench.wait_until_dropped(3);
    bench.click(20.0);
    assert_eq!(bench.mask().frame_id, 0);
    bench.objects.set_activity(Activity::Running);
    bench.frames(1);
    bench.release();
    assert_eq!(bench.mask().frame_id, 4);
    bench.end();
}

#[test]
fn degraded_device_skips_the_encoder() {
    let mut bench = Bench::start(Pace::Live, 8);
    for (level, spared) in [(1, 1), (2, 1), (3, 3), (0, 0)] {
        let degradation = Degradation { level, cause: Cause::Heat };
        bench.slot.degrade((level > 0).then_some(degradation));
        for _ in 0..3 {
            let before = bench.meter.get(Counter::ReplacedBeforeEncoder);
            let mut dropped = before;
            bench.release();
            let given_up = loop {
                // Each frame is skipped or segmented before the next, so that none is replaced.
                bench.frames(1);
                let mut mask = None;
                wait_until("the frame is skipped or segmented", || {
                    mask = bench.masks.try_recv().ok();
                    mask.is_some() || bench.meter.get(Counter::ReplacedBeforeEncoder) > dropped
                });
                if mask.is_some() {
                    break dropped - before;
                }
                dropped += 1;
            };
            // More are skipped while the encoder rests in proportion to its time.
            assert!(
                if level > 0 { given_up >= spared } else { given_up == 0 },
                "{level}: {given_up}"
            );
        }
    }
    bench.end();
}

#[test]
fn every_frame_recording_is_not_degraded() {
    let mut bench = Bench::start(Pace::EveryFrame, 1);
    bench.slot.degrade(Some(Degradation { level: 3, cause: Cause::Heat }));
    bench.send((0..5).map(|_| Ok(frame())).collect());
    for frame_id in 0..5 {
        bench.release();
        assert_eq!(bench.mask().frame_id, frame_id);
    }
    bench.end();
}

#[test]
fn pipeline_stops_while_all_stages_wait() {
    let mut bench = Bench::start(Pace::EveryFrame, 1);
    bench.send((0..5).map(|_| Ok(frame())).collect());
    bench.wait_until_encoding();
    bench.pipeline.stop();
    bench.release();
    while bench.masks.blocking_recv().is_some() {}
    bench.pipeline.join().unwrap();
}

#[test]
fn stage_that_works_too_long_is_stuck() {
    let mut bench = Bench::start(Pace::Live, 8);
    bench.frames(1);
    bench.wait_until_encoding();
    let (report, reported) = channel();
    let act = move |stuck: Stuck| report.send(stuck).unwrap();
    let limit = Duration::from_millis(50);
    let _supervisor = bench.pipeline.watch().supervise(limit, || {}, act, |_| {}).unwrap();
    let stuck = reported.recv_timeout(LIMIT).unwrap();
    assert_eq!(stuck.stage, "encoding");
    assert!(stuck.worked > limit);
    // The callback runs once.
    assert!(reported.recv().is_err());
    bench.release();
    assert_eq!(bench.mask().frame_id, 0);
    bench.end();
}

#[test]
fn waiting_stages_are_healthy() {
    let mut bench = Bench::start(Pace::EveryFrame, 1);
    bench.send((0..5).map(|_| Ok(frame())).collect());
    (0..3).for_each(|_| bench.release());
    // The first mask is not taken, so that the second has no room and all stages wait.
    bench.wait_until_counted(Counter::MasksOut, 2);
    bench.wait_until_encoding();
    bench.wait_until_encoding();
    bench.wait_until_encoding();
    let (report, reported) = channel();
    // The receiver may be gone.
    let healthy = move || _ = report.send(());
    let limit = Duration::from_millis(300);
    let act = |stuck| panic!("{stuck:?}");
    let watch = bench.pipeline.watch();
    let supervisor = watch.supervise(limit, healthy, act, |panic| panic!("{panic}")).unwrap();
    for _ in 0..8 {
        reported.recv_timeout(LIMIT).expect("no stage is stuck");
    }
    drop(supervisor);
    bench.end();
}

/// A pipeline whose frames and pace the test controls.
struct Bench {
    pipeline: Pipeline,
    masks: tokio::sync::mpsc::Receiver<QueuedMask>,
    meter: Arc<Meter>,
    objects: Arc<Objects>,
    slot: Slot<Gated>,
    frames: Option<Sender<Result<Frame, source::Error>>>,
    played: Receiver<()>,
    encoding: Receiver<()>,
    release: Sender<()>,
}

impl Bench {
    fn start(pace: Pace, queue: usize) -> Self {
        let bell = Arc::new(Bell::default());
        let objects = Arc::new(Objects::new(bell.clone(), Following::On));
        objects.fit((SIDE, SIDE), |_, _| {});
        let (frames, script) = channel();
        let (asked, played) = channel();
        let (entered, encoding) = channel();
        let (release, gate) = channel();
        let meter = Arc::new(Meter::new());
        let source = Box::new(Script { frames: script, asked });
        let player = Player::new(source, pace, Intake::default());
        let network = Gated { entered: Mutex::new(entered), gate: Mutex::new(gate) };
        let slot =
            Slot::new(Network { segmenter: network, build: Arc::default(), manifest: None }, None);
        let (known, counts) = (objects.clone(), meter.clone());
        let capacity = Capacity { masks: queue, cine: CineConfig::default() };
        let (pipeline, masks) =
            Pipeline::start(player, slot.clone(), known, bell, counts, capacity).unwrap();
        // The source waits for its first frame.
        played.recv_timeout(LIMIT).unwrap();
        let frames = Some(frames);
        let bench =
            Self { pipeline, masks, meter, objects, slot, frames, played, encoding, release };
        bench.click(8.0);
        bench
    }

    fn click(&self, x: f32) {
        let point = Point { x, y: 8.0, positive: true };
        let change = Change::Set { points: vec![point], bbox: None };
        self.objects.change(ObjectId::new(0).unwrap(), change).unwrap();
    }

    /// Waits for a counter, which other threads increment.
    fn wait_until_counted(&self, counter: Counter, count: u64) {
        let deadline = Instant::now() + LIMIT;
        while self.meter.get(counter) < count {
            assert!(Instant::now() < deadline, "{counter:?} never were {count}");
            std::thread::yield_now();
        }
    }

    /// Frames dropped by all stages; which stage drops one depends on timing.
    fn dropped(&self) -> u64 {
        self.meter.counts().frames_dropped().total()
    }

    fn wait_until_dropped(&self, count: u64) {
        wait_until("frames are dropped", || self.dropped() >= count);
    }

    /// Plays frames and returns when the source has delivered the last.
    fn frames(&mut self, count: usize) {
        for _ in 0..count {
            self.send(vec![Ok(frame())]);
            self.played.recv_timeout(LIMIT).unwrap();
        }
    }

    fn send(&mut self, frames: Vec<Result<Frame, source::Error>>) {
        let source = self.frames.as_ref().unwrap();
        frames.into_iter().for_each(|frame| source.send(frame).unwrap());
    }

    fn wait_until_encoding(&self) {
        self.encoding.recv_timeout(LIMIT).unwrap();
    }

    /// Lets one frame through the network.
    fn release(&self) {
        self.release.send(()).unwrap();
    }

    fn mask(&mut self) -> Box<medsa_wire::MaskMessage> {
        self.masks.blocking_recv().unwrap().message
    }

    fn finish_source(&mut self) {
        self.frames = None;
    }

    fn end(mut self) {
        self.finish_source();
        drop(self.release);
        while self.masks.blocking_recv().is_some() {}
        self.pipeline.join().unwrap();
    }
}

/// A source that plays what the test sends, and reports each request for more.
struct Script {
    frames: Receiver<Result<Frame, source::Error>>,
    asked: Sender<()>,
}

impl Source for Script {
    fn next(&mut self, _: Duration) -> Event {
        // The receiver may be gone.
        let _ = self.asked.send(());
        match self.frames.recv() {
            Ok(Ok(frame)) => {
                let captured = Instant::now();
                Event::Frame(Received { frame, captured, source_us: None, missed: 0 })
            }
            Ok(Err(error)) => Event::Damaged(error),
            Err(_) => Event::Ended,
        }
    }
}

/// A network that reports each frame it gets and holds it until the test releases it.
struct Gated {
    entered: Mutex<Sender<()>>,
    gate: Mutex<Receiver<()>>,
}

impl Segmenter for Gated {
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
        let _ = self.entered.lock().unwrap().send(());
        let _ = self.gate.lock().unwrap().recv();
        Ok(())
    }

    fn decode(&self, (): &(), _: &PromptTokens) -> Result<Decoded, pipeline::Error> {
        Ok(Decoded { masks: Array3::ones((MASKS, SIDE, SIDE)), iou: [0.5; MASKS] })
    }
}

fn frame() -> Frame {
    let side = SIDE as u32;
    Frame { width: side, height: side, rgb: vec![7; SIDE * SIDE * 3], pixel_spacing_mm: None }
}
