//! What the models of a build compute in 8 bits, read back from their weights.

use std::collections::BTreeMap;

use medsa_sam::{Int8Input, Int8Layer, Quantization};
use ndarray::{Array1, ArrayD};
use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, TensorProto};

use super::recorder::ATTENTIONS;

/// The [`Quantization`] with which the models in `files` were recorded.
///
/// # Errors
/// What is wrong with a file, as a sentence without its name.
pub fn read_quantization<'a>(
    files: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Quantization, String> {
    let mut quantization = Quantization::default();
    for file in files {
        let model = ModelProto::decode(file).map_err(|e| e.to_string())?;
        let graph = model.graph.as_ref().ok_or("not an ONNX model: it holds no graph")?;
        let tensors: BTreeMap<&str, &TensorProto> =
            graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        for name in tensors.keys().filter_map(|name| name.strip_suffix(".s8")) {
            quantization.layers.insert(name.to_owned(), layer(&tensors, name)?);
        }
        let attentions = model.metadata_props.iter().filter(|property| property.key == ATTENTIONS);
        let names = attentions.flat_map(|property| property.value.split(' '));
        quantization.attentions.extend(names.map(str::to_owned));
    }
    Ok(quantization)
}

fn layer(tensors: &BTreeMap<&str, &TensorProto>, name: &str) -> Result<Int8Layer, String> {
    let weight = tensors[format!("{name}.s8").as_str()];
    let shape: Vec<usize> = weight.dims.iter().map(|&side| side.max(0) as usize).collect();
    let values = weight.raw_data.iter().map(|&byte| byte as i8).collect();
    let weight = ArrayD::from_shape_vec(shape.clone(), values).map_err(|_| {
        format!("{name}.s8 has {} bytes, its shape is {shape:?}", weight.raw_data.len())
    })?;
    let is_linear = weight.ndim() == 2;
    // A linear layer's is `[in, out]` in the file.
    let weight =
        if is_linear { weight.reversed_axes().as_standard_layout().to_owned() } else { weight };
    let depthwise = weight.ndim() == 4 && weight.shape()[1] == 1;
    let channels = if depthwise { weight.shape()[0] } else { weight.shape()[1] };
    let vector = |part: &str, length: usize| -> Result<Option<Array1<f32>>, String> {
        let name = format!("{name}.{part}");
        let Some(tensor) = tensors.get(name.as_str()) else { return Ok(None) };
        if tensor.data_type != DataType::Float as i32 || tensor.raw_data.len() != 4 * length {
            return Err(format!(
                "{name} has {} bytes, expected {length} values",
                tensor.raw_data.len()
            ));
        }
        let values = tensor.raw_data.chunks_exact(4);
        Ok(Some(values.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()))
    };
    let needed = |part: &str, length: usize| {
        vector(part, length)?.ok_or_else(|| format!("{name}.{part} is missing"))
    };
    let (steps, stored) = (needed("step", weight.shape()[0])?, needed("bias", weight.shape()[0])?);
    let input = Int8Input {
        size: needed("inverse", channels)?.mapv(|inverse| 1.0 / inverse),
        zero: vector("zero", channels)?.unwrap_or_else(|| Array1::zeros(channels)),
    };
    let mut layer = Int8Layer { weight, steps, bias: Array1::zeros(stored.len()), input };
    // The file's holds what the steps that stand for zero add.
    let of_zero = layer.bias_of_steps();
    layer.bias = if is_linear { stored - of_zero } else { stored };
    Ok(layer)
}
