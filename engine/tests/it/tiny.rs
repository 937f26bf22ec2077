//! A tiny network with the inputs and outputs of a real build: the encoder averages, and the
//! decoder draws a disc around the first click.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use medsa_bundle::{Acceptance, Build, Manifest, Origin, Precision};
use medsa_sam::image::{Fit, Normalization, Preprocess};
use prost::Message;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, attribute_proto::AttributeType,
    tensor_proto::DataType, tensor_shape_proto::Dimension, tensor_shape_proto::dimension,
    type_proto,
};

/// Side of the input and of the masks, in pixels.
pub const SIDE: usize = 64;

/// Radius of the disc, in input pixels.
pub const RADIUS: f32 = 12.0;

pub const PREPROCESS: Preprocess =
    Preprocess { input_size: SIDE, normalization: Normalization::MinMax, fit: Fit::Pad };

/// Writes a build to `folder`.
pub fn build(folder: &Path) -> PathBuf {
    build_of(folder, encoder(), decoder(), "0.1.0")
}

/// Writes a build of any model bytes to `folder`.
pub fn build_of(
    folder: &Path,
    encoder: Vec<u8>,
    decoder: Vec<u8>,
    min_edge_version: &str,
) -> PathBuf {
    let files = BTreeMap::from([
        (Manifest::ENCODER.to_owned(), encoder),
        (Manifest::DECODER.to_owned(), decoder),
    ]);
    let path = folder.join("tiny.medsa");
    Build::new(manifest(min_edge_version), files, Acceptance::default()).write(&path).unwrap();
    path
}

/// Manifest of the tiny build.
pub fn manifest(min_edge_version: &str) -> Manifest {
    Manifest {
        format: Manifest::FORMAT,
        name: "tiny".into(),
        version: "1.0.0".into(),
        min_edge_version: min_edge_version.into(),
        base: Origin { name: "tiny".into(), sha256: "00".repeat(32) },
        adapter: None,
        classes: Vec::new(),
        preprocess: PREPROCESS,
        precision: Precision::F32,
        agreement: None,
        quantization: None,
        unfit: Vec::new(),
        files: BTreeMap::new(),
    }
}

/// `image` `[1, 3, 64, 64]` -> `embedding` `[1, 3, 16, 16]`.
pub fn encoder() -> Vec<u8> {
    encoder_for(SIDE as i64)
}

pub fn encoder_for(side: i64) -> Vec<u8> {
    let mut pool = node("AveragePool", &["image"], "embedding");
    pool.attribute = vec![ints("kernel_shape", &[4, 4]), ints("strides", &[4, 4])];
    model(
        vec![pool],
        vec![],
        vec![value("image", &[1, 3, side, side])],
        vec![value("embedding", &[1, 3, side / 4, side / 4])],
    )
}

/// Like [`encoder`], but a frame takes many seconds.
pub fn slow_encoder() -> Vec<u8> {
    let side = SIDE as i64;
    let mut blur = node("AveragePool", &["large"], "blurred");
    blur.attribute = vec![
        ints("kernel_shape", &[95, 95]),
        ints("strides", &[1, 1]),
        ints("pads", &[47, 47, 47, 47]),
    ];
    let mut pool = node("AveragePool", &["blurred"], "embedding");
    pool.attribute = vec![ints("kernel_shape", &[64, 64]), ints("strides", &[64, 64])];
    model(
        vec![node("Tile", &["image", "repeats"], "large"), blur, pool],
        vec![index("repeats", &[4], &[1, 1, 16, 16])],
        vec![value("image", &[1, 3, side, side])],
        vec![value("embedding", &[1, 3, side / 4, side / 4])],
    )
}

/// Decoder that belongs to [`encoder`]; scores are 0.9.
pub fn decoder() -> Vec<u8> {
    decoder_for(SIDE as i64)
}

