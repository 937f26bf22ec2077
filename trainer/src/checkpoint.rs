//! Base model files: original `.pth` files and imported `.safetensors` files.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use medsa_bundle::{Origin, sha256_hex};
use medsa_sam::{Sam, SamConfig, Weights};
use serde::Serialize;

use crate::error::Error;
use crate::pth::{is_pth, read_pth, unwrapped};
use crate::released::{self, Released};
use crate::tensor_file::{TensorFile, from_metadata, stem};

/// Metadata key of the network's shape, as JSON.
const CONFIG: &str = "medsa.config";
/// Metadata key of the imported file's origin, as JSON.
const SOURCE: &str = "medsa.source";
/// Metadata key of the base model that a student was distilled from, as JSON.
const TEACHER: &str = "medsa.teacher";

/// A base model: its weights by name, and its shape.
#[derive(Clone)]
pub struct Checkpoint {
    /// Path of the file.
    pub path: PathBuf,
    /// Name and hash of the original file, also if it was read from an imported one; for a student
    /// see [`Checkpoint::student`].
    pub origin: Origin,
    /// Base model that a student was distilled from; `None` if this is not a student.
    pub teacher: Option<Origin>,
    /// Tensors, named as in the original PyTorch code. A checkpoint of the released Med-SA code
    /// also contains its adapters.
    pub weights: Weights,
    /// The network's shape.
    pub config: SamConfig,
}

impl Checkpoint {
    /// Reads a `.pth` or `.safetensors` file. Its tensors may be floats of 16 to 64 bits, may be
    /// under a key such as `state_dict`, and may have the names of wrappers in front, such as
    /// `module.`.
    ///
    /// # Errors
    /// An [`Error`] that names the file, and what it is if it is no checkpoint, or the invalid
    /// tensor.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = fs::read(path).map_err(|e| Error::io(path, e))?;
        let TensorFile { weights, metadata } = if is_pth(&bytes) {
            TensorFile { weights: read_pth(path)?, metadata: HashMap::new() }
        } else {
            TensorFile::parse(path, &bytes)?
        };
        let network = |e| Error::network(path, e);
        let weights = unwrapped(path, weights)?;
        let (weights, is_released) = released::normalized(weights).map_err(network)?;
        let config: SamConfig = match from_metadata(path, &metadata, CONFIG)? {
            Some(config) => config,
            None => {
                let base = Released::new(&weights).base;
                let config = SamConfig::detect(&base).map_err(network)?;
                if is_released { released::as_trained(config) } else { config }
            }
        };
        config.check().map_err(network)?;
        let origin = from_metadata(path, &metadata, SOURCE)?
            .unwrap_or_else(|| Origin { name: stem(path), sha256: sha256_hex(&bytes) });
        let teacher = from_metadata(path, &metadata, TEACHER)?;
        Ok(Self { path: path.to_owned(), origin, teacher, weights, config })
    }

    /// Writes weights and shape as a `.safetensors` file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let mut metadata = HashMap::from([json(CONFIG, &self.config), json(SOURCE, &self.origin)]);
        metadata.extend(self.teacher.as_ref().map(|teacher| json(TEACHER, teacher)));
        TensorFile { weights: self.weights.clone(), metadata }.write(path)
    }

    /// Prepares a base model for a training whose result runs in the released Med-SA code: images
    /// and clicks are given to the network as there.
    pub fn feed_as_released(&mut self) {
        self.config = released::as_trained(self.config.clone());
    }

    /// A student of this base model, to be written to `path`. It has no original file, so its hash
    /// is that of its shape and tensors; the same training gives the same hash.
    pub fn student(&self, path: &Path, config: SamConfig, weights: Weights) -> Self {
        let mut bytes = json(CONFIG, &config).1.into_bytes();
        for (name, value) in &weights {
            bytes.extend(name.bytes());
            bytes.extend(value.iter().flat_map(|v| v.to_le_bytes()));
        }
        let origin = Origin { name: stem(path), sha256: sha256_hex(&bytes) };
        Self { path: path.to_owned(), origin, teacher: Some(self.origin.clone()), weights, config }
    }

    /// The network, for inputs of side `input_size` (by default that of training).
    ///
    /// # Errors
    /// A missing, unused or misshapen tensor, or an input size at which the network cannot run.
    pub fn sam(&self, input_size: Option<usize>) -> Result<Sam, Error> {
        let config = self.config.clone();
        let config = match input_size {
            Some(size) => config.with_input_size(size),
            None => Ok(config),
        };
        let Released { base, adapters, config: form } = Released::new(&self.weights);
        let sam = config.and_then(|config| Sam::read(&base, config));
        let sam = if adapters.is_empty() {
            sam
        } else {
            sam.and_then(|sam| sam.with_adapters(&adapters, &form))
        };
        sam.map_err(|e| Error::network(&self.path, e))
    }
}

/// A metadata entry: key, and plain data as JSON.
fn json(key: &str, data: &impl Serialize) -> (String, String) {
    (key.to_owned(), serde_json::to_string(data).expect("plain data"))
}
