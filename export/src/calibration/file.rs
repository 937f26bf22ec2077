//! Files of calibrations.
//!
//! A file holds what base and adapter do not determine: the quantization of each layer's input, the
//! corrected bias, and how weights are rounded. Scales of weights follow from the folded weights and
//! are computed anew. The file starts with a line that names the format; the rest is
//! [`StoredCalibration`] in postcard's encoding.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::Path;

use medsa_bundle::{Agreement, Origin, QuantizationReport, sha256_hex};
use medsa_sam::{Int8Input, Int8Layer, Quantization, Sam};
use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};

use super::{Calibration, moves};
use crate::error::Error;
use crate::quantize::{FloatLayer, float_layers, scales};
use crate::trained::{Trained, check_origin};

/// First line of a file.
const FORMAT: &[u8] = b"medsa calibration 1\n";

/// Content of a file after its first line.
#[derive(Serialize, Deserialize)]
struct StoredCalibration {
    base: Origin,
    adapter: Option<Origin>,
    input_size: usize,
    report: QuantizationReport,
    agreement: Agreement,
    attentions: BTreeSet<String>,
    layers: BTreeMap<String, StoredLayer>,
    /// SHA-256 of all int8 weights, in the order of their layers' names.
    weights_sha256: String,
}

/// An int8 layer; `C` is the number of input channels, `O` that of output channels.
#[derive(Serialize, Deserialize)]
struct StoredLayer {
    /// `[C]`.
    input_scale: Vec<f32>,
    /// `[C]`.
    zero_point: Vec<i8>,
    /// `[O]`.
    bias: Vec<f32>,
    /// Code of the rounded weights, see [`moves`].
    weights: Vec<u8>,
}

impl Calibration {
    /// True if `path` is a file that [`Calibration::write`] wrote, judged by its first line.
    ///
    /// # Errors
    /// The path cannot be read.
    pub(super) fn is_at(path: &Path) -> Result<bool, Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        if fs::metadata(path).map_err(io)?.is_dir() {
            return Ok(false);
        }
        let mut start = Vec::new();
        let file = fs::File::open(path).map_err(io)?;
        file.take(FORMAT.len() as u64).read_to_end(&mut start).map_err(io)?;
        Ok(start == FORMAT)
    }

    /// Writes the calibration of `trained`, which is `folded` after folding.
    ///
    /// # Errors
    /// Candle failed, or the file cannot be written.
    pub(super) fn write(&self, path: &Path, trained: &Trained, folded: &Sam) -> Result<(), Error> {
        let float = float_layers(folded)?;
        let layers = self.quantization.layers.iter();
        let layers =
            layers.map(|(name, layer)| (name.clone(), StoredLayer::of(layer, &float[name])));
        let stored = StoredCalibration {
            base: trained.base.origin.clone(),
            adapter: trained.adapter_origin().cloned(),
            input_size: trained.input_size(),
            report: self.report.clone(),
            agreement: self.agreement.clone(),
            attentions: self.quantization.attentions.clone(),
            layers: layers.collect(),
            weights_sha256: weights_sha256(&self.quantization),
        };
        let bytes = postcard::to_extend(&stored, FORMAT.to_vec()).expect("plain data");
        fs::write(path, bytes).map_err(|source| Error::Io { path: path.to_owned(), source })
    }

    /// Reads the calibration of `trained`, which is `folded` after folding.
    ///
    /// # Errors
    /// The file cannot be read, or was made for another base, adapter or input size.
    pub(super) fn read(path: &Path, trained: &Trained, folded: &Sam) -> Result<Self, Error> {
        let bytes = fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        let refused = |reason: String| Error::Calibration { path: path.to_owned(), reason };
        let stored = bytes.strip_prefix(FORMAT).ok_or_else(|| {
            let expected = String::from_utf8_lossy(FORMAT);
            refused(format!("its first line is not {:?}", expected.trim_end()))
        })?;
        let stored: StoredCalibration =
            postcard::from_bytes(stored).map_err(|e| refused(format!("it is damaged: {e}")))?;
        check_origin(path, "base", Some(&stored.base), Some(&trained.base.origin))?;
        check_origin(path, "adapter", stored.adapter.as_ref(), trained.adapter_origin())?;
        let (found, expected) = (stored.input_size, trained.input_size());
        if found != expected {
            let reason = format!("it is for inputs of {found} px, expected {expected} px");
            return Err(refused(reason));
        }
        let float = float_layers(folded)?;
        let layer = |(name, layer): (String, StoredLayer)| {
            let float = float.get(&name).ok_or(format!("the network has no layer {name}"))?;
            let layer =
                layer.restored(float).map_err(|reason| format!("layer {name}: {reason}"))?;
            Ok((name, layer))
        };
        let layers = stored.layers.into_iter().map(layer).collect::<Result<_, _>>();
        let layers = layers.map_err(refused)?;
        let quantization = Quantization { layers, attentions: stored.attentions };
        let (found, expected) = (weights_sha256(&quantization), stored.weights_sha256);
        if found != expected {
            return Err(refused(format!(
                "its int8 weights have the SHA-256 {found}, expected {expected}: this processor folds \
                 the adapter differently; calibrate on frames instead"
            )));
        }
        Ok(Self { quantization, report: stored.report, agreement: stored.agreement })
    }
}

impl StoredLayer {
    fn of(layer: &Int8Layer, float: &FloatLayer) -> Self {
        let Int8Layer { weight, bias, input, .. } = layer;
        let (exact, _) = exact(float, input);
        let rounded = weight.mapv(f32::from).into_shape_with_order(exact.dim());
        let rounded = rounded.expect("as many values as the float weight");
        Self {
            input_scale: input.scale.to_vec(),
            zero_point: input.zero_point.iter().map(|zero| *zero as i8).collect(),
            bias: bias.to_vec(),
            weights: moves::encode(&exact, &rounded),
        }
    }

    fn restored(self, float: &FloatLayer) -> Result<Int8Layer, String> {
        let outputs = float.bias.len();
        for (what, found, expected) in [
            ("scales of the input", self.input_scale.len(), float.channels),
            ("zero points", self.zero_point.len(), float.channels),
            ("values in the bias", self.bias.len(), outputs),
        ] {
            if found != expected {
                return Err(format!("{found} {what}, expected {expected}"));
            }
        }
        let input = Int8Input {
            scale: Array1::from(self.input_scale),
            zero_point: self.zero_point.iter().map(|zero| f32::from(*zero)).collect(),
        };
        let (exact, scale) = exact(float, &input);
        let weight = moves::decode(&exact, &self.weights).mapv(|v| v as i8);
        let weight = weight.into_shape_with_order(float.shape.clone());
        let weight = weight.expect("as many values as the float weight");
        Ok(Int8Layer { weight, scale, bias: Array1::from(self.bias), input })
    }
}

/// Weights in units of their scale, `[out, in]`, and the scales `[out]`.
fn exact(float: &FloatLayer, input: &Int8Input) -> (Array2<f32>, Array1<f32>) {
    let weight = float.scaled_weight(input);
    let scale = scales(&weight);
    let exact = Array2::from_shape_fn(weight.dim(), |(o, i)| weight[[o, i]] / scale[o]);
    (exact, scale)
}

fn weights_sha256(quantization: &Quantization) -> String {
    let weights = quantization.layers.values().flat_map(|layer| &layer.weight);
    sha256_hex(&weights.map(|weight| weight.to_ne_bytes()[0]).collect::<Vec<u8>>())
}
