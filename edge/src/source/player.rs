//! The thread that plays a source.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use medsa_frames::Frame;
use medsa_wire::Stage;
use tokio::sync::watch;

use super::error::Error;
use super::event::{Event, Loss, Received, Source};
use crate::config::{Deidentification, Intake, Pace};
use crate::mailbox::{Mailbox, Wake};
use crate::meter::{Counter, Meter};
use crate::watchdog::Beat;

/// Longest single wait for a source, so that the thread notices a stop within this time.
const SLICE: Duration = Duration::from_millis(50);

/// Plays a source and passes its frames on.
pub struct Player {
    source: Box<dyn Source>,
    pace: Pace,
    intake: Intake,
    state: watch::Sender<SourceState>,
    numbers: FrameNumbers,
}

/// The numbers of frames, counted on by everything that shows frames.
#[derive(Clone, Debug, Default)]
pub(crate) struct FrameNumbers(Arc<AtomicU64>);

impl FrameNumbers {
    /// The next number, after `missed` that no frame gets.
    pub fn next(&self, missed: u32) -> u64 {
        let missed = u64::from(missed);
        self.0.fetch_add(missed + 1, Ordering::Relaxed) + missed
    }
}

/// State of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// It is connecting, or waiting for its first frame.
    Starting,
    /// Frames arrive.
    Playing,
    /// Frames do not have the configured size; none is passed on.
    Refused {
        /// Size found and size expected.
        reason: String,
    },
    /// It ended, stalled or vanished, or could not be connected to.
    Lost {
        /// Kind of loss.
        loss: Loss,
        /// Reason.
        reason: String,
        /// Time until the next attempt.
        retry_in: Duration,
    },
    /// The last frame of a recording was played.
    Ended,
}

/// A captured frame on its way through the pipeline.
#[derive(Debug)]
pub struct Captured {
    /// Number in the order of play, from 0; counts on after a reconnect. Dropped, damaged,
    /// refused and missed frames are counted too, and so are frames of the cine buffer that are
    /// shown again. A looped recording counts on: unless frames are shown again, frame `i` of a
    /// recording of `n` frames has the numbers `i`, `i + n`, `i + 2n`...
    pub frame_id: u64,
    /// Time of capture.
    pub captured: Instant,
    /// Time of capture in microseconds since 1970 (UTC).
    pub captured_us: u64,
    /// Time of capture on the source's own clock, in microseconds since that clock's zero, if the
    /// source states it.
    pub source_us: Option<u64>,
    /// Deidentification state, which decides whether the pixels may be stored.
    pub deidentification: Deidentification,
    /// The image, after the intake.
    pub frame: Frame,
}

impl Player {
    /// Plays `source` through `intake`.
    pub fn new(source: Box<dyn Source>, pace: Pace, intake: Intake) -> Self {
        let (state, numbers) = (watch::Sender::new(SourceState::Starting), FrameNumbers::default());
        Self { source, pace, intake, state, numbers }
    }

    /// The numbers of its frames, to be counted on.
    pub(crate) fn numbers(&self) -> FrameNumbers {
        self.numbers.clone()
    }

    /// Behaviour when frames arrive faster than they are segmented.
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// Subscribes to the state of the source.
    pub fn state(&self) -> watch::Receiver<SourceState> {
        self.state.subscribe()
    }

