//! The section `[source]` as written.

use std::path::PathBuf;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawSource {
    pub kind: RawKind,
    pub path: Option<PathBuf>,
    pub command: Option<Vec<String>>,
    pub server: Option<String>,
    pub device_name: Option<String>,
    pub window: Option<[i64; 2]>,
    pub device: Option<PathBuf>,
    pub format: Option<RawFormat>,
    pub rate_fps: Option<f64>,
    #[serde(rename = "loop")]
    pub repeat: Option<bool>,
    pub pace: Option<RawPace>,
    pub at_end: Option<RawAtEnd>,
    pub start_s: Option<f64>,
    pub stall_s: Option<f64>,
    pub max_back_off_s: Option<f64>,
    pub frame_size: Option<[i64; 2]>,
    pub region: Option<[i64; 4]>,
    pub blank: Option<Vec<[i64; 4]>>,
    pub pixel_spacing_mm: Option<[f64; 2]>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RawKind {
    Dicom,
    Images,
    Pipe,
    OpenIgtLink,
    V4l2,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RawFormat {
    Rgb24,
    Mjpeg,
    Yuyv,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum RawPace {
    Live,
    EveryFrame,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum RawAtEnd {
    Exit,
    Stay,
    Reverse,
}
