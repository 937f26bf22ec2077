//! Recorded clips.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use medsa_frames::{Clip, Frame};

use super::error::Error;
use super::event::{Event, Received, Source};
use crate::config::{self, AfterLast, ClipConfig, ClipFormat};

/// Time between frames of a recording that does not state its own.
const DEFAULT_INTERVAL: Duration = Duration::from_millis(100);

/// Plays a recorded clip.
pub struct ClipSource {
    clip: Clip,
    /// Number of frames played so far.
    played: usize,
    interval: Duration,
    /// Time at which the next frame is due.
    due: Instant,
    after_last: AfterLast,
}

impl ClipSource {
    /// Opens the recording that `config` describes; `file` names the configuration in messages.
    ///
    /// # Errors
    /// [`Error::Clip`], or [`Error::Config`] if the format is another than the configured one.
    pub fn open(config: &ClipConfig, file: &Path) -> Result<Self, Error> {
        let clip = Clip::open(&config.path)?;
        let found = if clip.is_dicom() { ClipFormat::Dicom } else { ClipFormat::Images };
        if found != config.format {
            let error = config::Error::value(file, "source.kind", config.format, found);
            return Err(error.into());
        }
        Ok(Self::new(clip, config.interval, config.after_last))
    }

    /// Plays the frames of `clip`, at `interval` or else at the clip's own rate.
    pub fn new(clip: Clip, interval: Option<Duration>, after_last: AfterLast) -> Self {
        let own = clip.frame_interval_ms().filter(|ms| ms.is_finite() && *ms >= 1.0);
        let own = own.map(|ms| Duration::from_secs_f64(ms / 1e3));
        let interval = interval.or(own).unwrap_or(DEFAULT_INTERVAL);
        Self { clip, played: 0, interval, due: Instant::now(), after_last }
    }

    /// Number of frames, at least 1.
    // No `is_empty`: a clip is never empty.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.clip.len()
    }

    /// The first frame. The source still plays it.
    ///
    /// # Errors
    /// [`Error::Clip`].
    pub fn first_frame(&self) -> Result<Frame, Error> {
        Ok(self.clip.frame(0)?)
    }
}

impl Source for ClipSource {
    fn next(&mut self, wait: Duration) -> Event {
        let left = self.due.saturating_duration_since(Instant::now());
        thread::sleep(left.min(wait));
        if left > wait {
            return Event::Nothing;
        }
        let Some(index) = index_of(self.played, self.clip.len(), self.after_last) else {
            return Event::Ended;
        };
        let captured = Instant::now();
        // A clip that falls behind does not catch up in a burst.
        self.due = (self.due + self.interval).max(captured);
        self.played += 1;
        match self.clip.frame(index) {
            Ok(frame) => Event::Frame(Received { frame, captured, source_us: None, missed: 0 }),
            Err(error) => Event::Damaged(error.into()),
        }
    }
}

/// Index of the frame to play after `played` frames of a clip of `len`; `None` at the end.
fn index_of(played: usize, len: usize, after_last: AfterLast) -> Option<usize> {
    match after_last {
        AfterLast::Exit | AfterLast::Stay => (played < len).then_some(played),
        AfterLast::Repeat => Some(played % len),
        AfterLast::Reverse => {
            // The first and the last frame are played once in each turn.
            let turn = (2 * (len - 1)).max(1);
            let at = played % turn;
            Some(at.min(turn - at))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_played_in_the_configured_order() {
        let order = |len, after_last| -> Vec<_> {
            (0..7).map_while(|played| index_of(played, len, after_last)).collect()
        };
        assert_eq!(order(3, AfterLast::Exit), [0, 1, 2]);
        assert_eq!(order(3, AfterLast::Stay), [0, 1, 2]);
        assert_eq!(order(3, AfterLast::Repeat), [0, 1, 2, 0, 1, 2, 0]);
        assert_eq!(order(3, AfterLast::Reverse), [0, 1, 2, 1, 0, 1, 2]);
        assert_eq!(order(1, AfterLast::Reverse), [0; 7]);
    }
}
