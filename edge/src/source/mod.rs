//! Frames from outside: recordings, child processes, OpenIGTLink servers, video devices.
//!
//! A [`Source`] reports events. Sources that can be lost are wrapped in `Live`, which connects
//! them, watches them, and reconnects. [`Player`] runs a source on its own thread and passes every
//! frame through the [`Intake`](crate::config::Intake), which hides the configured rectangles.
//!
//! **Architecture invariants:** input is treated as hostile: sizes are checked against
//! [`MAX_SIDE_PX`](medsa_frames::MAX_SIDE_PX) before memory is allocated, and a damaged frame
//! affects no other frame. No source waits longer than it is told to, so a stalled source blocks
//! no other thread. No frame bypasses the intake.

mod clip;
pub mod decode;
mod error;
mod event;
mod intake;
mod live;
mod openigtlink;
mod pipe;
mod player;
mod v4l2;

use std::path::Path;

use medsa_frames::Frame;

use crate::config::{self, SourceConfig, SourceKind, V4l2Config};
use live::Live;

pub use clip::ClipSource;
pub use error::Error;
pub use event::{Event, Loss, Received, Source};
pub(crate) use player::FrameNumbers;
pub use player::{Captured, Player, SourceState};

/// A source that is ready to play.
pub struct Opened {
    /// The source.
    pub source: Box<dyn Source>,
    /// Width and height of its frames after the intake, if known beforehand.
    pub frame_size: Option<(usize, usize)>,
}

/// Opens the source that `config` describes. A recording must exist and its first frame must pass
/// the intake; a live source may connect later. `file` names the configuration in messages.
///
/// # Errors
/// [`Error::Clip`], [`Error::Config`] or [`Error::FrameRefused`]; only for recordings.
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
        SourceKind::Pipe(pipe) => Box::new(Live::new(pipe.clone(), pipe.timeouts)),
        SourceKind::OpenIgtLink(server) => Box::new(Live::new(server.clone(), server.timeouts)),
        SourceKind::V4l2(device) => Box::new(Live::new(device.clone(), device.timeouts)),
    };
    Ok(Opened { source, frame_size: intake.known_size() })
}

/// Checks that the source exists, without connecting to it: a server may start later. Returns the
/// width and height of its frames, if known.
///
/// # Errors
/// Those of [`open`]; [`Error::Config`] if a program or a device is missing.
pub fn check(config: &SourceConfig, file: &Path) -> Result<Option<(usize, usize)>, Error> {
    match &config.kind {
        SourceKind::Pipe(pipe) if !pipe.is_there() => {
            let expected = "an existing program that may be executed";
            Err(config::Error::value(file, "source.command", &pipe.program, expected).into())
        }
        SourceKind::V4l2(V4l2Config { device, .. }) if !device.exists() => {
            let expected = "an existing video device";
            Err(config::Error::value(file, "source.device", device.display(), expected).into())
        }
        _ => Ok(open(config, file)?.frame_size),
    }
}
