//! The configuration of the service: what was typed (`raw`), then what it means ([`Config`]).

mod check;
mod raw;

use std::fmt::{self, Display};
use std::io::Read;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use medsa_frames::Clip;
use medsa_sam::prompt::{BoxXyxy, Point};
use medsa_wire::topic::{DeviceId, ObjectId};

use crate::error::Error;
use crate::mqtt::{Access, BrokerUrl, Protocol};

/// A configuration whose every value is in range.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file that it was read from, for messages.
    pub file: PathBuf,
    /// Name of the device, a level of every topic.
    pub device: DeviceId,
    /// Name of the board, told in `info`.
    pub board: heapless::String<32>,
    /// The build to run.
    pub build: BuildConfig,
    /// Where frames come from.
    pub source: SourceConfig,
    /// Prompts that are there from the first frame on.
    pub prompts: Vec<ConfiguredPrompt>,
    /// Where masks go.
    pub broker: BrokerConfig,
    /// Formats, queues and reports.
    pub output: OutputConfig,
    /// Where captured records wait for the broker.
    pub outbox: Option<OutboxConfig>,
}

/// The build to run.
#[derive(Clone, Debug)]
pub struct BuildConfig {
    /// The `.medsa` file.
    pub path: PathBuf,
    /// Threads of the runtime.
    pub threads: NonZeroUsize,
}

/// Where frames come from.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// What is at `path`.
    pub kind: SourceKind,
    /// A file or a folder.
    pub path: PathBuf,
    /// Time from frame to frame, when not the source's own.
    pub interval: Option<Duration>,
    /// What happens after the last frame.
    pub after_last: AfterLast,
    /// What happens to frames that come faster than they are segmented.
    pub pace: Pace,
}

/// Kinds of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// A DICOM file of one or many frames.
    Dicom,
    /// A folder of PNG or JPEG files in the order of their names, or one such file.
    Images,
}

impl Display for SourceKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Dicom => "dicom",
            Self::Images => "images",
        })
    }
}

/// What happens after the last frame.
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

/// A prompt from the configuration; whether it fits the frames is known when the first is there.
#[derive(Clone, Debug)]
pub struct ConfiguredPrompt {
    /// The object.
    pub object: ObjectId,
    /// Clicks in frame pixels.
    pub points: Vec<Point>,
    /// Box in frame pixels.
    pub bbox: Option<BoxXyxy>,
}

/// Where masks go.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// Which broker.
    pub place: BrokerPlace,
    /// Version of MQTT.
    pub protocol: Protocol,
    /// Name of the client at the broker.
    pub client_id: String,
    /// Time without traffic after which the connection is tested.
    pub keep_alive: Duration,
    /// Longest time that connecting takes.
    pub connect_timeout: Duration,
    /// Largest payload that is looked at.
    pub max_payload_bytes: usize,
}

/// Which broker.
#[derive(Clone, Debug)]
pub enum BrokerPlace {
    /// One in this process; port 0 picks a free one.
    Embedded {
        /// Address that it listens on.
        listen: SocketAddr,
    },
    /// One elsewhere.
    External {
        /// Its address.
        url: BrokerUrl,
        /// What it and the device show each other; paths start at the working directory.
        access: Access,
    },
}

/// Formats, queues and reports.
#[derive(Clone, Debug)]
pub struct OutputConfig {
    /// How messages are written.
    pub format: Format,
    /// Masks that wait for the broker at most.
    pub queue_masks: usize,
    /// Time between two statistics.
    pub stats_interval: Duration,
}

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As the wire format says.
    Postcard,
    /// As JSON on `<topic>/json`.
    Json,
    /// Both, each on its topic.
    Both,
}

/// Where messages wait that must not be lost.
#[derive(Clone, Debug)]
pub struct OutboxConfig {
    /// The file.
    pub path: PathBuf,
    /// Messages that it holds at most.
    pub max_messages: u64,
}

impl Config {
    /// Reads and checks a configuration; relative paths in it start at its folder.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::ConfigSyntax`] and [`Error::ConfigValue`], which name the file and
    /// the line or key.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| Error::Io { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    /// Checks `text`, the content of the file at `path`.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        check::parse(path, text)
    }
}

impl SourceConfig {
    /// Opens the source.
    ///
    /// # Errors
    /// [`Error::Source`], or [`Error::ConfigValue`] when it is of another kind; `config` names the
    /// file in that message.
    pub fn open(&self, config: &Path) -> Result<Clip, Error> {
        let clip = Clip::open(&self.path)?;
        let found = if is_dicom(&self.path)? { SourceKind::Dicom } else { SourceKind::Images };
        if found != self.kind {
            return Err(check::value_error(config, "source.kind", self.kind, found));
        }
        Ok(clip)
    }
}

fn is_dicom(path: &Path) -> Result<bool, Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    if path.is_dir() {
        return Ok(false);
    }
    let mut start = Vec::new();
    let file = std::fs::File::open(path).map_err(io)?;
    file.take(132).read_to_end(&mut start).map_err(io)?;
    Ok(start.get(128..) == Some(b"DICM"))
}
