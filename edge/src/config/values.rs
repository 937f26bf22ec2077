//! Checked values of the configuration.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use medsa_sam::prompt::{BoxXyxy, Point};
use medsa_update::WithoutClock;
use medsa_wire::topic::{DeviceId, ObjectId};
use serde::Serialize;
use url::Url;

use super::broker::{Access, BrokerUrl, Protocol};
use super::source::SourceConfig;
use super::text::is_invisible;
use super::users::SignIn;

/// A configuration with all values checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Path of the file, for messages.
    pub file: PathBuf,
    /// Name of the device, a level of every topic.
    pub device: DeviceId,
    /// Name of the board, published in `info`; at most 32 bytes.
    pub board: heapless::String<32>,
    /// The build to run.
    pub build: BuildConfig,
    /// Source of frames.
    pub source: SourceConfig,
    /// Prompts that apply from the first frame.
    pub prompts: Vec<ConfiguredPrompt>,
    /// Examinations to choose from on the page.
    pub presets: Vec<Preset>,
    /// Following of objects between runs of the encoder.
    pub following: Following,
    /// The cine buffer.
    pub cine: CineConfig,
    /// HTTP server; `None` runs none.
    pub http: Option<HttpConfig>,
    /// Broker for masks, prompts and commands.
    pub broker: BrokerConfig,
    /// Message formats, queues and reports.
    pub output: OutputConfig,
    /// Folder for captures; `None` refuses captures.
    pub records: Option<RecordsConfig>,
    /// Archive that captures are sent to; `None` sends none.
    pub archive: Option<ArchiveConfig>,
    /// Worklist with the patients of the day; `None` has none.
    pub worklist: Option<WorklistConfig>,
    /// Outbox for captured records that wait for the broker; `None` keeps none.
    pub outbox: Option<OutboxConfig>,
    /// Degradation when the device is hot or slow; `None` never degrades.
    pub degrade: Option<DegradeConfig>,
    /// Source of newer builds.
    pub update: Option<UpdateConfig>,
    /// Time on one piece of work after which a stage counts as stuck.
    pub stuck_after: Duration,
    /// Destination and level of the log.
    pub log: LogConfig,
}

/// Degradation when the device is hot or slow.
#[derive(Clone, Debug)]
pub struct DegradeConfig {
    /// Limits that trigger degradation.
    pub limits: Limits,
    /// Smaller build for level 2 and above.
    pub smaller_build: Option<PathBuf>,
    /// Path of the temperature sensor's file, in thousandths of a degree Celsius; `None` uses the
    /// hottest of all sensors.
    pub thermal_file: Option<PathBuf>,
}

/// Limits that trigger degradation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Temperature from which the processor counts as hot, in degrees Celsius.
    pub hot_c: f64,
    /// Highest temperature at which it counts as cool again, in degrees Celsius.
    pub cool_c: f64,
    /// Longest time of the encoder for one frame, in ms; `None` sets no limit.
    pub max_encoder_ms: Option<f64>,
    /// Time that trouble must last before the level rises, and that the device must be healthy
    /// before the level falls.
    pub hold: Duration,
}

/// Following of objects from frame to frame by optical flow, which also checks and smooths the
/// masks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Following {
    /// Objects are followed.
    On,
    /// Each frame is independent, and prompts stay in place.
    Off,
}

/// The cine buffer: the last frames, to be shown again while frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CineConfig {
    /// Time for which frames are kept; zero keeps none.
    pub keep: Duration,
    /// Largest size of all kept frames and their masks, in bytes.
    pub max_bytes: usize,
}

impl Default for CineConfig {
    /// Ten seconds of 640 x 480 px in grey at 40 frames/s.
    fn default() -> Self {
        Self { keep: Duration::from_secs(10), max_bytes: 128 << 20 }
    }
}

/// Limits of the records folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Largest size of all records, in bytes.
    pub max_bytes: u64,
    /// Bytes that must stay free on the disk of the folder.
    pub min_free_bytes: u64,
}

/// A peer in the hospital's network.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// Host and port.
    pub address: String,
    /// AE title of the peer.
    pub called_ae: String,
    /// AE title of this device.
    pub calling_ae: String,
    /// Longest wait for a connection, and for each answer.
    pub timeout: Duration,
    /// Encryption; `None` for plain connections.
    pub encryption: Option<PeerEncryption>,
}

