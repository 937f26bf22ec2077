//! Files with the int8 quantization of a base model, on which adapters can be trained.
//!
//! All tensors are stored as f32, whole numbers too, because such a file is never deployed to
//! devices.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use medsa_bundle::{Origin, sha256_hex};
use medsa_sam::{Int8Input, Int8Layer, Quantization, S8_MAX, Weights};
use ndarray::{Array1, Ix1};
use serde::{Deserialize, Serialize};

use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::tensor_file::{TensorFile, from_metadata, stem};

/// Metadata key of [`Info`], as JSON.
const INFO: &str = "medsa.quantized";

// Suffixes of tensor names. Existing files use them, so they stay as they are.
const WEIGHT: &str = ".s8";
const SCALE: &str = ".s8.steps";
const BIAS: &str = ".s8.bias";
const INPUT_SCALE: &str = ".s8.size";
const INPUT_ZERO_POINT: &str = ".s8.zero";

/// The int8 quantization of a base model.
pub struct QuantizedBase {
    /// Name and hash of the file.
    pub origin: Origin,
    /// Int8 layers and attentions.
    pub quantization: Quantization,
}

/// Description, which the tensors do not contain.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Info {
    base: Origin,
    input_size: usize,
    attentions: BTreeSet<String>,
}

impl QuantizedBase {
    /// Reads a file that was made for `base` and inputs of side `input_size`.
    ///
    /// # Errors
    /// An [`Error`] that names the file and the problem.
    pub fn read(path: &Path, base: &Checkpoint, input_size: usize) -> Result<Self, Error> {
        let bytes = fs::read(path).map_err(|e| Error::io(path, e))?;
        let TensorFile { weights, metadata } = TensorFile::parse(path, &bytes)?;
        let info: Info = from_metadata(path, &metadata, INFO)?.ok_or_else(|| {
            Error::format(path, format!("not an int8 base: metadata {INFO} is missing"))
        })?;
        if info.base.sha256 != base.origin.sha256 {
            return Err(Error::OtherBase {
                path: path.to_owned(),
                name: info.base.name,
                expected: info.base.sha256,
                found: base.origin.sha256.clone(),
            });
        }
        if info.input_size != input_size {
            let found = info.input_size;
            let reason = format!("calibrated for inputs of {found} px, expected {input_size} px");
            return Err(Error::format(path, reason));
        }
        let of_base = base.sam(Some(input_size))?.macs_by_name();
        let layer = |name: &str| -> Result<(String, Int8Layer), Error> {
            if !of_base.contains_key(name) {
                let reason = format!("tensor {name}{WEIGHT}: the base has no layer {name}");
                return Err(Error::format(path, reason));
            }
            Ok((name.to_owned(), layer(path, &weights, name)?))
        };
        let layers = weights.keys().filter_map(|name| name.strip_suffix(WEIGHT)).map(layer);
        let (layers, attentions) = (layers.collect::<Result<_, _>>()?, info.attentions);
        let origin = Origin { name: stem(path), sha256: sha256_hex(&bytes) };
        Ok(Self { origin, quantization: Quantization { layers, attentions } })
    }

    /// Writes the int8 layers of `base` for inputs of side `input_size`. Layers of adapters are
    /// left out.
    ///
    /// # Errors
    /// [`Error::Io`], or a size at which the base cannot run.
    pub fn write(
        path: &Path,
        base: &Checkpoint,
        input_size: usize,
        quantization: &Quantization,
    ) -> Result<(), Error> {
        let of_base = base.sam(Some(input_size))?.macs_by_name();
        let mut weights = Weights::new();
        for (name, layer) in &quantization.layers {
            if !of_base.contains_key(name) {
                continue;
            }
            let Int8Layer { weight, scale, bias, input } = layer;
            weights.insert(format!("{name}{WEIGHT}"), weight.mapv(f32::from).into_shared());
            for (part, vector) in [
                (SCALE, scale),
                (BIAS, bias),
                (INPUT_SCALE, &input.scale),
                (INPUT_ZERO_POINT, &input.zero_point),
            ] {
                weights.insert(format!("{name}{part}"), vector.clone().into_dyn().into_shared());
            }
        }
        let attentions = quantization.attentions.clone();
        let info = Info { base: base.origin.clone(), input_size, attentions };
        let info = serde_json::to_string(&info).expect("the info is plain data");
        TensorFile { weights, metadata: HashMap::from([(INFO.to_owned(), info)]) }.write(path)
    }
}

/// Reads the layer whose weight is `name`.
fn layer(path: &Path, weights: &Weights, name: &str) -> Result<Int8Layer, Error> {
    let error =
        |part: &str, reason: String| Error::format(path, format!("tensor {name}{part} {reason}"));
    let weight = &weights[&format!("{name}{WEIGHT}")];
    let &[outputs, channels, ..] = weight.shape() else {
        return Err(error(WEIGHT, format!("has shape {:?}, expected a matrix", weight.shape())));
    };
    if let Some(found) = weight.iter().find(|v| v.fract() != 0.0 || v.abs() > S8_MAX) {
        return Err(error(
            WEIGHT,
            format!("holds {found}, expected whole numbers from -127 to 127"),
        ));
    }
    let vector = |part: &str, length: usize| -> Result<Array1<f32>, Error> {
        let vector = weights.get(&format!("{name}{part}"));
        let vector = vector.ok_or_else(|| error(part, "is missing".into()))?;
        let found = vector.shape().to_vec();
        match vector.to_owned().into_owned().into_dimensionality::<Ix1>() {
            Ok(vector) if vector.len() == length => Ok(vector),
            _ => Err(error(part, format!("has shape {found:?}, expected [{length}]"))),
        }
    };
    let is_depthwise = weight.ndim() == 4 && channels == 1;
    let channels = if is_depthwise { outputs } else { channels };
    Ok(Int8Layer {
        weight: weight.mapv(|v| v as i8).into_owned(),
        scale: vector(SCALE, outputs)?,
        bias: vector(BIAS, outputs)?,
        input: Int8Input {
            scale: vector(INPUT_SCALE, channels)?,
            zero_point: vector(INPUT_ZERO_POINT, channels)?,
        },
    })
}
