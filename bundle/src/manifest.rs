//! What a build says about itself.

use std::collections::BTreeMap;

use medsa_sam::image::Preprocess;
use serde::{Deserialize, Serialize};

use crate::hash::sha256_hex;

/// `manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format; readers refuse others. See [`Manifest::FORMAT`].
    pub format: u32,
    /// Name of the build, for people.
    pub name: String,
    /// Version of the build, for people and for ordering.
    pub version: String,
    /// Lowest version of the edge service that can run it.
    pub min_edge_version: String,
    /// The base model.
    pub base: Origin,
    /// The adapter, if one is folded in.
    pub adapter: Option<Origin>,
    /// Names of the structures that the adapter was trained on.
    #[serde(default)]
    pub classes: Vec<String>,
    /// From a frame to the network's input.
    pub preprocess: Preprocess,
    /// Arithmetic of the models.
    pub precision: Precision,
    /// How well the int8 model agrees with f32.
    pub agreement: Option<Agreement>,
    /// What of the int8 model is in 8 bits.
    #[serde(default)]
    pub quantization: Option<QuantizationReport>,
    /// Limits that the build misses, each as a sentence; devices refuse it if there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unfit: Vec<String>,
    /// Every other file in the build.
    pub files: BTreeMap<String, FileEntry>,
}

impl Manifest {
    /// The format that this version of the crate writes and reads.
    pub const FORMAT: u32 = 2;
    /// The image encoder: `image` `[1, 3, S, S]` -> `embedding` `[1, C, h, w]`.
    pub const ENCODER: &'static str = "encoder.onnx";
    /// Prompt encoder and mask decoder: `embedding`, `point_coords` `[1, N, 2]`, `point_labels`
    /// `[1, N]`, `mask_input` `[1, 1, 4h, 4w]`, `has_mask` `[1]` -> `masks` `[1, 4, 4h, 4w]`
    /// (logits), `iou` `[1, 4]`.
    pub const DECODER: &'static str = "decoder.onnx";
}

/// A file that went into the build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Its name.
    pub name: String,
    /// Its SHA-256, in hex.
    pub sha256: String,
}

/// Arithmetic of the models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 32-bit float.
    F32,
    /// Products of layers and attentions in 8 bits but for a few; the rest in 32-bit float.
    Int8,
}

/// What of a model is in 8 bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantizationReport {
    /// Part of all multiply-accumulates of one frame and one prompt.
    pub int8_macs: f64,
    /// Layers and attentions that stayed in float because of what they do to masks.
    pub in_float: Vec<String>,
}

/// How well the int8 model's masks agree with the f32 model's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// Frames compared.
    pub frames: usize,
    /// Masks compared: one for each frame and box prompt.
    pub masks: usize,
    /// Mean intersection over union of the masks.
    pub mean_iou: f64,
    /// Lowest of them.
    pub min_iou: f64,
}

/// Size and hash of a file in the build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256, in hex.
    pub sha256: String,
}

impl FileEntry {
    /// The entry of a file with the content `data`.
    pub fn of(data: &[u8]) -> Self {
        Self { bytes: data.len() as u64, sha256: sha256_hex(data) }
    }
}
