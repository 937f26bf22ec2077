//! Where frames come from: what the section `[source]` means.

pub(super) mod check;
pub(super) mod raw;

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::time::Duration;

use super::intake::Intake;

/// Where frames come from.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// What it is.
    pub kind: SourceKind,
    /// What is done to every frame.
    pub intake: Intake,
}

/// Kinds of sources.
#[derive(Clone, Debug)]
pub enum SourceKind {
    /// A recording.
    Clip(ClipConfig),
    /// A program.
    Pipe(PipeConfig),
    /// A server of IMAGE messages.
    OpenIgtLink(OpenIgtLinkConfig),
    /// A video device.
    V4l2(V4l2Config),
}

/// A recording.
#[derive(Clone, Debug)]
pub struct ClipConfig {
    /// What is at `path`.
    pub format: ClipFormat,
    /// A file or a folder.
    pub path: PathBuf,
    /// Time from frame to frame, when not the recording's own.
    pub interval: Option<Duration>,
    /// What happens after the last frame.
    pub after_last: AfterLast,
    /// What happens to frames that come faster than they are segmented.
    pub pace: Pace,
}

/// Kinds of recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClipFormat {
    /// A DICOM file of one or many frames.
    Dicom,
    /// A folder of PNG or JPEG files in the order of their names, or one such file.
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

/// What happens after the last frame of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterLast {
    /// The first follows.
    Repeat,
    /// What remains is published and the service ends.
    Exit,
    /// The service stays connected until it is told to stop.
    Stay,
}

/// What happens to frames that come faster than they are segmented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// The newest frame wins, older ones are dropped and counted.
    Live,
    /// The source waits: every frame is segmented and every mask is handed to the broker.
    EveryFrame,
}

/// A program that writes frames to its standard output.
#[derive(Clone, Debug)]
pub struct PipeConfig {
    /// Its name, looked up as a shell does, or its path.
    pub program: String,
    /// What it is given.
    pub arguments: Vec<String>,
    /// The folder that it runs in; empty for the present one.
    pub folder: PathBuf,
    /// What it writes.
    pub format: PipeFormat,
    /// How long it is waited for.
    pub patience: Patience,
}

/// What a program writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipeFormat {
    /// Red, green and blue of every pixel, row by row, nothing else.
    Rgb24 {
        /// Width and height.
        frame_size: (u32, u32),
    },
    /// One JPEG stream after the other.
    Mjpeg,
}

/// A server of IMAGE messages.
#[derive(Clone, Debug)]
pub struct OpenIgtLinkConfig {
    /// `HOST:PORT`.
    pub server: String,
    /// The only device whose images are taken.
    pub device_name: Option<String>,
    /// Samples of 16 bits that become black and white.
    pub window: [u16; 2],
    /// How long it is waited for.
    pub patience: Patience,
}

/// A video device.
#[derive(Clone, Debug)]
pub struct V4l2Config {
    /// Its file, as in `/dev/video0`.
    pub device: PathBuf,
    /// What it is asked for.
    pub format: V4l2Format,
    /// Width and height that it is asked for, when not those that it is set to.
    pub frame_size: Option<(u32, u32)>,
    /// Time from frame to frame that it is asked for.
    pub interval: Option<Duration>,
    /// How long it is waited for.
    pub patience: Patience,
}

/// What a video device sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum V4l2Format {
    /// JPEG streams.
    Mjpeg,
    /// YUYV 4:2:2.
    Yuyv,
}

/// How long a live source is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For the first frame after it was connected.
    pub start: Duration,
    /// For every other frame.
    pub stall: Duration,
    /// Longest time between two attempts to connect.
    pub max_back_off: Duration,
}

impl SourceConfig {
    /// What happens to frames that come faster than they are segmented: only a recording can
    /// wait.
    pub fn pace(&self) -> Pace {
        match &self.kind {
            SourceKind::Clip(clip) => clip.pace,
            _ => Pace::Live,
        }
    }

    /// What happens after the last frame. Only recordings have one; what a live source does, it
    /// does again.
    pub fn after_last(&self) -> AfterLast {
        match &self.kind {
            SourceKind::Clip(clip) => clip.after_last,
            _ => AfterLast::Repeat,
        }
    }
}
