//! The backend that records operations as ONNX nodes instead of computing them.

mod backend;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::rc::Rc;

use medsa_sam::backend::Backend;
use medsa_sam::block::{Layer, part};
use medsa_sam::layers::Conv2d;
use medsa_sam::{Int8Input, Int8Layer, Param, Quantization, S8_MAX, S8_TINY};
use ndarray::{Array1, Array2};
use prost::Message;
use tract_onnx::pb::AttributeProto;
use tract_onnx::pb::tensor_proto::DataType;

use super::graph::Graph;
use super::proto::{cast_to, f32_tensor, i8_tensor, int, ints};

type Recorded = Result<Value, Infallible>;

/// Backend that records a network as an ONNX graph. The parts named in its [`Quantization`] are
/// recorded in int8.
pub struct Recorder<'a> {
    graph: RefCell<Graph>,
    quantization: &'a Quantization,
    /// Int8 attentions recorded so far.
    attentions: RefCell<Vec<String>>,
}

/// Property of a file that holds the names of its int8 attentions.
pub(super) const ATTENTIONS: &str = "medsa.int8_attentions";

/// A value of the graph.
#[derive(Clone, Debug)]
pub struct Value {
    name: Rc<str>,
    shape: Vec<usize>,
}

impl<'a> Recorder<'a> {
    /// A recorder of an empty graph.
    pub fn new(quantization: &'a Quantization) -> Self {
        Self { graph: RefCell::default(), quantization, attentions: RefCell::default() }
    }

    /// Adds an f32 input to the graph.
    pub fn input(&self, name: &str, shape: &[usize]) -> Value {
        self.graph.borrow_mut().input(name, shape);
        Value { name: name.into(), shape: shape.to_vec() }
    }

    /// Makes `value` an output of the graph.
    pub fn output(&self, name: &str, value: &Value) {
        self.graph.borrow_mut().output(&value.name, name, &value.shape);
    }

    /// Finishes the model file.
    pub fn into_onnx(self, name: &str, metadata: &[(&str, &str)]) -> Vec<u8> {
        let attentions = self.attentions.into_inner().join(" ");
        let attentions = (!attentions.is_empty()).then_some((ATTENTIONS, attentions.as_str()));
        let metadata: Vec<_> = metadata.iter().copied().chain(attentions).collect();
        self.graph.into_inner().into_model(name, &metadata).encode_to_vec()
    }

    fn node(
        &self,
        op_type: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
        shape: Vec<usize>,
    ) -> Value {
        let name = self.graph.borrow_mut().node(op_type, inputs, attributes);
        Value { name: name.into(), shape }
    }

    /// Adds a node whose result has the shape of its first input.
    fn map(
        &self,
        op_type: &str,
        x: &Value,
        others: &[&str],
        attributes: Vec<AttributeProto>,
    ) -> Value {
        let inputs: Vec<&str> = std::iter::once(&*x.name).chain(others.iter().copied()).collect();
        self.node(op_type, &inputs, attributes, x.shape.clone())
    }

    fn constant(
        &self,
        name: &str,
        shape: &[usize],
        values: impl IntoIterator<Item = f32>,
    ) -> String {
        self.graph.borrow_mut().initializer(name, || f32_tensor(shape, values))
    }

    fn i64s(&self, values: &[i64]) -> String {
        self.graph.borrow_mut().i64s(values)
    }

    fn scalar(&self, value: f32) -> String {
        self.graph.borrow_mut().scalar(value)
    }

    fn add_bias(&self, y: Value, bias: Option<&Param>) -> Value {
        let Some(bias) = bias else { return y };
        let bias = self.constant(bias.name(), bias.shape(), bias.value().iter().copied());
        self.map("Add", &y, &[&bias], vec![])
    }

    fn float_product(&self, x: &Value, name: &str, weight: &Array2<f32>) -> Value {
        let (outputs, inputs) = weight.dim();
        let weight = self.constant(name, &[inputs, outputs], weight.t().iter().copied());
        self.node("MatMul", &[&x.name, &weight], vec![], with_last(&x.shape, outputs))
    }

    fn vector(&self, name: &str, values: &Array1<f32>) -> String {
        self.constant(name, &[values.len()], values.iter().copied())
    }

    fn s8(&self, name: &str, shape: &[usize], values: impl Iterator<Item = i8>) -> String {
        self.graph.borrow_mut().initializer(name, || i8_tensor(shape, values))
    }

    /// Quantizes `[.., C]` to int8, with the scale and zero point of each channel.
    fn quantize(&self, x: &Value, name: &str, input: &Int8Input) -> Value {
        let inverse = input.scale.mapv(|scale| 1.0 / scale);
        let inverse = self.vector(&of(name, part::INVERSE_SCALE), &inverse);
        let x = self.map("Mul", x, &[&inverse], vec![]);
        let mut x = self.map("Round", &x, &[], vec![]);
        if input.zero_point.iter().any(|zero| *zero != 0.0) {
            let zero = self.vector(&of(name, part::ZERO_POINT), &input.zero_point);
            x = self.map("Add", &x, &[&zero], vec![]);
        }
        let x = self.map("Clip", &x, &[&self.scalar(-S8_MAX), &self.scalar(S8_MAX)], vec![]);
        self.map("Cast", &x, &[], vec![cast_to(DataType::Int8)])
    }

