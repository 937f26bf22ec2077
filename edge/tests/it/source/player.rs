//! State of the source and numbers of its frames, as the service gets them.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use medsa_edge::config::{CineConfig, Following, Intake, Pace};
use medsa_edge::meter::{Counter, Meter};
use medsa_edge::pipeline::{
    self, Bell, Capacity, Change, Network, Objects, Pipeline, QueuedMask, Segmenter, Slot,
};
use medsa_edge::source::{self, Event, Loss, Player, Received, Source, SourceState};
use medsa_engine::{Decoded, MASKS};
use medsa_frames::Frame;
use medsa_sam::image::Preprocess;
use medsa_sam::prompt::{Point, PromptTokens};
use medsa_wire::topic::ObjectId;
use ndarray::{Array3, Array4, ArrayView3};
use tokio::sync::{mpsc, watch};

use crate::harness::LIMIT;
use crate::tiny::{PREPROCESS, SIDE};

#[test]
fn states_are_published_and_frame_numbers_continue() {
    let frame_size = Some((SIDE as u32, SIDE as u32));
    let mut bench = Bench::start(Intake { frame_size, ..Intake::default() });
    bench.send(Event::Starting);
    bench.send(frame(SIDE, 0));
    bench.wait_for(SourceState::Playing);
    assert_eq!(bench.mask_frame_id(), 0);

    bench.send(Event::Damaged(source::Error::DamagedFrame { reason: "a hole".into() }));
    bench.send(frame(SIDE / 2, 0));
    let reason = "source.frame_size: frame is 32 x 32 px, expected 64 x 64 px".to_owned();
    bench.wait_for(SourceState::Refused { reason });
    let (name, reason) = ("grabber".to_owned(), "unplugged".to_owned());
    let retry_in = Duration::from_millis(250);
    let loss = Loss::Broken;
    bench.send(Event::Lost { loss, reason: source::Error::Lost { name, reason }, retry_in });
    let reason = "grabber: unplugged".to_owned();
    bench.wait_for(SourceState::Lost { loss, reason, retry_in });
    bench.send(Event::Starting);
    bench.wait_for(SourceState::Starting);

    // After one damaged frame, one refused frame, and three missed ones.
    bench.send(frame(SIDE, 3));
    bench.wait_for(SourceState::Playing);
    assert_eq!(bench.mask_frame_id(), 6);
    bench.send(Event::Ended);
    bench.wait_for(SourceState::Ended);

    assert_eq!(bench.meter.get(Counter::FramesIn), 7);
    assert_eq!(bench.meter.get(Counter::FramesMissed), 3);
    assert_eq!(bench.meter.get(Counter::FramesFailed), 2);
    bench.pipeline.join().unwrap();
}

#[test]
fn capture_time_is_that_of_the_source() {
    let mut bench = Bench::start(Intake::default());
    let before = Instant::now();
    bench.send(frame(SIDE, 0));
    let ready = bench.masks.blocking_recv().unwrap();
    assert!(ready.captured >= before && ready.captured <= Instant::now());
    let now_us = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let age_us = now_us.as_micros() as u64 - ready.message.captured_us;
    assert!(age_us <= before.elapsed().as_micros() as u64 + 1000, "{age_us}");
    bench.send(Event::Ended);
    bench.pipeline.join().unwrap();
}

/// A pipeline whose source the test controls.
struct Bench {
    events: Sender<Event>,
    state: watch::Receiver<SourceState>,
    masks: mpsc::Receiver<QueuedMask>,
    meter: Arc<Meter>,
    pipeline: Pipeline,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    fn start(intake: Intake) -> Self {
        let (events, script) = channel();
        let player = Player::new(Box::new(Script(script)), Pace::Live, intake);
        let state = player.state();
        let bell = Arc::new(Bell::default());
        let objects = Arc::new(Objects::new(bell.clone(), Following::On));
        objects.fit((SIDE, SIDE), |_, _| {});
        let point = Point { x: 8.0, y: 8.0, positive: true };
        objects.change(ObjectId::new(0).unwrap(), Change::Add(point)).unwrap();
        let meter = Arc::new(Meter::new());
        let slot = Slot::new(
            Network { segmenter: Everything, build: Arc::default(), manifest: None },
            None,
        );
        let (pipeline, masks) = Pipeline::start(
            player,
            slot,
            objects,
            bell,
            meter.clone(),
            Capacity { masks: 8, cine: CineConfig::default() },
        )
        .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { events, state, masks, meter, pipeline, runtime }
    }

    fn send(&self, event: Event) {
        self.events.send(event).unwrap();
    }

    fn wait_for(&mut self, expected: SourceState) {
        let state = &mut self.state;
        let seen = async { state.wait_for(|state| *state == expected).await.is_ok() };
        let seen = self.runtime.block_on(async { tokio::time::timeout(LIMIT, seen).await });
        assert!(seen.is_ok_and(|seen| seen), "{expected:?}; now {:?}", *self.state.borrow());
    }

    fn mask_frame_id(&mut self) -> u64 {
        self.masks.blocking_recv().unwrap().message.frame_id
    }
}

struct Script(Receiver<Event>);

impl Source for Script {
    fn next(&mut self, wait: Duration) -> Event {
        self.0.recv_timeout(wait).unwrap_or(Event::Nothing)
    }
}

/// A network that finds the structure everywhere.
struct Everything;

impl Segmenter for Everything {
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
        Ok(())
    }

    fn decode(&self, (): &(), _: &PromptTokens) -> Result<Decoded, pipeline::Error> {
        Ok(Decoded { masks: Array3::ones((MASKS, SIDE, SIDE)), iou: [0.5; MASKS] })
    }
}

fn frame(side: usize, missed: u32) -> Event {
    let rgb = vec![7; 3 * side * side];
    let (width, height) = (side as u32, side as u32);
    let frame = Frame { width, height, rgb, pixel_spacing_mm: None };
    Event::Frame(Received { frame, captured: Instant::now(), source_us: None, missed })
}
