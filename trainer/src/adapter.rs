//! Adapter files: what was trained, and for which base.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use medsa_bundle::{Origin, sha256_hex};
use medsa_sam::{AdapterConfig, Sam, Weights};
use serde::{Deserialize, Serialize};

use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::tensor_file::TensorFile;

/// Metadata key of [`AdapterInfo`], as JSON.
const INFO: &str = "medsa.adapter";

/// An adapter: only the trained tensors, by name.
pub struct Adapter {
    /// Its file.
    pub path: PathBuf,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
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
}

impl Adapter {
    /// Reads an adapter file.
    ///
    /// # Errors
    /// [`Error`] names the file and what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = fs::read(path).map_err(|e| Error::io(path, e))?;
        let TensorFile { weights, metadata } = TensorFile::parse(path, &bytes)?;
        let info = metadata.get(INFO).ok_or_else(|| {
            Error::format(path, format!("not an adapter: metadata {INFO} is missing"))
        })?;
        let info = serde_json::from_str(info)
            .map_err(|e| Error::format(path, format!("metadata {INFO}: {e}")))?;
        Ok(Self { path: path.to_owned(), sha256: sha256_hex(&bytes), info, weights })
    }

    /// Writes an adapter file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(path: &Path, info: &AdapterInfo, weights: Weights) -> Result<(), Error> {
        let info = serde_json::to_string(info).expect("the info is plain data");
        TensorFile { weights, metadata: HashMap::from([(INFO.to_owned(), info)]) }.write(path)
    }

    /// The network of `base` with this adapter, for inputs of side `input_size` (by default the
    /// size in training).
    ///
    /// # Errors
    /// [`Error::OtherBase`], or tensors that do not fit the network.
    pub fn sam(&self, base: &Checkpoint, input_size: Option<usize>) -> Result<Sam, Error> {
        let AdapterInfo { base: expected, config, input_size: trained } = &self.info;
        if expected.sha256 != base.sha256 {
            return Err(Error::OtherBase {
                path: self.path.clone(),
                name: expected.name.clone(),
                expected: expected.sha256.clone(),
                found: base.sha256.clone(),
            });
        }
        let sam = base.sam(Some(input_size.unwrap_or(*trained)))?;
        sam.with_adapters(&self.weights, config).map_err(|e| Error::network(&self.path, e))
    }
}
