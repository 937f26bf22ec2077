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
pub use player::{Captured, Player, SourceState};

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
/// [`Error::Clip`], [`Error::Config`], [`Error::FrameRefused`]: all about clips.
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
/// Those of [`open`]; [`Error::Config`] when a program or a device is missing.
pub fn check(config: &SourceConfig, file: &Path) -> Result<Option<(usize, usize)>, Error> {
    match &config.kind {
        SourceKind::Pipe(pipe) if !pipe.is_there() => {
            let expected = "a program that is there and may be run";
            Err(config::Error::value(file, "source.command", &pipe.program, expected).into())
        }
        SourceKind::V4l2(V4l2Config { device, .. }) if !device.exists() => {
            let expected = "a video device that is there";
            Err(config::Error::value(file, "source.device", device.display(), expected).into())
        }
        _ => Ok(open(config, file)?.frame_size),
    }
}
