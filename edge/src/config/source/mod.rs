//! Values of the section `[source]`.

pub(super) mod check;
pub(super) mod raw;

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::time::Duration;

use super::intake::Intake;

/// Source of frames.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// Kind of source, with its settings.
    pub kind: SourceKind,
    /// Cropping, hiding and scale applied to every frame.
    pub intake: Intake,
}

/// Kinds of sources.
#[derive(Clone, Debug)]
pub enum SourceKind {
    /// A recording.
    Clip(ClipConfig),
    /// Standard output of a program.
    Pipe(PipeConfig),
    /// A server that sends OpenIGTLink IMAGE messages.
    OpenIgtLink(OpenIgtLinkConfig),
    /// A video device.
    V4l2(V4l2Config),
}

/// A recording.
#[derive(Clone, Debug)]
pub struct ClipConfig {
    /// Format of the recording.
    pub format: ClipFormat,
    /// File or folder.
    pub path: PathBuf,
    /// Time between frames; `None` for the recording's own rate.
    pub interval: Option<Duration>,
    /// Behaviour after the last frame.
    pub after_last: AfterLast,
    /// Behaviour when frames arrive faster than they are segmented.
    pub pace: Pace,
}

/// Kinds of recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClipFormat {
    /// A DICOM file of one or many frames.
    Dicom,
    /// A folder of PNG or JPEG files, sorted by name, or one such file.
    Images,
}

impl Display for ClipFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Dicom => "dicom",
            Self::Images => "images",
        })
    }
}

/// Behaviour after the last frame of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterLast {
    /// The recording starts again.
    Repeat,
    /// The recording is played backwards, then forwards again, and so on.
    Reverse,
    /// The service publishes the remaining masks and ends.
    Exit,
    /// The service stays connected until it is stopped.
    Stay,
}

/// Behaviour when frames arrive faster than they are segmented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Older frames are dropped and counted; the newest is segmented.
    Live,
    /// The source waits: every frame is segmented and every mask goes to the broker.
    EveryFrame,
}

/// A program that writes frames to its standard output.
#[derive(Clone, Debug)]
pub struct PipeConfig {
    /// Name of the program, looked up in `PATH`, or its path.
    pub program: String,
    /// Arguments of the program.
    pub arguments: Vec<String>,
    /// Working directory of the program; empty for the current one.
    pub folder: PathBuf,
    /// Format of the output.
    pub format: PipeFormat,
    /// Time limits of the source.
    pub timeouts: Timeouts,
}

/// Output format of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipeFormat {
    /// Red, green and blue of every pixel, row by row, without headers.
    Rgb24 {
        /// Width and height in pixels.
        frame_size: (u32, u32),
    },
    /// JPEG streams, one after the other.
    Mjpeg,
}

/// A server that sends OpenIGTLink IMAGE messages.
#[derive(Clone, Debug)]
pub struct OpenIgtLinkConfig {
    /// `HOST:PORT`.
    pub server: String,
    /// Name of the only device whose images are used; `None` for any.
    pub device_name: Option<String>,
    /// 16-bit sample values shown as black and as white.
    pub window: [u16; 2],
    /// Time limits of the source.
    pub timeouts: Timeouts,
}

/// A video device.
#[derive(Clone, Debug)]
pub struct V4l2Config {
    /// Device file, such as `/dev/video0`.
    pub device: PathBuf,
    /// Format requested from the device.
    pub format: V4l2Format,
    /// Width and height requested from the device; `None` keeps its present setting.
    pub frame_size: Option<(u32, u32)>,
    /// Time between frames requested from the device; `None` keeps its present setting.
    pub interval: Option<Duration>,
    /// Time limits of the source.
    pub timeouts: Timeouts,
}

/// Pixel format of a video device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum V4l2Format {
    /// JPEG streams.
    Mjpeg,
    /// YUYV 4:2:2.
    Yuyv,
}

/// Time limits of a live source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Longest wait for the first frame after connecting.
    pub start: Duration,
    /// Longest wait for each further frame.
    pub stall: Duration,
    /// Longest time between two attempts to connect.
    pub max_back_off: Duration,
}

impl SourceConfig {
    /// Behaviour when frames arrive faster than they are segmented. Only a recording can wait.
    pub fn pace(&self) -> Pace {
        match &self.kind {
            SourceKind::Clip(clip) => clip.pace,
            _ => Pace::Live,
        }
    }

    /// Behaviour after the last frame. A live source has none; it reconnects, as
    /// [`AfterLast::Repeat`].
    pub fn after_last(&self) -> AfterLast {
        match &self.kind {
            SourceKind::Clip(clip) => clip.after_last,
            _ => AfterLast::Repeat,
        }
    }
}
