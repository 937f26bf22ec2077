//! Parts of an ONNX file, in the few forms used here.

use tract_onnx::pb::{
    AttributeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto,
    attribute_proto, tensor_proto, tensor_shape_proto, type_proto,
};

/// Version of the standard operators: the first that has Gelu.
pub(super) const OPSET: i64 = 20;

pub(super) fn operator_set(domain: &str, version: i64) -> OperatorSetIdProto {
    OperatorSetIdProto { domain: domain.into(), version }
}

pub(super) fn attribute_tensor(name: &str, value: TensorProto) -> AttributeProto {
    AttributeProto { t: Some(value), ..attribute(name, attribute_proto::AttributeType::Tensor) }
}

pub(super) fn f32_tensor(shape: &[usize], values: impl IntoIterator<Item = f32>) -> TensorProto {
    let raw = values.into_iter().flat_map(f32::to_le_bytes).collect();
    tensor(tensor_proto::DataType::Float, shape, raw)
}

pub(super) fn i8_tensor(shape: &[usize], values: impl IntoIterator<Item = i8>) -> TensorProto {
    let raw = values.into_iter().map(|value| value as u8).collect();
    tensor(tensor_proto::DataType::Int8, shape, raw)
}

pub(super) fn i64_tensor(values: &[i64]) -> TensorProto {
    let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor(tensor_proto::DataType::Int64, &[values.len()], raw)
}

pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    let attribute = attribute(name, attribute_proto::AttributeType::Int);
    AttributeProto { i: value, ..attribute }
}

pub(super) fn ints(name: &str, values: impl IntoIterator<Item = usize>) -> AttributeProto {
    let attribute = attribute(name, attribute_proto::AttributeType::Ints);
    AttributeProto { ints: values.into_iter().map(|value| value as i64).collect(), ..attribute }
}

pub(super) fn string(name: &str, value: &str) -> AttributeProto {
    let attribute = attribute(name, attribute_proto::AttributeType::String);
    AttributeProto { s: value.as_bytes().to_vec(), ..attribute }
}

pub(super) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { f: value, ..attribute(name, attribute_proto::AttributeType::Float) }
}

pub(super) fn cast_to(data_type: tensor_proto::DataType) -> AttributeProto {
    int("to", data_type as i64)
}

fn attribute(name: &str, kind: attribute_proto::AttributeType) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: kind as i32, ..AttributeProto::default() }
}

fn tensor(data_type: tensor_proto::DataType, shape: &[usize], raw_data: Vec<u8>) -> TensorProto {
    TensorProto {
        dims: shape.iter().map(|&side| side as i64).collect(),
        data_type: data_type as i32,
        raw_data,
        ..TensorProto::default()
    }
}

pub(super) fn value_info(name: &str, shape: &[usize]) -> ValueInfoProto {
    let dim = shape
        .iter()
        .map(|&side| tensor_shape_proto::Dimension {
            value: Some(tensor_shape_proto::dimension::Value::DimValue(side as i64)),
            ..tensor_shape_proto::Dimension::default()
        })
        .collect();
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(type_proto::Tensor {
                elem_type: tensor_proto::DataType::Float as i32,
                shape: Some(TensorShapeProto { dim }),
            })),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}