/// Encryption of connections to a peer.
#[derive(Clone, Debug, Default)]
pub struct PeerEncryption {
    /// CA certificates that must have signed the peer's certificate. `None`: those of the system.
    pub ca_file: Option<PathBuf>,
    /// Certificate and private key of this device, if the peer requires them.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Archive of the hospital (PACS).
#[derive(Clone, Debug)]
pub enum ArchiveConfig {
    /// By DICOM messages (C-STORE).
    Dicom {
        /// The archive.
        peer: PeerConfig,
        /// Address at which the archive reports what it keeps; `None` does not ask for storage
        /// commitment.
        commitment: Option<SocketAddr>,
    },
    /// By DICOMweb (STOW-RS).
    Web(DicomWebConfig),
}

/// DICOMweb service of an archive.
#[derive(Clone, Debug)]
pub struct DicomWebConfig {
    /// URL of the service, without `/studies`.
    pub url: Url,
    /// Longest time for a connection, and for a record.
    pub timeout: Duration,
    /// Proof of identity, if the service requires one.
    pub login: Option<WebLogin>,
    /// Certificates, for `https`.
    pub encryption: PeerEncryption,
}

/// Proof of identity to a web service.
#[derive(Clone, Debug)]
pub enum WebLogin {
    /// User name, and the file with the password.
    User(String, PathBuf),
    /// File with a token.
    Token(PathBuf),
}

/// Worklist of the hospital: the examinations that are planned.
#[derive(Clone, Debug)]
pub struct WorklistConfig {
    /// The system that has the worklist (RIS).
    pub peer: PeerConfig,
    /// Modality of the wanted examinations; `None` for all.
    pub modality: Option<String>,
    /// True for those that are planned on this device alone, by its AE title.
    pub only_this_device: bool,
    /// True to report begin and end of these examinations (MPPS).
    pub report: bool,
}

/// Destination and level of the log.
#[derive(Clone, Debug, Default)]
pub struct LogConfig {
    /// Destination.
    pub to: LogTo,
    /// Filter in the syntax of `MEDSA_LOG`.
    pub level: Option<String>,
}

/// Destination of the log.
#[derive(Clone, Debug, Default)]
pub enum LogTo {
    /// Standard error; the journal if systemd has connected standard error to it.
    #[default]
    Terminal,
    /// Standard error.
    Stderr,
    /// The journal of systemd.
    Journald,
    /// Files.
    File(LogFile),
}

/// Rotated log files.
#[derive(Clone, Debug)]
pub struct LogFile {
    /// Path of the newest file; older ones have a number appended.
    pub path: PathBuf,
    /// Largest size of each file, in bytes.
    pub max_bytes: u64,
    /// Number of older files to keep.
    pub keep: u64,
}

/// HTTP server.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Address of the server; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Second address for users of this machine: a loopback address without token and encryption.
    pub kiosk: Option<SocketAddr>,
    /// Access to frames, prompts and commands.
    pub control: HttpControl,
    /// Transport encryption.
    pub encryption: Encryption,
    /// Intended use that the page states.
    pub intended_use: IntendedUse,
    /// Sign-in of users on the page; `None` if the page knows no users.
    pub sign_in: Option<SignIn>,
}

impl HttpConfig {
    /// True if users of other machines can reach the server.
    pub fn is_shared(&self) -> bool {
        !self.listen.ip().is_loopback() || self.encryption == Encryption::Proxy
    }
}

/// Intended use that the page states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntendedUse {
    /// Not for diagnosis; the page says so.
    NotDiagnostic,
    /// Also for diagnosis; the administrator who sets this is responsible.
    Diagnostic,
}

/// Transport encryption of the HTTP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// None.
    Off,
    /// A proxy in front of the service encrypts.
    Proxy,
    /// The service encrypts.
    Own {
        /// Certificate of the device, followed by its chain.
        certificate: PathBuf,
        /// Private key of the certificate.
        key: PathBuf,
    },
}

/// Access to frames, prompts and commands over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpControl {
    /// None: the server offers metrics and health only.
    Off,
    /// Users of this machine; requires a loopback address.
    ThisMachine,
    /// Clients that send the token in this file.
    Token(PathBuf),
}

