//! Manifest of a build.

use std::collections::BTreeMap;

use medsa_sam::image::Preprocess;
use serde::{Deserialize, Serialize};

use crate::hash::sha256_hex;

/// Content of `manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format, see [`Manifest::FORMAT`]. Readers refuse other versions.
    pub format: u32,
    /// Name of the build, for display.
    pub name: String,
    /// Version of the build, for display and for ordering.
    pub version: String,
    /// Lowest version of the edge service that can run the build.
    pub min_edge_version: String,
    /// Base model.
    pub base: Origin,
    /// Adapter; `None` if none is folded in.
    pub adapter: Option<Origin>,
    /// Names of the structures on which the adapter was trained.
    #[serde(default)]
    pub classes: Vec<String>,
    /// Preprocessing of frames to the network's input.
    pub preprocess: Preprocess,
    /// Arithmetic of the models.
    pub precision: Precision,
    /// Agreement of the int8 models with f32; `None` for an f32 build.
    pub agreement: Option<Agreement>,
    /// Int8 quantization; `None` for an f32 build.
    #[serde(default)]
    pub quantization: Option<QuantizationReport>,
    /// Limits that the build misses, each as a sentence. Devices refuse the build if there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unfit: Vec<String>,
    /// All other files in the build.
    pub files: BTreeMap<String, FileEntry>,
}

impl Manifest {
    /// Format version that this crate writes and reads.
    pub const FORMAT: u32 = 2;
    /// Image encoder: `image` `[1, 3, S, S]` -> `embedding` `[1, C, h, w]`.
    pub const ENCODER: &'static str = "encoder.onnx";
    /// Prompt encoder and mask decoder: `embedding`, `point_coords` `[1, N, 2]`, `point_labels`
    /// `[1, N]`, `mask_input` `[1, 1, 4h, 4w]`, `has_mask` `[1]` -> `masks` `[1, 4, 4h, 4w]`
    /// (logits), `iou` `[1, 4]`.
    pub const DECODER: &'static str = "decoder.onnx";
}

/// A file from which the build was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Name without folder and extension.
    pub name: String,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
}

/// Arithmetic of the models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 32-bit float.
    F32,
    /// Int8 in the products of layers and attentions, except for a few; 32-bit float in the rest.
    Int8,
}

/// Extent of the int8 quantization.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantizationReport {
    /// Part of all multiply-accumulates in int8, for one frame and one prompt, from 0 to 1.
    pub int8_macs: f64,
    /// Layers and attentions that stayed in float because masks are sensitive to them.
    pub in_float: Vec<String>,
}

/// Agreement of the int8 models' masks with those of the f32 models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// Number of frames compared.
    pub frames: usize,
    /// Number of masks compared: one for each frame and box prompt.
    pub masks: usize,
    /// Mean intersection over union of the masks.
    pub mean_iou: f64,
    /// Lowest intersection over union.
    pub min_iou: f64,
}

/// Size and hash of a file in the build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
}

impl FileEntry {
    /// Entry of a file with the content `data`.
    pub fn of(data: &[u8]) -> Self {
        Self { bytes: data.len() as u64, sha256: sha256_hex(data) }
    }
}
