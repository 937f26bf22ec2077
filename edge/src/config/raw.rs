//! The configuration as it is typed: keys, types and defaults, nothing judged.

use std::path::PathBuf;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    pub device: RawDevice,
    pub build: RawBuild,
    pub source: RawSource,
    #[serde(default)]
    pub prompt: Vec<RawPrompt>,
    pub broker: RawBroker,
    #[serde(default)]
    pub output: RawOutput,
    pub outbox: Option<RawOutbox>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDevice {
    pub id: String,
    #[serde(default = "generic")]
    pub board: String,
}

fn generic() -> String {
    "generic".into()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBuild {
    pub path: PathBuf,
    pub threads: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSource {
    pub kind: RawSourceKind,
    pub path: PathBuf,
    pub rate_fps: Option<f64>,
    #[serde(default, rename = "loop")]
    pub repeat: bool,
    #[serde(default)]
    pub pace: RawPace,
    #[serde(default)]
    pub at_end: RawAtEnd,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawSourceKind {
    Dicom,
    Images,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawPace {
    #[default]
    Live,
    EveryFrame,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawAtEnd {
    #[default]
    Exit,
    Stay,
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
pub(super) struct RawBroker {
    pub kind: RawBrokerKind,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOutbox {
    pub path: PathBuf,
    pub max_messages: Option<i64>,
}
