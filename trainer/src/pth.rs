//! Reading of PyTorch checkpoints (`.pth`): zip archives of `torch.save`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use candle_core::pickle::{Object, PthTensors, Stack};
use candle_core::{DType, Device, Tensor};
use medsa_sam::Weights;
use ndarray::{ArcArray, IxDyn};
use zip::ZipArchive;

use crate::error::Error;

/// Keys below which training scripts store the state dict.
const KEYS: [&str; 5] = ["model", "state_dict", "model_state_dict", "net", "network"];

/// True for PyTorch's format, which is a zip archive.
pub(crate) fn is_pth(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK")
}

/// Reads the state dict of a `.pth` file, at the top or under one of [`KEYS`]. Single tensors, such
/// as a loss, may be stored next to it.
///
/// # Errors
/// Names the file, and what it holds if there is no state dict.
pub(crate) fn read_pth(path: &Path) -> Result<Weights, Error> {
    let top = PthTensors::new(path, None).map_err(|e| damaged(path, &e))?;
    let below = KEYS.map(|key| PthTensors::new(path, Some(key)));
    // A missing key is an error and is skipped.
    let dicts = [top].into_iter().chain(below.into_iter().flatten());
    let found = dicts.max_by_key(|dict| dict.tensor_infos().len()).expect("there is the top");
    let names = found.tensor_infos().keys();
    let read = |name: &String| -> Result<_, Error> {
        let tensor = found.get(name).and_then(|tensor| tensor.map(|t| to_array(&t)).transpose());
        let tensor = tensor.map_err(|e| Error::format(path, format!("tensor {name}: {e}")))?;
        Ok((name.clone(), tensor.expect("it is among the names")))
    };
    let weights = names.map(read).collect::<Result<Weights, Error>>()?;
    if weights.is_empty() {
        let found = content(path).unwrap_or_else(|| "a zip archive without data.pkl".into());
        let keys = KEYS.join(", ");
        return Err(Error::format(
            path,
            format!(
                "the file holds {found}, expected tensors by name, at the top or under one of the \
                 keys {keys}: save them in Python with torch.save(model.state_dict(), FILE)"
            ),
        ));
    }
    Ok(weights)
}

/// A file whose archive or pickle cannot be read.
fn damaged(path: &Path, error: &candle_core::Error) -> Error {
    let text = error.to_string();
    let reason = match text.contains("op-code") {
        true => format!(
            "{text}: the file holds Python objects that this program does not read; save only the \
             tensors, with torch.save(model.state_dict(), FILE)"
        ),
        false => format!(
            "{text}: the file is not a whole zip archive of PyTorch, maybe cut short; compare its \
             size with that of the original, and download or copy it again"
        ),
    };
    Error::format(path, reason)
}

/// Content of the pickle in words; `None` if there is none.
fn content(path: &Path) -> Option<String> {
    let mut archive = ZipArchive::new(BufReader::new(File::open(path).ok()?)).ok()?;
    let at = (0..archive.len()).find(|&at| {
        archive.by_index(at).is_ok_and(|file| file.name().is_ok_and(|n| n.ends_with("data.pkl")))
    })?;
    let mut stack = Stack::empty();
    stack.read_loop(&mut BufReader::new(archive.by_index(at).ok()?)).ok()?;
    let mut object = stack.finalize().ok()?;
    loop {
        object = match object {
            Object::Dict(entries) => {
                let name = |(key, _): &(Object, Object)| match key {
                    Object::Unicode(name) => Some(name.clone()),
                    _ => None,
                };
                let keys: Vec<String> = entries.iter().filter_map(name).collect();
                return Some(format!("a dictionary with the keys [{}]", keys.join(", ")));
            }
            Object::Class { module_name, class_name } => {
                return Some(format!("a Python object of the class {module_name}.{class_name}"));
            }
            Object::Build { callable, .. } | Object::Reduce { callable, .. } => *callable,
            _ => return Some("no dictionary".into()),
        };
    }
}

fn to_array(tensor: &Tensor) -> candle_core::Result<ArcArray<f32, IxDyn>> {
    let values = tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    let array = ArcArray::from_shape_vec(tensor.dims(), values);
    Ok(array.expect("a tensor has as many values as its shape says"))
}

/// Modules that wrap a whole model; their names are in front of those of its tensors.
const OUTER: [&str; 3] = ["model", "net", "sam"];

/// Modules that wrap any part of a model: several GPUs, `torch.compile`, sharding, checkpointing of
/// activations.
const WRAPPERS: [&str; 4] =
    ["module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

/// Removes the names of wrappers, in any order and number, from those of tensors:
/// `module._orig_mod.model.mask_decoder.x` becomes `mask_decoder.x`.
///
/// # Errors
/// Two tensors of the file `path` would have the same name.
pub(crate) fn unwrapped(path: &Path, weights: Weights) -> Result<Weights, Error> {
    let mut named: BTreeMap<String, String> = BTreeMap::new();
    let mut unwrapped = Weights::new();
    for (name, value) in weights {
        let short = unwrapped_name(&name);
        if let Some(first) = named.insert(short.clone(), name.clone()) {
            let reason = format!(
                "tensors {first} and {name} are both {short} without the names of wrappers, \
                 expected one; remove those of the other model"
            );
            return Err(Error::format(path, reason));
        }
        unwrapped.insert(short, value);
    }
    Ok(unwrapped)
}

fn unwrapped_name(name: &str) -> String {
    let parts = name.split('.').filter(|part| !WRAPPERS.contains(part));
    let parts: Vec<&str> = parts.skip_while(|part| OUTER.contains(part)).collect();
    // A name of wrappers only stays.
    if parts.is_empty() { name.to_owned() } else { parts.join(".") }
}

#[cfg(test)]
mod tests {
    use ndarray::ArrayD;

    use super::*;

    #[test]
    fn wrappers_are_removed_in_any_order() {
        for prefix in [
            "",
            "module.",
            "_orig_mod.",
            "model.",
            "module._orig_mod.",
            "_orig_mod.module.",
            "model.module.",
            "module.model._orig_mod.",
            "net.sam.",
        ] {
            let name = format!("{prefix}image_encoder.blocks.0.norm1.weight");
            assert_eq!(unwrapped_name(&name), "image_encoder.blocks.0.norm1.weight");
        }
        let inside = "image_encoder._orig_mod.blocks.0.module.norm1.weight";
        assert_eq!(unwrapped_name(inside), "image_encoder.blocks.0.norm1.weight");
        // Not a wrapper there.
        assert_eq!(unwrapped_name("mask_decoder.model.weight"), "mask_decoder.model.weight");
        assert_eq!(unwrapped_name("model"), "model");
    }

    #[test]
    fn two_models_in_one_file_are_refused() {
        let one = || ArrayD::zeros(IxDyn(&[1])).into_shared();
        let names = ["model.mask_decoder.x", "module.mask_decoder.x"];
        let weights = names.map(|name| (name.to_owned(), one())).into_iter().collect();
        let error = unwrapped(Path::new("a.pth"), weights).unwrap_err().to_string();
        assert!(names.iter().all(|name| error.contains(name)), "{error}");
    }
}
