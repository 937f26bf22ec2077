//! Adapter files: what was trained, and for which base.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use medsa_bundle::{Origin, sha256_hex};
use medsa_sam::{AdapterConfig, Sam, Weights};
use serde::{Deserialize, Serialize};

use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::prompts::PromptMix;
use crate::tensor_file::{TensorFile, from_metadata, stem};

/// Metadata key of [`AdapterInfo`], as JSON.
const INFO: &str = "medsa.adapter";

/// An adapter: only the trained tensors, by name.
pub struct Adapter {
    /// Its file.
    pub path: PathBuf,
    /// Name and hash of the file.
    pub origin: Origin,
    /// What its tensors do not tell.
    pub info: AdapterInfo,
    weights: Weights,
}

/// What the tensors of an adapter do not tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterInfo {
    /// The base model that it was trained on.
    pub base: Origin,
    /// Side of the network input in training, in pixels.
    pub input_size: usize,
    /// Activation and scale.
    pub config: AdapterConfig,
    /// How it came about, if our trainer made it.
    #[serde(default)]
    pub training: Option<TrainingRecord>,
}

/// How an adapter came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingRecord {
    /// What it is for.
    pub task: String,
    /// Names of the classes that it was trained on.
    pub classes: Vec<String>,
    /// Optimizer steps.
    pub steps: usize,
    /// The seed.
    pub seed: u64,
    /// Prompts in training.
    pub prompts: PromptMix,
    /// Validation at that step, as `medsa-train eval --json` prints it.
    pub metrics: serde_json::Value,
}

impl Adapter {
    /// Reads an adapter file.
    ///
    /// # Errors
    /// [`Error`] names the file and what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = fs::read(path).map_err(|e| Error::io(path, e))?;
        let TensorFile { weights, metadata } = TensorFile::parse(path, &bytes)?;
        let info = from_metadata(path, &metadata, INFO)?.ok_or_else(|| {
            Error::format(path, format!("not an adapter: metadata {INFO} is missing"))
        })?;
        let origin = Origin { name: stem(path), sha256: sha256_hex(&bytes) };
        Ok(Self { path: path.to_owned(), origin, info, weights })
    }

    /// Writes an adapter file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(path: &Path, info: &AdapterInfo, weights: Weights) -> Result<(), Error> {
        let info = serde_json::to_string(info).expect("the info is plain data");
        TensorFile { weights, metadata: HashMap::from([(INFO.to_owned(), info)]) }.write(path)
    }

    /// Its tensors, by name.
    pub fn into_weights(self) -> Weights {
        self.weights
    }

    /// The network of `base` with this adapter, for inputs of side `input_size` (by default the
    /// size in training).
    ///
    /// # Errors
    /// [`Error::OtherBase`], or tensors that do not fit the network.
    pub fn sam(&self, base: &Checkpoint, input_size: Option<usize>) -> Result<Sam, Error> {
        let AdapterInfo { base: expected, config, input_size: trained, .. } = &self.info;
        if expected.sha256 != base.origin.sha256 {
            return Err(Error::OtherBase {
                path: self.path.clone(),
                name: expected.name.clone(),
                expected: expected.sha256.clone(),
                found: base.origin.sha256.clone(),
            });
        }
        let sam = base.sam(Some(input_size.unwrap_or(*trained)))?;
        sam.with_adapters(&self.weights, config).map_err(|e| Error::network(&self.path, e))
    }
}
