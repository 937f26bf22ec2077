//! Adapter files: what was trained, and for which base.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use medsa_bundle::{Origin, sha256_hex};
use medsa_sam::{AdapterConfig, Sam, Weights};
use safetensors::SafeTensors;
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
    /// SHA-256 over the pictures and masks that it was trained on, as
    /// [`dataset_sha256`](crate::train::dataset_sha256) has it; older files do not tell.
    #[serde(default)]
    pub dataset_sha256: Option<String>,
    /// What of the base computed in 8 bits in training, if anything did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantized_base: Option<Origin>,
    /// Commit of the trainer, if its build was told by `MEDSA_COMMIT`.
    #[serde(default)]
    pub commit: Option<String>,
}

impl Adapter {
    /// Whether the file is an adapter as far as its metadata tells, and not a base model.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn is_at(path: &Path) -> Result<bool, Error> {
        let bytes = fs::read(path).map_err(|e| Error::io(path, e))?;
        // What is not in this format is a base model's `.pth`, or nothing at all.
        let Ok((_, header)) = SafeTensors::read_metadata(&bytes) else { return Ok(false) };
        Ok(header.metadata().as_ref().is_some_and(|metadata| metadata.contains_key(INFO)))
    }

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
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Its tensors, by name.
    pub fn into_weights(self) -> Weights {
        self.weights
    }

    /// The network of `base`, which is that of its training or a student of it, with this adapter,
    /// for inputs of side `input_size` (by default the size in training).
    ///
    /// # Errors
    /// [`Error::OtherBase`], or tensors that do not fit the network.
    pub fn sam(&self, base: &Checkpoint, input_size: Option<usize>) -> Result<Sam, Error> {
        let AdapterInfo { base: expected, config, input_size: trained, .. } = &self.info;
        // A student gives its teacher's embeddings as nearly as it can: what was trained on those
        // fits it, and is where to go on from.
        let origins = [Some(&base.origin), base.teacher.as_ref()];
        if !origins.into_iter().flatten().any(|origin| origin.sha256 == expected.sha256) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_without_the_later_fields_is_read() {
        let mut record = serde_json::to_value(TrainingRecord {
            task: "nerves".into(),
            classes: vec!["nerve".into()],
            steps: 7,
            seed: 1,
            prompts: PromptMix::default(),
            metrics: serde_json::json!([]),
            dataset_sha256: Some("ab".into()),
            quantized_base: None,
            commit: Some("cd".into()),
        })
        .unwrap();
        let fields = record.as_object_mut().unwrap();
        fields.remove("dataset_sha256");
        fields.remove("commit");
        let record: TrainingRecord = serde_json::from_value(record).unwrap();
        assert_eq!((record.steps, record.dataset_sha256, record.commit), (7, None, None));
    }
}
