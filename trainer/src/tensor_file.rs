//! `.safetensors` files of f32 tensors, with metadata.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use medsa_sam::Weights;
use ndarray::ArcArray;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde::de::DeserializeOwned;

use crate::error::Error;

/// Tensors by name, and metadata by key.
pub(crate) struct TensorFile {
    pub weights: Weights,
    pub metadata: HashMap<String, String>,
}

impl TensorFile {
    /// Parses the content of the file `path`.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| Error::format(path, e))?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let file = SafeTensors::deserialize(bytes).map_err(|e| Error::format(path, e))?;
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
        Ok(Self { weights, metadata })
    }

    /// Writes the file next to `path` and renames it into place.
    pub(crate) fn write(self, path: &Path) -> Result<(), Error> {
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
        let bytes = serialize(views, Some(self.metadata)).map_err(|e| Error::format(path, e))?;
        let partial = path.with_extension("partial");
        let written = fs::write(&partial, bytes).and_then(|()| fs::rename(&partial, path));
        written.map_err(|e| {
            // Remove a partial file. If that fails, the first error is more useful.
            let _ = fs::remove_file(&partial);
            Error::io(path, e)
        })
    }
}

/// Parses a metadata entry of the file `path`; `None` if it is missing.
pub(crate) fn from_metadata<T: DeserializeOwned>(
    path: &Path,
    metadata: &HashMap<String, String>,
    key: &str,
) -> Result<Option<T>, Error> {
    let parse = |json: &String| {
        let value = serde_json::from_str(json);
        value.map_err(|e| Error::format(path, format!("metadata {key}: {e}")))
    };
    metadata.get(key).map(parse).transpose()
}

/// File name without folder and extension.
pub(crate) fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