    /// Plays into `mailbox` until the source ends or the mailbox is stopped.
    pub(crate) fn run(mut self, mailbox: &Mailbox<Captured>, beat: &Beat, meter: &Meter) {
        let mut damaged_before = false;
        while !mailbox.is_stopped() {
            // Waiting here means that no frame is replaced and none ages in the mailbox.
            if self.pace == Pace::EveryFrame && mailbox.until_wanted() == Wake::Stopped {
                break;
            }
            // The wait for the source does not count as work: it may wait for a disk or a network.
            let event = self.source.next(SLICE);
            let _work = beat.work();
            match event {
                Event::Nothing => {}
                Event::Starting => self.enter(SourceState::Starting),
                Event::Lost { loss, reason, retry_in } => {
                    let reason = reason.to_string();
                    self.enter(SourceState::Lost { loss, reason, retry_in });
                }
                Event::Ended => {
                    self.enter(SourceState::Ended);
                    break;
                }
                Event::Damaged(error) => {
                    meter.count(Counter::FramesIn);
                    meter.count(Counter::FramesFailed);
                    let frame_id = self.numbers.next(0);
                    // Warn once only: a source may send damaged frames for hours.
                    if damaged_before {
                        tracing::debug!("frame {frame_id} skipped: {error}");
                    } else {
                        tracing::warn!("frame {frame_id} skipped: {error}");
                    }
                    damaged_before = true;
                }
                Event::Frame(received) => {
                    damaged_before = false;
                    for _ in 0..received.missed {
                        meter.count(Counter::FramesIn);
                        meter.count(Counter::FramesMissed);
                    }
                    meter.count(Counter::FramesIn);
                    match self.admit(self.numbers.next(received.missed), received) {
                        Ok(captured) => {
                            self.enter(SourceState::Playing);
                            meter.record(Stage::Source, captured.captured.elapsed());
                            if mailbox.replace(captured).is_some() {
                                meter.count(Counter::ReplacedBeforeFollow);
                            }
                        }
                        Err(error) => {
                            meter.count(Counter::FramesFailed);
                            self.enter(SourceState::Refused { reason: error.to_string() });
                        }
                    }
                }
            }
        }
        mailbox.finish();
    }

    fn admit(&self, frame_id: u64, received: Received) -> Result<Captured, Error> {
        let Received { frame, captured, source_us, missed: _ } = received;
        Ok(Captured {
            frame_id,
            captured,
            captured_us: unix_us(captured),
            source_us,
            deidentification: self.intake.deidentification(),
            frame: self.intake.apply(frame)?,
        })
    }

    /// Sets and logs a state, if it is new.
    fn enter(&self, state: SourceState) {
        if *self.state.borrow() == state {
            return;
        }
        match &state {
            SourceState::Starting | SourceState::Playing => tracing::info!("{state}"),
            SourceState::Refused { .. } | SourceState::Lost { .. } => tracing::warn!("{state}"),
            // The service logs the end after it has published the last mask.
            SourceState::Ended => {}
        }
        self.state.send_replace(state);
    }
}

impl fmt::Display for SourceState {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => to.write_str("connecting to the source"),
            Self::Playing => to.write_str("the source delivers frames"),
            Self::Refused { reason } => write!(to, "frames are refused: {reason}"),
            Self::Lost { reason, retry_in, .. } => {
                let retry_s = retry_in.as_secs_f32();
                write!(to, "no source: {reason}; next attempt in {retry_s:.2} s")
            }
            Self::Ended => to.write_str("the source has ended"),
        }
    }
}

/// The moment in microseconds since 1970; 0 if the machine's clock is before that.
fn unix_us(moment: Instant) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(moment.elapsed()).as_micros() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watchdog::Watch;

    struct Once(Option<Received>);

    impl Source for Once {
        fn next(&mut self, _: Duration) -> Event {
            self.0.take().map_or(Event::Ended, Event::Frame)
        }
    }

    fn played(intake: Intake) -> Captured {
        let frame = Frame { width: 1, height: 1, rgb: vec![1, 2, 3], pixel_spacing_mm: None };
        let received = Received { frame, captured: Instant::now(), source_us: Some(5), missed: 2 };
        let mailbox = Mailbox::new();
        let player = Player::new(Box::new(Once(Some(received))), Pace::Live, intake);
        player.run(&mailbox, &Watch::new().beat("source"), &Meter::new());
        mailbox.take().unwrap()
    }

    #[test]
    fn frames_are_unmasked_unless_blank_is_configured() {
        let captured = played(Intake::default());
        assert_eq!(captured.deidentification, Deidentification::Unmasked);
        assert_eq!((captured.frame_id, captured.source_us), (2, Some(5)));
        let captured = played(Intake { blank: Some(Vec::new()), ..Intake::default() });
        assert_eq!(captured.deidentification, Deidentification::Masked);
    }
}
