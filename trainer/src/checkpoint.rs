//! Base models: the original `.pth` files, and ours.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor, pickle};
use medsa_bundle::sha256_hex;
use medsa_sam::{Sam, SamConfig, Weights};
use ndarray::{ArcArray, IxDyn};

use crate::error::Error;
use crate::tensor_file::TensorFile;

/// Metadata key of the network's shape, as JSON.
const CONFIG: &str = "medsa.config";
/// Metadata key of the SHA-256 of the file that was imported.
const SOURCE_SHA256: &str = "medsa.source_sha256";

/// A base model: its weights by name, and its shape.
pub struct Checkpoint {
    /// The file that it was read from.
    pub path: PathBuf,
    /// SHA-256 in hex of the original file, whether read from that or from an imported one.
    pub sha256: String,
    /// Tensors by the names of the original PyTorch code.
    pub weights: Weights,
    /// The network's shape.
    pub config: SamConfig,
}

impl Checkpoint {
    /// Reads a `.pth` or `.safetensors` file.
    ///
    /// # Errors
    /// [`Error`] names the file, and the tensor if one is to blame.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = fs::read(path).map_err(|e| Error::io(path, e))?;
        let TensorFile { weights, metadata } = if is_pth(&bytes) {
            TensorFile { weights: read_pth(path)?, metadata: HashMap::new() }
        } else {
            TensorFile::parse(path, &bytes)?
        };
        let config = match metadata.get(CONFIG) {
            Some(json) => {
                let config = serde_json::from_str(json);
                config.map_err(|e| Error::format(path, format!("metadata {CONFIG}: {e}")))?
            }
            None => SamConfig::detect(&weights).map_err(|e| Error::network(path, e))?,
        };
        let sha256 = metadata.get(SOURCE_SHA256).cloned().unwrap_or_else(|| sha256_hex(&bytes));
        Ok(Self { path: path.to_owned(), sha256, weights, config })
    }

    /// Writes weights and shape as `.safetensors`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let config = serde_json::to_string(&self.config).expect("a config is plain data");
        let metadata = HashMap::from([
            (CONFIG.to_owned(), config),
            (SOURCE_SHA256.to_owned(), self.sha256.clone()),
        ]);
        TensorFile { weights: self.weights.clone(), metadata }.write(path)
    }

    /// The network, for inputs of side `input_size` (by default the size it was trained at).
    ///
    /// # Errors
    /// A missing, extra or misshapen tensor, or an input size that the network cannot run at.
    pub fn sam(&self, input_size: Option<usize>) -> Result<Sam, Error> {
        let config = self.config.clone();
        let config = match input_size {
            Some(size) => config.with_input_size(size),
            None => Ok(config),
        };
        let sam = config.and_then(|config| Sam::read(&self.weights, config));
        sam.map_err(|e| Error::network(&self.path, e))
    }

    /// File name without folder and extension.
    pub fn name(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// PyTorch's format is a zip archive.
fn is_pth(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK")
}

/// The state dict of a `.pth`, at the top or under the keys that training scripts use.
fn read_pth(path: &Path) -> Result<Weights, Error> {
    for key in [None, Some("model"), Some("state_dict")] {
        let tensors = pickle::read_all_with_key(path, key).map_err(|e| Error::format(path, e))?;
        if !tensors.is_empty() {
            let convert = |(name, tensor)| match to_array(&tensor) {
                Ok(array) => Ok((name, array)),
                Err(e) => Err(Error::format(path, format!("tensor {name}: {e}"))),
            };
            return tensors.into_iter().map(convert).collect();
        }
    }
    Err(Error::format(path, "no tensors at the top, under `model` or under `state_dict`"))
}

fn to_array(tensor: &Tensor) -> candle_core::Result<ArcArray<f32, IxDyn>> {
    let values = tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    let array = ArcArray::from_shape_vec(tensor.dims(), values);
    Ok(array.expect("a tensor has as many values as its shape says"))
}
