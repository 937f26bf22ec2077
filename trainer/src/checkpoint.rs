//! Reading base models, from the original `.pth` files and from ours, and writing ours.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use candle_core::{DType, Device, Tensor, pickle};
use medsa_bundle::sha256_hex;
use medsa_sam::{Sam, SamConfig, Weights};
use ndarray::ArcArray;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};

/// Metadata key of the network's shape, as JSON.
const CONFIG: &str = "medsa.config";

/// A base model: its weights by name, and its shape.
pub struct Checkpoint {
    /// File name without folder and extension.
    pub name: String,
    /// SHA-256 of the file, in hex.
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
        let (weights, config) =
            if is_pth(&bytes) { (read_pth(path)?, None) } else { read_safetensors(path, &bytes)? };
        let config = match config {
            Some(config) => config,
            None => SamConfig::detect(&weights).map_err(|e| Error::network(path, e))?,
        };
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, sha256: sha256_hex(&bytes), weights, config })
    }

    /// Writes weights and shape as `.safetensors`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let values: Vec<(&String, &[usize], Vec<u8>)> = self
            .weights
            .iter()
            .map(|(name, value)| {
                let bytes = value.iter().flat_map(|v| v.to_le_bytes()).collect();
                (name, value.shape(), bytes)
            })
            .collect();
        let views = values.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes)
                .expect("the bytes were made from the shape");
            (name.as_str(), view)
        });
        let config = serde_json::to_string(&self.config).expect("a config is plain data");
        let metadata = HashMap::from([(CONFIG.to_owned(), config)]);
        let bytes = serialize(views, Some(metadata)).map_err(|e| Error::format(path, e))?;
        let partial = path.with_extension("partial");
        let written = fs::write(&partial, bytes).and_then(|()| fs::rename(&partial, path));
        written.map_err(|e| Error::io(path, e))
    }

    /// The network, for inputs of side `input_size` (by default the size it was trained at).
    ///
    /// # Errors
    /// A missing, extra or misshapen tensor, or an input size that the network cannot run at.
    pub fn sam(&self, input_size: Option<usize>) -> Result<Sam, medsa_sam::Error> {
        let config = match input_size {
            Some(size) => self.config.clone().with_input_size(size)?,
            None => self.config.clone(),
        };
        Sam::read(&self.weights, config)
    }
}

/// Why a checkpoint cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system's.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The file's: not a `.pth` or `.safetensors` of the kind that is expected.
    #[error("{path}: not a checkpoint: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The file's: its tensors are not those of a SAM.
    #[error("{path}: {source}")]
    Network {
        /// The file.
        path: PathBuf,
        /// Which tensor, and what was expected.
        source: medsa_sam::Error,
    },
}

impl Error {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    fn format(path: &Path, reason: impl ToString) -> Self {
        Self::Format { path: path.to_owned(), reason: reason.to_string() }
    }

    fn network(path: &Path, source: medsa_sam::Error) -> Self {
        Self::Network { path: path.to_owned(), source }
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

fn to_array(tensor: &Tensor) -> candle_core::Result<ArcArray<f32, ndarray::IxDyn>> {
    let values = tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    let array = ArcArray::from_shape_vec(tensor.dims(), values);
    Ok(array.expect("a tensor has as many values as its shape says"))
}

fn read_safetensors(path: &Path, bytes: &[u8]) -> Result<(Weights, Option<SamConfig>), Error> {
    let format = |e: &dyn ToString| Error::format(path, e.to_string());
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| format(&e))?;
    let config = header.metadata().as_ref().and_then(|metadata| metadata.get(CONFIG));
    let config = match config {
        Some(json) => {
            let config = serde_json::from_str(json);
            Some(config.map_err(|e| Error::format(path, format!("metadata {CONFIG}: {e}")))?)
        }
        None => None,
    };
    let file = SafeTensors::deserialize(bytes).map_err(|e| format(&e))?;
    let mut weights = Weights::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            let reason = format!("tensor {name} is {:?}, expected F32", view.dtype());
            return Err(Error::format(path, reason));
        }
        let values = view.data().chunks_exact(4);
        let values = values.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        let array = ArcArray::from_shape_vec(view.shape(), values);
        let array = array.map_err(|e| Error::format(path, format!("tensor {name}: {e}")))?;
        weights.insert(name.to_owned(), array);
    }
    Ok((weights, config))
}