/// The build to run.
#[derive(Clone, Debug)]
pub struct BuildConfig {
    /// The `.medsa` file, or a folder of slots.
    pub path: PathBuf,
    /// Time that a build on trial must be healthy before it is confirmed.
    pub confirm_after: Duration,
    /// Number of threads of the runtime.
    pub threads: NonZeroUsize,
    /// Folder of further builds to choose from; `None` if there are none.
    pub others: Option<PathBuf>,
    /// Memory for loaded builds that are not in use, in bytes.
    pub keep_bytes: u64,
}

/// Source of newer builds.
#[derive(Clone, Debug)]
pub struct UpdateConfig {
    /// Path of the root metadata that came with the device.
    pub root: PathBuf,
    /// Repository; `None` if it is given with each update.
    pub repository: Option<Url>,
    /// Name of the build; `None` for that of the build in use.
    pub name: Option<String>,
    /// Time between two automatic checks; `None` for updates on request only.
    pub every: Option<Duration>,
    /// Behaviour when the clock is not set.
    pub without_clock: WithoutClock,
}

/// A prompt from the configuration. Whether it lies inside the frame is checked at the first
/// frame.
#[derive(Clone, Debug)]
pub struct ConfiguredPrompt {
    /// The object.
    pub object: ObjectId,
    /// Clicks in frame pixels.
    pub points: Vec<Point>,
    /// Box in frame pixels.
    pub bbox: Option<BoxXyxy>,
}

/// An examination: names of objects, and the build for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Preset {
    /// Name of the examination.
    pub name: String,
    /// Names of objects 0, 1, ...
    pub objects: Vec<ObjectName>,
    /// Name of the build; `None` keeps the one in use.
    pub build: Option<String>,
}

/// Name of a structure: 1 to 64 visible characters, as for the label of a DICOM segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ObjectName(String);

impl ObjectName {
    const MAX: usize = 64;

    /// Accepted texts, in words.
    pub(super) const EXPECTED: &str = "1 to 64 visible characters";

    /// Checks a name and removes blanks around it.
    ///
    /// # Errors
    /// Values found and expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let name = text.trim();
        if name.is_empty() || name.chars().count() > Self::MAX || name.contains(is_invisible) {
            return Err(format!("name is {text:?}, expected {}", Self::EXPECTED));
        }
        Ok(Self(name.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Broker and protocol.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// Location of the broker.
    pub place: BrokerPlace,
    /// Version of MQTT.
    pub protocol: Protocol,
    /// MQTT client id.
    pub client_id: String,
    /// Time without traffic after which the connection is tested.
    pub keep_alive: Duration,
    /// Longest time for connecting.
    pub connect_timeout: Duration,
    /// Largest payload accepted, in bytes.
    pub max_payload_bytes: usize,
}

/// Location of the broker.
#[derive(Clone, Debug)]
pub enum BrokerPlace {
    /// A broker in this process; port 0 picks a free one.
    Embedded {
        /// Address that it listens on.
        listen: SocketAddr,
    },
    /// An external broker.
    External {
        /// Its address.
        url: BrokerUrl,
        /// Credentials; relative paths start at the working directory.
        access: Access,
    },
}

/// Message formats, queues and reports.
#[derive(Clone, Debug)]
pub struct OutputConfig {
    /// Encoding of messages.
    pub format: Format,
    /// Largest number of masks that wait for the broker.
    pub queue_masks: usize,
    /// Time between two `stats` messages.
    pub stats_interval: Duration,
}

/// Storage of captures.
#[derive(Clone, Debug)]
pub struct RecordsConfig {
    /// Folder that holds records only.
    pub folder: PathBuf,
    /// Size limits.
    pub budget: Budget,
    /// Folder at which a USB stick is mounted, for copies.
    pub stick: Option<PathBuf>,
    /// Time without a capture after which a study is closed.
    pub study_timeout: Duration,
}

/// Encoding of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Postcard, as in `wire/SPEC.md`.
    Postcard,
    /// JSON on `<topic>/json`.
    Json,
    /// Both, each on its own topic.
    Both,
}

/// Storage for messages that must not be lost.
#[derive(Clone, Debug)]
pub struct OutboxConfig {
    /// Database file.
    pub path: PathBuf,
    /// Largest number of messages.
    pub max_messages: u64,
}