    /// `x W^T + b` with an integer product, as in [`medsa_kernels::LinearS8::forward`].
    fn integer_linear(&self, x: &Value, name: &str, layer: &Int8Layer) -> Value {
        let (outputs, inputs) = (layer.weight.shape()[0], layer.weight.shape()[1]);
        let quantized = self.quantize(x, name, &layer.input);
        let columns = (0..inputs).flat_map(|i| (0..outputs).map(move |o| [o, i]));
        let weight = self.s8(
            &of(name, part::INT8),
            &[inputs, outputs],
            columns.map(|at| layer.weight[&at[..]]),
        );
        let shape = with_last(&x.shape, outputs);
        let sum = self.node("MatMulInteger", &[&quantized.name, &weight], vec![], shape);
        self.dequantize(&sum, name, &layer.scale, &layer.integer_bias())
    }

    /// Converts integer sums `[.., out]` to float and adds the bias.
    fn dequantize(
        &self,
        sum: &Value,
        name: &str,
        scale: &Array1<f32>,
        bias: &Array1<f32>,
    ) -> Value {
        let sum = self.map("Cast", sum, &[], vec![cast_to(DataType::Float)]);
        let scale = self.vector(&of(name, part::SCALE), scale);
        let y = self.map("Mul", &sum, &[&scale], vec![]);
        self.map("Add", &y, &[&self.vector(&of(name, INT8_BIAS), bias)], vec![])
    }

    /// Quantizes `x` to int8 with one scale per row along `axis`, 1/127 of the row's largest
    /// magnitude; also returns the scales.
    fn quantize_rows(&self, x: &Value, axis: usize) -> (Value, Value) {
        let mut each = x.shape.clone();
        each[axis] = 1;
        let magnitude = self.map("Abs", x, &[], vec![]);
        let axis = self.i64s(&[axis as i64]);
        let keep = vec![int("keepdims", 1)];
        let largest = self.node("ReduceMax", &[&magnitude.name, &axis], keep, each);
        let largest = self.map("Max", &largest, &[&self.scalar(S8_TINY)], vec![]);
        let scale = self.map("Div", &largest, &[&self.scalar(S8_MAX)], vec![]);
        let x = self.map("Div", x, &[&scale.name], vec![]);
        let x = self.map("Round", &x, &[], vec![]);
        (self.map("Cast", &x, &[], vec![cast_to(DataType::Int8)]), scale)
    }

    fn convolution(
        &self,
        x: &Value,
        operands: &[&str],
        layer: &Conv2d,
        operator: &str,
    ) -> Recorded {
        let [batch, h, w, _] = x.shape[..] else { unreachable!("maps have four axes") };
        let [outputs, _, kernel, _] = layer.weight.shape()[..] else {
            unreachable!("convolution weights have four axes")
        };
        let (out_h, out_w) = (layer.output_side(h), layer.output_side(w));
        let channels_first = self.permute(x, &[0, 3, 1, 2])?;
        let y = self.node(
            operator,
            &[&[&*channels_first.name], operands].concat(),
            vec![
                int("group", layer.groups as i64),
                ints("kernel_shape", [kernel; 2]),
                ints("pads", [layer.padding; 4]),
                ints("strides", [layer.stride; 2]),
            ],
            vec![batch, outputs, out_h, out_w],
        );
        self.permute(&y, &[0, 2, 3, 1])
    }
}

impl Recorder<'_> {
    /// Collects the roles of a layer's tensors by their names in the file, and the roles in int8.
    fn roles_of(
        &self,
        role: &str,
        layer: Layer,
        roles: &mut BTreeMap<String, String>,
        int8: &mut Vec<String>,
    ) {
        let (weight, bias) = match layer {
            Layer::Linear(linear) => (&linear.weight, linear.bias.as_ref()),
            Layer::Conv(conv) => (&conv.weight, conv.bias.as_ref()),
            Layer::Norm(norm) => (&norm.gamma, Some(&norm.beta)),
            Layer::Param(param) => {
                roles.insert(param.name().to_owned(), role.to_owned());
                return;
            }
            Layer::Indices(indices) => {
                roles.insert(indices.name.to_string(), role.to_owned());
                return;
            }
            Layer::Products(name) => {
                if self.quantization.attentions.contains(name) {
                    int8.push(role.to_owned());
                }
                return;
            }
        };
        let name = weight.name();
        let mut add = |name: String, part: &str| roles.insert(name, of(role, part));
        if self.quantization.layers.contains_key(name) {
            use part::{INT8, INVERSE_SCALE, PADDING, SCALE, ZERO_POINT};
            for part in [INT8, SCALE, INVERSE_SCALE, ZERO_POINT, PADDING] {
                add(of(name, part), part);
            }
            add(of(name, INT8_BIAS), part::BIAS);
            int8.push(role.to_owned());
        } else {
            add(name.to_owned(), part::WEIGHT);
            if let Some(bias) = bias {
                add(bias.name().to_owned(), part::BIAS);
            }
        }
    }
}

/// Suffix of the name of an int8 layer's bias. It differs from the float bias because it contains
/// the zero points' contribution.
pub(super) const INT8_BIAS: &str = "int8_bias";

/// Full name of a part of a layer.
fn of(layer: &str, part: &str) -> String {
    format!("{layer}.{part}")
}

fn with_last(shape: &[usize], length: usize) -> Vec<usize> {
    let mut shape = shape.to_vec();
    *shape.last_mut().expect("tensors have axes") = length;
    shape
}
