//! Frames, and the thread that plays them.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use medsa_frames::{Clip, Frame};
use medsa_sam::image::RgbView;
use medsa_wire::Stage;

use super::mailbox::{Mailbox, Wake};
use super::meter::{Counter, Meter};
use crate::config::{AfterLast, Pace};
use crate::error::Error;

/// Time from frame to frame of a source that does not know its own.
const DEFAULT_INTERVAL: Duration = Duration::from_millis(100);

/// Where frames come from.
pub trait Source: Send + 'static {
    /// The next frame; `None` after the last. An error costs this frame only.
    fn next_frame(&mut self) -> Option<Result<Frame, Error>>;

    /// Time from frame to frame.
    fn interval(&self) -> Duration;
}

/// A frame on its way.
#[derive(Debug)]
pub struct Captured {
    /// Position in the order of play, from 0. Frames that are dropped or cannot be decoded have
    /// one too, and a looped clip counts on: frame `i` of a clip of `n` frames has the numbers
    /// `i`, `i + n`, `i + 2n`...
    pub frame_id: u64,
    /// When it was captured.
    pub captured: Instant,
    /// The same in microseconds since 1970.
    pub captured_us: u64,
    /// The picture.
    pub frame: Frame,
}

/// Plays a recorded clip.
pub struct ClipSource {
    clip: Clip,
    next: usize,
    interval: Duration,
    after_last: AfterLast,
}

impl ClipSource {
    /// The frames of `clip`, at `interval` or else at the clip's own rate.
    pub fn new(clip: Clip, interval: Option<Duration>, after_last: AfterLast) -> Self {
        let own = clip.frame_interval_ms().filter(|ms| ms.is_finite() && *ms >= 1.0);
        let own = own.map(|ms| Duration::from_secs_f64(ms / 1e3));
        let interval = interval.or(own).unwrap_or(DEFAULT_INTERVAL);
        Self { clip, next: 0, interval, after_last }
    }
}

impl Source for ClipSource {
    fn next_frame(&mut self) -> Option<Result<Frame, Error>> {
        if self.next == self.clip.len() {
            if self.after_last != AfterLast::Repeat {
                return None;
            }
            self.next = 0;
        }
        let frame = self.clip.frame(self.next);
        self.next += 1;
        Some(frame.map_err(Error::from))
    }

    fn interval(&self) -> Duration {
        self.interval
    }
}

/// Plays `source` into `mailbox` until it ends or the mailbox is stopped.
pub(super) fn play(
    mut source: impl Source,
    pace: Pace,
    mailbox: &Mailbox<Captured>,
    meter: &Meter,
) {
    let interval = source.interval();
    let mut due = Instant::now();
    for frame_id in 0.. {
        if mailbox.sleep_until(due) == Wake::Stopped {
            break;
        }
        // Then nothing is replaced, and a frame is no older than its own segmentation.
        if pace == Pace::EveryFrame && mailbox.until_wanted() == Wake::Stopped {
            break;
        }
        let begun = Instant::now();
        // A source that falls behind does not catch up in a burst.
        due = (due + interval).max(begun);
        let Some(frame) = source.next_frame() else { break };
        let captured = Instant::now();
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => {
                meter.count(Counter::FramesFailed);
                tracing::warn!("frame {frame_id} skipped: {error}");
                continue;
            }
        };
        meter.count(Counter::FramesIn);
        meter.record(Stage::Source, captured - begun);
        let captured = Captured { frame_id, captured, captured_us: unix_us(), frame };
        if mailbox.replace(captured).is_some() {
            meter.count(Counter::FramesDropped);
        }
    }
    mailbox.finish();
}

/// A frame as the preprocessing takes it.
///
/// # Errors
/// [`Error::Frame`] when its pixels do not fit its size.
pub fn frame_view(frame: &Frame) -> Result<RgbView<'_>, Error> {
    Ok(RgbView::new(frame.width as usize, frame.height as usize, &frame.rgb)?)
}

/// Microseconds since 1970; 0 on a machine whose clock is before that.
fn unix_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_micros() as u64)
}
