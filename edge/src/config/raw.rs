//! The configuration file as written: keys, types and defaults, not yet checked.

use std::fs;
use std::path::{Path, PathBuf};

use medsa_wire::topic::MAX_DEVICE_LEN;
use serde::Deserialize;

use super::source::raw::RawSource;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    #[serde(default)]
    pub device: RawDevice,
    #[serde(default)]
    pub build: RawBuild,
    pub source: Option<RawSource>,
    #[serde(default)]
    pub prompt: Vec<RawPrompt>,
    #[serde(default)]
    pub preset: Vec<RawPreset>,
    #[serde(default)]
    pub user: Vec<RawUser>,
    #[serde(default)]
    pub follow: RawFollow,
    #[serde(default)]
    pub cine: RawCine,
    pub http: Option<RawHttp>,
    #[serde(default)]
    pub broker: RawBroker,
    #[serde(default)]
    pub output: RawOutput,
    pub records: Option<RawRecords>,
    pub archive: Option<RawArchive>,
    pub dicomweb: Option<RawDicomWeb>,
    pub worklist: Option<RawWorklist>,
    pub outbox: Option<RawOutbox>,
    pub degrade: Option<RawDegrade>,
    pub update: Option<RawUpdate>,
    #[serde(default)]
    pub watchdog: RawWatchdog,
    #[serde(default)]
    pub log: RawLog,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawDevice {
    pub id: String,
    pub board: String,
}

impl Default for RawDevice {
    fn default() -> Self {
        Self { id: host_name(), board: "generic".into() }
    }
}

/// Name of this machine in the form of a device's name.
pub(super) fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '-' };
    let id: String = name.trim().chars().map(allowed).take(MAX_DEVICE_LEN).collect();
    if id.is_empty() { "medsa".into() } else { id }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawBuild {
    pub path: PathBuf,
    pub confirm_min: Option<f64>,
    pub threads: Option<i64>,
    pub others: Option<PathBuf>,
    pub keep_bytes: Option<i64>,
}

impl Default for RawBuild {
    fn default() -> Self {
        Self {
            path: "build.medsa".into(),
            confirm_min: None,
            threads: None,
            others: None,
            keep_bytes: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUpdate {
    pub root: PathBuf,
    pub repository: Option<String>,
    pub name: Option<String>,
    pub every_h: Option<f64>,
    #[serde(default)]
    pub without_clock: RawWithoutClock,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawWithoutClock {
    #[default]
    Refuse,
    IgnoreExpiry,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPrompt {
    pub object: i64,
    #[serde(default)]
    pub points: Vec<String>,
    #[serde(rename = "box")]
    pub bbox: Option<[f32; 4]>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHttp {
    #[serde(default = "page")]
    pub listen: String,
    pub kiosk: Option<String>,
    #[serde(default)]
    pub control: bool,
    pub token_file: Option<PathBuf>,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    #[serde(default)]
    pub behind_proxy: bool,
    #[serde(default)]
    pub diagnostic: bool,
    pub lock_after_min: Option<f64>,
}

fn page() -> String {
    "127.0.0.1:9090".into()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPreset {
    pub name: String,
    pub objects: Vec<String>,
    pub build: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUser {
    pub name: String,
    /// A value of any type: the parser would quote one of another type, and it may be the PIN.
    pub pin_hash: toml::Value,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFollow {
    pub enabled: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCine {
    pub keep_s: Option<f64>,
    pub max_bytes: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBroker {
    pub kind: Option<RawBrokerKind>,
    pub listen: Option<String>,
    pub url: Option<String>,
    pub ca_file: Option<PathBuf>,
    pub client_cert: Option<PathBuf>,
    pub client_key: Option<PathBuf>,
    pub user: Option<String>,
    pub password_file: Option<PathBuf>,
    pub client_id: Option<String>,
    pub protocol: Option<i64>,
    pub keep_alive_s: Option<i64>,
    pub connect_timeout_s: Option<i64>,
    pub max_payload_bytes: Option<i64>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawBrokerKind {
    Embedded,
    External,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRecords {
    #[serde(default = "records")]
    pub folder: PathBuf,
    pub max_bytes: Option<i64>,
    pub min_free_bytes: Option<i64>,
    pub stick: Option<PathBuf>,
    pub study_timeout_min: Option<i64>,
}

fn records() -> PathBuf {
    "records".into()
}

/// A section about a peer in the hospital's network, with keys of its own. Serde cannot both share fields
/// and name the keys that a section may have.
macro_rules! peer_section {
    ($name:ident { $($key:ident: $kind:ty),* }) => {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            pub address: String,
            pub called_ae: String,
            #[serde(default = "ae_title")]
            pub calling_ae: String,
            pub timeout_s: Option<i64>,
            #[serde(default)]
            pub tls: bool,
            pub ca_file: Option<PathBuf>,
            pub client_cert: Option<PathBuf>,
            pub client_key: Option<PathBuf>,
            $(pub $key: Option<$kind>,)*
        }

        impl $name {
            pub(super) fn peer(&self) -> RawPeer<'_> {
                RawPeer {
                    address: &self.address,
                    called_ae: &self.called_ae,
                    calling_ae: &self.calling_ae,
                    timeout_s: self.timeout_s,
                    tls: self.tls,
                    ca_file: self.ca_file.as_deref(),
                    client_cert: self.client_cert.as_deref(),
                    client_key: self.client_key.as_deref(),
                }
            }
        }
    };
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDicomWeb {
    pub url: String,
    pub timeout_s: Option<i64>,
    pub user: Option<String>,
    pub password_file: Option<PathBuf>,
    pub token_file: Option<PathBuf>,
    pub ca_file: Option<PathBuf>,
    pub client_cert: Option<PathBuf>,
    pub client_key: Option<PathBuf>,
}

peer_section!(RawArchive { commitment: String });
peer_section!(RawWorklist { modality: String, only_this_device: bool, report: bool });

/// Keys that all sections about peers have.
pub(super) struct RawPeer<'a> {
    pub address: &'a str,
    pub called_ae: &'a str,
    pub calling_ae: &'a str,
    pub timeout_s: Option<i64>,
    pub tls: bool,
    pub ca_file: Option<&'a Path>,
    pub client_cert: Option<&'a Path>,
    pub client_key: Option<&'a Path>,
}

fn ae_title() -> String {
    "MEDSA".into()
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOutput {
    #[serde(default)]
    pub format: RawFormat,
    pub queue_masks: Option<i64>,
    pub stats_interval_s: Option<i64>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawFormat {
    #[default]
    Postcard,
    Json,
    Both,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLog {
    pub to: Option<RawLogTo>,
    pub level: Option<String>,
    pub file: Option<PathBuf>,
    pub max_bytes: Option<i64>,
    pub keep: Option<i64>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawLogTo {
    Stderr,
    Journald,
    File,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDegrade {
    pub hot_c: Option<f64>,
    pub cool_c: Option<f64>,
    pub max_encoder_ms: Option<f64>,
    pub hold_s: Option<f64>,
    pub smaller_build: Option<PathBuf>,
    pub thermal_file: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWatchdog {
    pub stuck_s: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOutbox {
    #[serde(default = "outbox")]
    pub path: PathBuf,
    pub max_messages: Option<i64>,
}

fn outbox() -> PathBuf {
    "outbox.redb".into()
}
