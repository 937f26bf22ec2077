//! Frames from outside: recorded clips, child processes, OpenIGTLink servers, video devices.
//!
//! A [`Source`] tells what happens next; kinds that can be lost are `Live`: connected, watched,
//! and connected again. [`Player`] plays a source on a thread of its own and passes every frame
//! through the [`Intake`], which hides what has to be hidden.
//!
//! **Architecture invariants:** what comes from outside is hostile: sizes are checked against
//! [`MAX_SIDE_PX`](medsa_frames::MAX_SIDE_PX) before memory is spent, and a damaged frame costs
//! that frame only. No source waits longer than it is told to, so one that has stalled holds up
//! nobody. No frame gets past the intake.

mod clip;
pub mod decode;
mod intake;
mod live;
mod openigtlink;
mod pipe;
mod player;
mod v4l2;

use std::path::Path;
use std::time::{Duration, Instant};

use medsa_frames::Frame;

use crate::config::{SourceConfig, SourceKind, V4l2Config, value_error};
use crate::error::Error;
use live::Live;

pub use clip::ClipSource;
pub use intake::{Deidentification, Intake, Rectangle, Region};
pub use player::{Captured, Player, SourceState};

/// Where frames come from.
pub trait Source: Send + 'static {
    /// What happens next, waiting no longer than `wait`.
    fn next(&mut self, wait: Duration) -> Event;
}

/// What happens at a source.
#[derive(Debug)]
pub enum Event {
    /// A frame has come.
    Frame(Received),
    /// A frame came that cannot be used; the others are not affected.
    Damaged(Error),
    /// Nothing, for as long as was waited.
    Nothing,
    /// The source is about to be connected.
    Starting,
    /// The source was lost, or could not be connected.
    Lost {
        /// What kind of loss it is.
        loss: Loss,
        /// What happened.
        reason: Error,
        /// Time to the next attempt.
        retry_in: Duration,
    },
    /// The last frame was given.
    Ended,
}

/// How a source was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It could not be connected.
    Unreachable,
    /// It was connected, and no undamaged frame came for too long.
    Stalled,
    /// It ended, or its connection did.
    Broken,
}

/// A frame as it comes from the source.
#[derive(Debug)]
pub struct Received {
    /// The whole picture, with the pixel spacing that the source states.
    pub frame: Frame,
    /// When it was captured, as closely as this machine's clock knows: by the driver, or else
    /// when the last of its bytes had come.
    pub captured: Instant,
    /// When it was captured by the source's own clock, in microseconds since that clock's zero.
    pub source_us: Option<u64>,
    /// Frames that were lost since the one before, where the source counts them.
    pub missed: u32,
}

/// A source that is ready to be played.
pub struct Opened {
    /// The source.
    pub source: Box<dyn Source>,
    /// Width and height of its frames after the intake, where they are known beforehand.
    pub frame_size: Option<(usize, usize)>,
}

/// Opens the source that `config` describes. A clip has to be there and its first frame has to
/// pass the intake; other sources may come later. `file` names the configuration in messages.
///
/// # Errors
/// [`Error::Source`], [`Error::ConfigValue`], [`Error::FrameRefused`]: all about clips.
pub fn open(config: &SourceConfig, file: &Path) -> Result<Opened, Error> {
    let intake = &config.intake;
    let source: Box<dyn Source> = match &config.kind {
        SourceKind::Clip(clip) => {
            let source = ClipSource::open(clip, file)?;
            let Frame { width, height, .. } = intake.apply(source.first_frame()?)?;
            let (path, frames) = (clip.path.display(), source.len());
            tracing::info!("source {path}: {frames} frames of {width} x {height} px");
            let frame_size = Some((width as usize, height as usize));
            return Ok(Opened { source: Box::new(source), frame_size });
        }
        SourceKind::Pipe(pipe) => Box::new(Live::new(pipe.clone(), pipe.patience)),
        SourceKind::OpenIgtLink(server) => Box::new(Live::new(server.clone(), server.patience)),
        SourceKind::V4l2(device) => Box::new(Live::new(device.clone(), device.patience)),
    };
    Ok(Opened { source, frame_size: intake.known_size() })
}

/// Whether the source is there, as far as that can be known without connecting it: a server may
/// come later. Width and height of its frames, where they are known.
///
/// # Errors
/// Those of [`open`]; [`Error::ConfigValue`] when a program or a device is missing.
pub fn check(config: &SourceConfig, file: &Path) -> Result<Option<(usize, usize)>, Error> {
    match &config.kind {
        SourceKind::Pipe(pipe) if !pipe.is_there() => {
            let expected = "a program that is there and may be run";
            Err(value_error(file, "source.command", &pipe.program, expected))
        }
        SourceKind::V4l2(V4l2Config { device, .. }) if !device.exists() => {
            let expected = "a video device that is there";
            Err(value_error(file, "source.device", device.display(), expected))
        }
        _ => Ok(open(config, file)?.frame_size),
    }
}
