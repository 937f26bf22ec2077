//! The configuration of the service: what was typed ([`raw`]), then what it means ([`Config`]).

mod raw;

use std::fmt::Display;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use medsa_sam::prompt::{BoxXyxy, Point};
use medsa_wire::MAX_OBJECT;
use medsa_wire::topic::{DeviceId, MAX_DEVICE_LEN, ObjectId};

use crate::error::Error;
use crate::mqtt::{BrokerUrl, Protocol};
use crate::typed::parse_point;
use raw::{RawAtEnd, RawBroker, RawBrokerKind, RawConfig, RawPace, RawPrompt, RawSource};

/// A configuration whose every value is in range.
#[derive(Clone, Debug)]
pub struct Config {
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
    /// Queues and reports.
    pub output: OutputConfig,
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
    /// Time without traffic after which the broker declares the device offline.
    pub keep_alive: Duration,
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
    External(BrokerUrl),
}

/// Queues and reports.
#[derive(Clone, Debug)]
pub struct OutputConfig {
    /// Masks that wait for the broker at most.
    pub queue_masks: usize,
    /// Time between two statistics.
    pub stats_interval: Duration,
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
        let raw: RawConfig = toml::from_str(text).map_err(|e| syntax(path, text, &e))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let check = Check { file: path };
        let device = check.device(&raw.device.id)?;
        let board = check.board(&raw.device.board)?;
        let threads = match raw.build.threads {
            Some(threads) => check.within("build.threads", threads, 1..=64)? as usize,
            None => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        };
        Ok(Self {
            device,
            board,
            build: BuildConfig {
                path: folder.join(raw.build.path),
                threads: NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN),
            },
            source: check.source(raw.source, folder)?,
            prompts: check.prompts(&raw.prompt)?,
            broker: check.broker(&raw.broker)?,
            output: OutputConfig {
                queue_masks: check.within_or(
                    "output.queue_masks",
                    raw.output.queue_masks,
                    1..=1024,
                    32,
                )? as usize,
                stats_interval: Duration::from_secs(check.within_or(
                    "output.stats_interval_s",
                    raw.output.stats_interval_s,
                    1..=3600,
                    10,
                )? as u64),
            },
        })
    }
}

/// Checks values of one file.
struct Check<'a> {
    file: &'a Path,
}

