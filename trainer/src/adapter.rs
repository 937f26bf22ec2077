//! Adapter files: trained tensors, and the base model they belong to.

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

/// An adapter: the trained tensors by name, with their description.
pub struct Adapter {
    /// Path of the file.
    pub path: PathBuf,
    /// Name and hash of the file.
    pub origin: Origin,
    /// Description, which the tensors do not contain.
    pub info: AdapterInfo,
    weights: Weights,
}

/// Description of an adapter, stored as metadata of its file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterInfo {
    /// Base model on which the adapter was trained.
    pub base: Origin,
    /// Side of the network input in training, in pixels.
    pub input_size: usize,
    /// Settings such as activation and scale.
    pub config: AdapterConfig,
    /// Training record; `None` if another program made the adapter.
    #[serde(default)]
    pub training: Option<TrainingRecord>,
}

/// Record of the training of an adapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingRecord {
    /// Name of the task.
    pub task: String,
    /// Names of the trained classes.
    pub classes: Vec<String>,
    /// Number of optimizer steps.
    pub steps: usize,
    /// Seed of the training.
    pub seed: u64,
    /// Mix of prompts in training.
    pub prompts: PromptMix,
    /// Validation results at that step, as printed by `medsa-train eval --json`.
    pub metrics: serde_json::Value,
    /// SHA-256 over the training images and masks, from
    /// [`dataset_sha256`](crate::train::dataset_sha256); `None` in older files.
    #[serde(default)]
    pub dataset_sha256: Option<String>,
    /// Int8 base file used in training; `None` if the base was in float.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantized_base: Option<Origin>,
    /// Commit of the trainer; `None` if `MEDSA_COMMIT` was not set when it was built.
    #[serde(default)]
    pub commit: Option<String>,
}

impl Adapter {
    /// True if the metadata of the file says that it is an adapter and not a base model.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn is_at(path: &Path) -> Result<bool, Error> {
        let bytes = fs::read(path).map_err(|e| Error::io(path, e))?;
        // A file in another format is a base model's `.pth`, or invalid.
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

    /// Tensors by name.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Tensors by name.
    pub fn into_weights(self) -> Weights {
        self.weights
    }

    /// The network of `base` with this adapter, for inputs of side `input_size` (by default that of
    /// training). `base` must be the base model of the training, or a student of it.
    ///
    /// # Errors
    /// [`Error::OtherBase`], or a tensor that does not fit the network.
    pub fn sam(&self, base: &Checkpoint, input_size: Option<usize>) -> Result<Sam, Error> {
        let AdapterInfo { base: expected, config, input_size: trained, .. } = &self.info;
        // A student approximates its teacher's embeddings, so an adapter trained on the teacher
        // works on the student and is a good starting point for further training.
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
    fn record_without_newer_fields_is_read() {
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
