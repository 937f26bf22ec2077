//! Reading the quantization of a build's models back from their weights.

use std::collections::BTreeMap;

use medsa_sam::block::part;
use medsa_sam::{Int8Input, Int8Layer, Quantization};
use ndarray::{Array1, ArrayD};
use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, TensorProto};

use super::recorder::{ATTENTIONS, INT8_BIAS};

/// Reads the [`Quantization`] with which the models in `files` were recorded.
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
        for name in tensors.keys().filter_map(|name| name.strip_suffix(".int8")) {
            quantization.layers.insert(name.to_owned(), layer(&tensors, name)?);
        }
        let attentions = model.metadata_props.iter().filter(|property| property.key == ATTENTIONS);
        let names = attentions.flat_map(|property| property.value.split(' '));
        quantization.attentions.extend(names.map(str::to_owned));
    }
    Ok(quantization)
}

fn layer(tensors: &BTreeMap<&str, &TensorProto>, name: &str) -> Result<Int8Layer, String> {
    let TensorProto { dims, raw_data, .. } = tensors[format!("{name}.int8").as_str()];
    // No side is 0, so no side is larger than the number of bytes.
    let sides = dims.iter().map(|&side| usize::try_from(side).ok().filter(|&side| side > 0));
    let shape = sides.collect::<Option<Vec<usize>>>().filter(|shape| matches!(shape.len(), 2 | 4));
    let shape = shape.ok_or_else(|| {
        format!("{name}.int8 has the shape {dims:?}, expected 2 or 4 sides of 1 or more")
    })?;
    let values = raw_data.iter().map(|&byte| byte as i8).collect();
    let weight = ArrayD::from_shape_vec(shape, values)
        .map_err(|_| format!("{name}.int8 has {} bytes, its shape is {dims:?}", raw_data.len()))?;
    let is_linear = weight.ndim() == 2;
    // A linear layer's weight is stored as `[in, out]`.
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
    let outputs = weight.shape()[0];
    let (scale, stored) = (needed(part::SCALE, outputs)?, needed(INT8_BIAS, outputs)?);
    let input = Int8Input {
        scale: needed(part::INVERSE_SCALE, channels)?.mapv(|inverse| 1.0 / inverse),
        zero_point: vector(part::ZERO_POINT, channels)?.unwrap_or_else(|| Array1::zeros(channels)),
    };
    let mut layer = Int8Layer { weight, scale, bias: Array1::zeros(stored.len()), input };
    // The file's bias already contains the zero points' contribution.
    let zero_sum = layer.integer_bias();
    layer.bias = if is_linear { stored - zero_sum } else { stored };
    Ok(layer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tract_onnx::pb::GraphProto;

    /// Result of reading a model with one weight.
    fn read(dims: &[i64], bytes: usize) -> Result<Quantization, String> {
        let tensor = |part: &str, dims: &[i64], data_type: DataType, bytes: usize| TensorProto {
            name: format!("w.{part}"),
            dims: dims.to_vec(),
            data_type: data_type as i32,
            raw_data: vec![1; bytes],
            ..TensorProto::default()
        };
        let vector = |part| tensor(part, &[3], DataType::Float, 12);
        let weight = tensor(part::INT8, dims, DataType::Int8, bytes);
        let vectors = [part::SCALE, INT8_BIAS, part::INVERSE_SCALE].map(vector);
        let initializer = vectors.into_iter().chain([weight]).collect();
        let graph = GraphProto { initializer, ..GraphProto::default() };
        let model = ModelProto { graph: Some(graph), ..ModelProto::default() };
        read_quantization([model.encode_to_vec().as_slice()])
    }

    #[test]
    fn weights_of_impossible_shape_are_refused() {
        assert_eq!(read(&[3, 3], 9).unwrap().layers["w"].weight.shape(), [3, 3]);
        for dims in
            [&[][..], &[3], &[3, 3, 3], &[3, 0], &[0, i64::MAX], &[-3, -3], &[i64::MIN, 3, 1, 1]]
        {
            let reason = read(dims, 9).unwrap_err();
            assert!(reason.ends_with("expected 2 or 4 sides of 1 or more"), "{reason}");
        }
        for dims in [&[i64::MAX, i64::MAX][..], &[1 << 32, 1 << 32], &[9, 9], &[3, 1, i64::MAX, 3]]
        {
            let reason = read(dims, 9).unwrap_err();
            assert!(reason.starts_with("w.int8 has 9 bytes, its shape is"), "{reason}");
        }
        assert_eq!(read(&[9, 1], 9).unwrap_err(), "w.scale has 12 bytes, expected 1 values");
    }
}
