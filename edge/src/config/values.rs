//! Values of the configuration, all in range.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use medsa_sam::prompt::{BoxXyxy, Point};
use medsa_update::WithoutClock;
use medsa_wire::topic::{DeviceId, ObjectId};
use url::Url;

use super::broker::{Access, BrokerUrl, Protocol};
use super::source::SourceConfig;

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
    /// Whether objects are followed between runs of the encoder.
    pub following: Following,
    /// What is told and heard over HTTP.
    pub http: Option<HttpConfig>,
    /// Where masks go.
    pub broker: BrokerConfig,
    /// Formats, queues and reports.
    pub output: OutputConfig,
    /// Where captures are kept; without it they are refused.
    pub records: Option<RecordsConfig>,
    /// Where captured records wait for the broker.
    pub outbox: Option<OutboxConfig>,
    /// What is given up when the device is hot or slow; without it, nothing is.
    pub degrade: Option<DegradeConfig>,
    /// Where newer builds come from.
    pub update: Option<UpdateConfig>,
    /// Time at one piece of work after which a stage is stuck.
    pub stuck_after: Duration,
    /// Where the log goes.
    pub log: LogConfig,
}

/// What is given up when the device is hot or slow.
#[derive(Clone, Debug)]
pub struct DegradeConfig {
    /// When.
    pub limits: Limits,
    /// A build to fall back on.
    pub smaller_build: Option<PathBuf>,
    /// Where the temperature is read, in thousandths of a degree Celsius; `None` for the hottest
    /// of all sensors.
    pub thermal_file: Option<PathBuf>,
}

/// When steps are taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Temperature from which on the processor is hot, in degrees Celsius.
    pub hot_c: f64,
    /// Temperature up to which it is cool.
    pub cool_c: f64,
    /// Longest time of the encoder for a frame; any when not given.
    pub max_encoder_ms: Option<f64>,
    /// How long trouble lasts before a step is taken, and how long all is well before one is
    /// taken back.
    pub hold: Duration,
}

/// Whether objects are followed from frame to frame, and what the network finds is judged and
/// smoothed by that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Following {
    /// They are.
    On,
    /// Every frame is for itself, and prompts stay where they are.
    Off,
}

/// Limits of a folder of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Bytes that all records may take.
    pub max_bytes: u64,
    /// Bytes that must stay free on their disk.
    pub min_free_bytes: u64,
}

/// Where the log goes.
#[derive(Clone, Debug, Default)]
pub struct LogConfig {
    /// To whom.
    pub to: LogTo,
    /// What is of interest, as in `MEDSA_LOG`.
    pub level: Option<String>,
}

/// To whom the log goes.
#[derive(Clone, Debug, Default)]
pub enum LogTo {
    /// Standard error.
    #[default]
    Stderr,
    /// The journal of systemd.
    Journald,
    /// Files.
    File(LogFile),
}

/// Files of a log.
#[derive(Clone, Debug)]
pub struct LogFile {
    /// The newest; older ones have a number behind it.
    pub path: PathBuf,
    /// Size of each.
    pub max_bytes: u64,
    /// Older files that are kept.
    pub keep: u64,
}

/// What is told and heard over HTTP.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Where it listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Where it listens besides, for who uses this machine: a loopback address.
    pub kiosk: Option<SocketAddr>,
    /// Who may see pictures, and prompt.
    pub control: HttpControl,
    /// Who sees to it that others on the network cannot read what is sent.
    pub encryption: Encryption,
    /// What the page may be used for.
    pub intended_use: IntendedUse,
}

impl HttpConfig {
    /// Whether others than this machine's users see what there is to see.
    pub fn is_shared(&self) -> bool {
        !self.listen.ip().is_loopback() || self.encryption == Encryption::Proxy
    }
}

/// What the page may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntendedUse {
    /// Not for diagnosis, as the page says.
    NotDiagnostic,
    /// Also for diagnosis: whoever configures it answers for that.
    Diagnostic,
}

/// Who encrypts HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// Nobody.
    Off,
    /// A proxy, through which others come.
    Proxy,
    /// The service itself.
    Own {
        /// Its certificate, and those that lead to one that clients know.
        certificate: PathBuf,
        /// The certificate's private key.
        key: PathBuf,
    },
}

/// Who may see pictures, and prompt, over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpControl {
    /// Nobody: only metrics and health are there.
    Off,
    /// Whoever uses this machine; only with a loopback address.
    ThisMachine,
    /// Who knows the token in this file.
    Token(PathBuf),
}

/// The build to run.
#[derive(Clone, Debug)]
pub struct BuildConfig {
    /// The `.medsa` file, or a folder of slots.
    pub path: PathBuf,
    /// How long a build from a slot has to be well on trial.
    pub confirm_after: Duration,
    /// Threads of the runtime.
    pub threads: NonZeroUsize,
}

/// Where newer builds come from.
#[derive(Clone, Debug)]
pub struct UpdateConfig {
    /// The root that came with the device.
    pub root: PathBuf,
    /// The repository, unless somebody names another one.
    pub repository: Option<Url>,
    /// Name of the build; that of the one in use when there is none.
    pub name: Option<String>,
    /// Time between two looks by itself; without it, somebody has to ask.
    pub every: Option<Duration>,
    /// What happens when the time is not known.
    pub without_clock: WithoutClock,
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

/// Where captures are kept.
#[derive(Clone, Debug)]
pub struct RecordsConfig {
    /// A folder of their own.
    pub folder: PathBuf,
    /// How much room they may take.
    pub budget: Budget,
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