/// The disc has the same size in the frame, regardless of the side.
pub fn decoder_for(side: i64) -> Vec<u8> {
    let radius = RADIUS * side as f32 / SIDE as f32;
    let centres: Vec<f32> = (0..side).map(|i| i as f32 + 0.5).collect();
    let constants = vec![
        floats("columns", &[1, 1, 1, side], &centres),
        floats("rows", &[1, 1, side, 1], &centres),
        floats("radius2", &[1], &[radius * radius]),
        floats("zero", &[1], &[0.0]),
        floats("score", &[1], &[0.9]),
        index("first", &[], &[0]),
        index("second", &[], &[1]),
        index("four", &[4], &[0, 1, 2, 3]),
    ];
    let mut mean = node("ReduceMean", &["embedding"], "mean");
    mean.attribute = vec![ints("axes", &[1, 2, 3])];
    let mut copies = node("Concat", &["logits", "logits", "logits", "logits"], "masks");
    copies.attribute = vec![int("axis", 1)];
    let nodes = vec![
        gather("point_coords", "first", "point"),
        gather("point", "first", "x"),
        gather("point", "second", "y"),
        node("Sub", &["columns", "x"], "dx"),
        node("Sub", &["rows", "y"], "dy"),
        node("Mul", &["dx", "dx"], "dx2"),
        node("Mul", &["dy", "dy"], "dy2"),
        node("Add", &["dx2", "dy2"], "distance2"),
        node("Sub", &["radius2", "distance2"], "disc"),
        // The other inputs are used without effect.
        mean,
        node("Mul", &["mean", "zero"], "nothing"),
        node("Add", &["disc", "nothing"], "seen"),
        node("Mul", &["mask_input", "has_mask"], "previous"),
        node("Add", &["seen", "previous"], "logits"),
        copies,
        gather("point_labels", "four", "labels"),
        node("Mul", &["labels", "zero"], "no_labels"),
        node("Add", &["no_labels", "score"], "iou"),
    ];
    model(
        nodes,
        constants,
        vec![
            value("embedding", &[1, 3, side / 4, side / 4]),
            value("point_coords", &[1, 18, 2]),
            value("point_labels", &[1, 18]),
            value("mask_input", &[1, 1, side, side]),
            value("has_mask", &[1]),
        ],
        vec![value("masks", &[1, 4, side, side]), value("iou", &[1, 4])],
    )
}

fn model(
    node: Vec<NodeProto>,
    initializer: Vec<TensorProto>,
    input: Vec<ValueInfoProto>,
    output: Vec<ValueInfoProto>,
) -> Vec<u8> {
    let graph = GraphProto {
        name: "tiny".into(),
        node,
        initializer,
        input,
        output,
        ..GraphProto::default()
    };
    let opset = OperatorSetIdProto { domain: String::new(), version: 17 };
    let model = ModelProto {
        ir_version: 8,
        opset_import: vec![opset],
        graph: Some(graph),
        ..ModelProto::default()
    };
    model.encode_to_vec()
}

fn node(op: &str, input: &[&str], output: &str) -> NodeProto {
    NodeProto {
        name: output.to_owned(),
        op_type: op.to_owned(),
        input: input.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    }
}

/// Gathers along axis 1.
fn gather(data: &str, indices: &str, output: &str) -> NodeProto {
    let mut gather = node("Gather", &[data, indices], output);
    gather.attribute = vec![int("axis", 1)];
    gather
}

fn int(name: &str, i: i64) -> AttributeProto {
    let r#type = AttributeType::Int as i32;
    AttributeProto { name: name.to_owned(), r#type, i, ..AttributeProto::default() }
}

fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    let r#type = AttributeType::Ints as i32;
    AttributeProto {
        name: name.to_owned(),
        r#type,
        ints: ints.to_vec(),
        ..AttributeProto::default()
    }
}

fn floats(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: dims.to_vec(),
        data_type: DataType::Float as i32,
        float_data: values.to_vec(),
        ..TensorProto::default()
    }
}

fn index(name: &str, dims: &[i64], values: &[i64]) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: dims.to_vec(),
        data_type: DataType::Int64 as i32,
        int64_data: values.to_vec(),
        ..TensorProto::default()
    }
}

fn value(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = dims.iter().map(|&dim| Dimension {
        denotation: String::new(),
        value: Some(dimension::Value::DimValue(dim)),
    });
    let tensor = type_proto::Tensor {
        elem_type: DataType::Float as i32,
        shape: Some(TensorShapeProto { dim: dim.collect() }),
    };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            denotation: String::new(),
            value: Some(type_proto::Value::TensorType(tensor)),
        }),
        doc_string: String::new(),
    }
}