impl Check<'_> {
    fn device(&self, id: &str) -> Result<DeviceId, Error> {
        DeviceId::parse(id).map_err(|_| {
            let expected = format!("1 to {MAX_DEVICE_LEN} of A-Z a-z 0-9 _ -");
            self.error("device.id", format!("{id:?}"), expected)
        })
    }

    fn board(&self, board: &str) -> Result<heapless::String<32>, Error> {
        heapless::String::try_from(board).map_err(|_| {
            self.error("device.board", format!("{board:?}"), "a name of at most 32 bytes")
        })
    }

    fn source(&self, raw: RawSource, folder: &Path) -> Result<SourceConfig, Error> {
        let interval = match raw.rate_fps {
            Some(rate) => {
                let rate = self.within("source.rate_fps", rate, 0.1..=240.0)?;
                Some(Duration::from_secs_f64(rate.recip()))
            }
            None => None,
        };
        Ok(SourceConfig {
            kind: raw.kind.into(),
            path: folder.join(raw.path),
            interval,
            after_last: match (raw.repeat, raw.at_end) {
                (true, _) => AfterLast::Repeat,
                (false, RawAtEnd::Exit) => AfterLast::Exit,
                (false, RawAtEnd::Stay) => AfterLast::Stay,
            },
            pace: match raw.pace {
                RawPace::Live => Pace::Live,
                RawPace::EveryFrame => Pace::EveryFrame,
            },
        })
    }

    fn prompts(&self, raw: &[RawPrompt]) -> Result<Vec<ConfiguredPrompt>, Error> {
        let mut prompts: Vec<ConfiguredPrompt> = Vec::new();
        for (index, prompt) in raw.iter().enumerate() {
            let key = format!("prompt[{index}].object");
            let object = u8::try_from(prompt.object).ok().and_then(|n| ObjectId::new(n).ok());
            let object = object.ok_or_else(|| {
                self.error(&key, prompt.object, format!("0 to {MAX_OBJECT}"))
            })?;
            if prompts.iter().any(|p| p.object == object) {
                return Err(self.error(&key, prompt.object, "a number that no other prompt has"));
            }
            let points = prompt.points.iter().map(|text| {
                let key = format!("prompt[{index}].points");
                parse_point(text).map_err(|expected| self.error(&key, format!("{text:?}"), expected))
            });
            let points = points.collect::<Result<Vec<_>, _>>()?;
            if points.is_empty() && prompt.bbox.is_none() {
                let key = format!("prompt[{index}]");
                return Err(self.error(&key, "empty", "points, a box, or both"));
            }
            prompts.push(ConfiguredPrompt { object, points, bbox: prompt.bbox });
        }
        Ok(prompts)
    }

    fn broker(&self, raw: &RawBroker) -> Result<BrokerConfig, Error> {
        let place = match (raw.kind, &raw.listen, &raw.url) {
            (RawBrokerKind::Embedded, listen, None) => {
                let listen = listen.as_deref().unwrap_or("127.0.0.1:1883");
                let address = listen.parse().map_err(|_| {
                    let expected = "an address and port such as 127.0.0.1:1883";
                    self.error("broker.listen", format!("{listen:?}"), expected)
                })?;
                BrokerPlace::Embedded { listen: address }
            }
            (RawBrokerKind::External, None, Some(url)) => {
                let url = url.parse().map_err(|expected: &str| {
                    self.error("broker.url", format!("{url:?}"), expected)
                })?;
                BrokerPlace::External(url)
            }
            (RawBrokerKind::External, _, None) => {
                return Err(self.error("broker.url", "missing", "a URL such as mqtt://host:1883"));
            }
            (RawBrokerKind::External, Some(listen), _) => {
                let expected = "no such key with kind = \"external\"";
                return Err(self.error("broker.listen", format!("{listen:?}"), expected));
            }
            (RawBrokerKind::Embedded, _, Some(url)) => {
                let expected = "no such key with kind = \"embedded\"";
                return Err(self.error("broker.url", format!("{url:?}"), expected));
            }
        };
        let protocol = match raw.protocol {
            None | Some(4) => Protocol::V4,
            Some(5) => Protocol::V5,
            Some(other) => {
                return Err(self.error("broker.protocol", other, "4 (MQTT 3.1.1) or 5"));
            }
        };
        let keep_alive_s = self.within_or("broker.keep_alive_s", raw.keep_alive_s, 5..=600, 5)?;
        let limit = self.within_or(
            "broker.max_payload_bytes",
            raw.max_payload_bytes,
            512..=MAX_PACKET_BYTES,
            4096,
        )?;
        Ok(BrokerConfig {
            place,
            protocol,
            keep_alive: Duration::from_secs(keep_alive_s as u64),
            max_payload_bytes: limit as usize,
        })
    }

    fn within_or<T: PartialOrd + Display>(
        &self,
        key: &str,
        value: Option<T>,
        range: RangeInclusive<T>,
        default: T,
    ) -> Result<T, Error> {
        value.map_or(Ok(default), |value| self.within(key, value, range))
    }

    fn within<T: PartialOrd + Display>(
        &self,
        key: &str,
        value: T,
        range: RangeInclusive<T>,
    ) -> Result<T, Error> {
        if range.contains(&value) {
            return Ok(value);
        }
        Err(self.error(key, value, format!("{} to {}", range.start(), range.end())))
    }

    fn error(&self, key: &str, found: impl Display, expected: impl Display) -> Error {
        Error::ConfigValue {
            file: self.file.to_owned(),
            key: key.to_owned(),
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }
}

/// What the runtime accepts at all; larger packets cost the connection.
const MAX_PACKET_BYTES: i64 = crate::mqtt::MAX_PACKET_BYTES as i64;

impl From<raw::RawSourceKind> for SourceKind {
    fn from(raw: raw::RawSourceKind) -> Self {
        match raw {
            raw::RawSourceKind::Dicom => Self::Dicom,
            raw::RawSourceKind::Images => Self::Images,
        }
    }
}

/// A syntax error in one line, with the line that it is about.
fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> Error {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = text[..start].matches('\n').count();
    Error::ConfigSyntax {
        file: path.to_owned(),
        line: line + 1,
        text: text.lines().nth(line).unwrap_or_default().trim().to_owned(),
        reason: error.message().replace('\n', ", "),
    }
}
