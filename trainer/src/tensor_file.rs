//! `.safetensors` files, with metadata. Tensors are read as f32, and written as f32.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use half::{bf16, f16};
use medsa_sam::Weights;
use ndarray::ArcArray;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensorError, SafeTensors, serialize};
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::stray;

/// Tensors by name, and metadata by key.
pub(crate) struct TensorFile {
    pub weights: Weights,
    pub metadata: HashMap<String, String>,
}

impl TensorFile {
    /// Parses the content of the file `path`. Tensors of other numbers become f32.
    ///
    /// # Errors
    /// Says what the file is if it is not a `.safetensors` file, or names the tensor.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let no_tensors = |e: SafeTensorError| {
            let words = stray::describe(bytes);
            Error::format(path, words.unwrap_or_else(|| not_safetensors(bytes, &e)))
        };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(no_tensors)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let file = SafeTensors::deserialize(bytes).map_err(no_tensors)?;
        let mut weights = Weights::new();
        for (name, view) in file.iter() {
            let values = to_f32(view.dtype(), view.data());
            let values = values.map_err(|e| Error::format(path, format!("tensor {name} {e}")))?;
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

/// Reason why a file without a known kind is not used.
fn not_safetensors(bytes: &[u8], error: &SafeTensorError) -> String {
    match error {
        SafeTensorError::MetadataIncompleteBuffer | SafeTensorError::InvalidHeaderLength => {
            format!(
                "{} bytes, but its header says otherwise ({error}): the file was cut short or has \
             something at its end; download or copy it again",
                bytes.len()
            )
        }
        _ => {
            let start = &bytes[..bytes.len().min(8)];
            format!(
                "starts with bytes {start:02x?}, expected a .safetensors file or a .pth file of \
                 PyTorch 1.6 or newer ({error})"
            )
        }
    }
}

/// Numbers of a type as f32; the error says which type they are.
fn to_f32(dtype: Dtype, bytes: &[u8]) -> Result<Vec<f32>, String> {
    fn each<const N: usize>(bytes: &[u8], to_f32: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        let (numbers, _) = bytes.as_chunks();
        numbers.iter().map(|&number| to_f32(number)).collect()
    }
    Ok(match dtype {
        Dtype::F32 => each(bytes, f32::from_le_bytes),
        Dtype::F16 => each(bytes, |b| f16::from_le_bytes(b).to_f32()),
        Dtype::BF16 => each(bytes, |b| bf16::from_le_bytes(b).to_f32()),
        Dtype::F64 => each(bytes, |b| f64::from_le_bytes(b) as f32),
        // Counters of batch norms are integers.
        Dtype::I64 => each(bytes, |b| i64::from_le_bytes(b) as f32),
        Dtype::U64 => each(bytes, |b| u64::from_le_bytes(b) as f32),
        Dtype::I32 => each(bytes, |b| i32::from_le_bytes(b) as f32),
        Dtype::U32 => each(bytes, |b| u32::from_le_bytes(b) as f32),
        Dtype::I16 => each(bytes, |b| f32::from(i16::from_le_bytes(b))),
        Dtype::U16 => each(bytes, |b| f32::from(u16::from_le_bytes(b))),
        Dtype::I8 => each(bytes, |b| f32::from(i8::from_le_bytes(b))),
        Dtype::U8 | Dtype::BOOL => each(bytes, |[b]| f32::from(b)),
        other => return Err(format!("is {other:?}, expected floats of 16 to 64 bits or integers")),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dtype: Dtype, shape: &[usize], bytes: &[u8]) -> Vec<u8> {
        let view = TensorView::new(dtype, shape.to_vec(), bytes).unwrap();
        serialize([("a", view)], None).unwrap()
    }

    fn parse(bytes: &[u8]) -> Result<Vec<f32>, String> {
        let file = TensorFile::parse(Path::new("a.safetensors"), bytes);
        let file = file.map_err(|error| error.to_string())?;
        Ok(file.weights["a"].iter().copied().collect())
    }

    #[test]
    fn numbers_of_all_types_become_f32() {
        let values = [0.5f32, -2.0, 3.0];
        let f16: Vec<u8> = values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect();
        assert_eq!(parse(&file(Dtype::F16, &[3], &f16)), Ok(values.to_vec()));
        let bf16: Vec<u8> = values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect();
        assert_eq!(parse(&file(Dtype::BF16, &[3], &bf16)), Ok(values.to_vec()));
        let f64: Vec<u8> = values.iter().flat_map(|&v| f64::from(v).to_le_bytes()).collect();
        assert_eq!(parse(&file(Dtype::F64, &[3], &f64)), Ok(values.to_vec()));
        // A counter of a batch norm has no axis.
        assert_eq!(parse(&file(Dtype::I64, &[], &1234i64.to_le_bytes())), Ok(vec![1234.0]));
        assert_eq!(parse(&file(Dtype::BOOL, &[2], &[0, 1])), Ok(vec![0.0, 1.0]));
        let error = parse(&file(Dtype::F8_E4M3, &[2], &[0, 1])).unwrap_err();
        assert!(error.contains("tensor a is F8_E4M3, expected floats"), "{error}");
    }

    #[test]
    fn other_and_damaged_files_are_named() {
        let whole = file(Dtype::F32, &[3], &[0; 12]);
        let error = parse(&whole[..whole.len() - 1]).unwrap_err();
        assert!(error.contains("cut short"), "{error}");
        let error = parse(b"solid words of no kind").unwrap_err();
        assert!(error.contains("expected a .safetensors file"), "{error}");
        let error = parse(b"<!doctype html><title>Sign in</title>").unwrap_err();
        assert!(error.starts_with("cannot use a.safetensors: this is an HTML"), "{error}");
    }
}
