//! The backend that records operations as ONNX nodes instead of computing them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::rc::Rc;

use medsa_sam::backend::{Backend, broadcast};
use medsa_sam::block::{Block, Layer, part};
use medsa_sam::layers::{Conv2d, LayerNorm, Linear};
use medsa_sam::{Indices, Int8Input, Int8Layer, Param, Quantization, S8_MAX, S8_TINY};
use ndarray::{Array1, Array2};
use prost::Message;
use tract_onnx::pb::AttributeProto;
use tract_onnx::pb::tensor_proto::DataType;

use super::functions::Call;
use super::graph::Graph;
use super::proto::{cast_to, f32_tensor, float, i8_tensor, i64_tensor, int, ints};

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

impl Backend for Recorder<'_> {
    type Tensor = Value;
    type Error = Infallible;

    fn param(&self, param: &Param) -> Recorded {
        let name = self.constant(param.name(), param.shape(), param.value().iter().copied());
        Ok(Value { name: name.into(), shape: param.shape().to_vec() })
    }

    fn shape(&self, x: &Value) -> Vec<usize> {
        x.shape.clone()
    }

    fn linear(&self, x: &Value, layer: &Linear) -> Recorded {
        let name = layer.weight.name();
        if let Some(int8) = self.quantization.layers.get(name) {
            return Ok(self.integer_linear(x, name, int8));
        }
        let y = self.float_product(x, name, &layer.weight_array());
        Ok(self.add_bias(y, layer.bias.as_ref()))
    }

    fn conv2d(&self, x: &Value, layer: &Conv2d) -> Recorded {
        let (weight, name) = (&layer.weight, layer.weight.name());
        if let Some(int8) = self.quantization.layers.get(name) {
            let quantized = self.quantize(x, name, &int8.input);
            let values = int8.weight.iter().copied();
            let weight = self.s8(&of(name, part::INT8), weight.shape(), values);
            let zero = int8.input.zero_point.first().map_or(0, |zero| *zero as i8);
            let zero = self.s8(&of(name, part::PADDING), &[], std::iter::once(zero));
            let sum = self.convolution(&quantized, &[&weight, &zero], layer, "ConvInteger")?;
            return Ok(self.dequantize(&sum, name, &int8.scale, &int8.bias));
        }
        let weight = self.constant(name, weight.shape(), weight.value().iter().copied());
        let y = self.convolution(x, &[&weight], layer, "Conv")?;
        Ok(self.add_bias(y, layer.bias.as_ref()))
    }

    fn attention_product(&self, name: &str, a: &Value, b: &Value) -> Recorded {
        if !self.quantization.attentions.contains(name) {
            return self.matmul(a, b);
        }
        let mut attentions = self.attentions.borrow_mut();
        // Each attention has two products.
        if attentions.last().is_none_or(|last| last != name) {
            attentions.push(name.to_owned());
        }
        let (rows, row_scale) = self.quantize_rows(a, a.shape.len() - 1);
        let (columns, column_scale) = self.quantize_rows(b, b.shape.len() - 2);
        let mut shape = a.shape.clone();
        *shape.last_mut().expect("tensors have axes") = b.shape[b.shape.len() - 1];
        let sum = self.node("MatMulInteger", &[&rows.name, &columns.name], vec![], shape);
        let sum = self.map("Cast", &sum, &[], vec![cast_to(DataType::Float)]);
        let y = self.map("Mul", &sum, &[&row_scale.name], vec![]);
        Ok(self.map("Mul", &y, &[&column_scale.name], vec![]))
    }

    fn block<const N: usize>(
        &self,
        block: Block,
        inputs: &[&Value],
        compute: impl FnOnce() -> Result<[Value; N], Infallible>,
    ) -> Result<[Value; N], Infallible> {
        let first = self.graph.borrow().nodes();
        let outputs = compute()?;
        let names = |values: &[&Value]| values.iter().map(|value| value.name.to_string()).collect();
        let mut graph = self.graph.borrow_mut();
        let nodes = first..graph.nodes();
        let mut roles = BTreeMap::new();
        let mut int8 = Vec::new();
        for (role, layer) in &block.layers {
            self.roles_of(role, *layer, &mut roles, &mut int8);
        }
        graph.call(Call {
            kind: block.kind,
            roles,
            int8,
            inputs: names(inputs),
            outputs: names(&outputs.each_ref()),
            nodes,
        });
        Ok(outputs)
    }

    fn layer_norm(&self, x: &Value, layer: &LayerNorm) -> Recorded {
        let [gamma, beta] = [self.param(&layer.gamma)?, self.param(&layer.beta)?];
        let attributes = vec![int("axis", -1), float("epsilon", layer.epsilon)];
        Ok(self.map("LayerNormalization", x, &[&gamma.name, &beta.name], attributes))
    }

    fn matmul(&self, a: &Value, b: &Value) -> Recorded {
        let rows = a.shape[a.shape.len() - 2];
        let columns = b.shape[b.shape.len() - 1];
        let mut shape = broadcast(&a.shape[..a.shape.len() - 2], &b.shape[..b.shape.len() - 2]);
        shape.extend([rows, columns]);
        Ok(self.node("MatMul", &[&a.name, &b.name], vec![], shape))
    }

    fn softmax(&self, x: &Value) -> Recorded {
        Ok(self.map("Softmax", x, &[], vec![int("axis", -1)]))
    }

    fn gelu(&self, x: &Value) -> Recorded {
        Ok(self.map("Gelu", x, &[], vec![]))
    }

    fn relu(&self, x: &Value) -> Recorded {
        Ok(self.map("Relu", x, &[], vec![]))
    }

    fn sin(&self, x: &Value) -> Recorded {
        Ok(self.map("Sin", x, &[], vec![]))
    }

    fn cos(&self, x: &Value) -> Recorded {
        Ok(self.map("Cos", x, &[], vec![]))
    }

    fn indicator(&self, x: &Value, value: f32) -> Recorded {
        let equal = self.map("Equal", x, &[&self.scalar(value)], vec![]);
        Ok(self.map("Cast", &equal, &[], vec![cast_to(DataType::Float)]))
    }

    fn add(&self, a: &Value, b: &Value) -> Recorded {
        Ok(self.node("Add", &[&a.name, &b.name], vec![], broadcast(&a.shape, &b.shape)))
    }

    fn mul(&self, a: &Value, b: &Value) -> Recorded {
        Ok(self.node("Mul", &[&a.name, &b.name], vec![], broadcast(&a.shape, &b.shape)))
    }

    fn affine(&self, x: &Value, scale: f32, shift: f32) -> Recorded {
        let mut y = x.clone();
        if scale != 1.0 {
            y = self.map("Mul", &y, &[&self.scalar(scale)], vec![]);
        }
        if shift != 0.0 {
            y = self.map("Add", &y, &[&self.scalar(shift)], vec![]);
        }
        Ok(y)
    }

    fn reshape(&self, x: &Value, shape: &[usize]) -> Recorded {
        let sides: Vec<i64> = shape.iter().map(|&side| side as i64).collect();
        Ok(self.node("Reshape", &[&x.name, &self.i64s(&sides)], vec![], shape.to_vec()))
    }

    fn permute(&self, x: &Value, axes: &[usize]) -> Recorded {
        let shape = axes.iter().map(|&axis| x.shape[axis]).collect();
        Ok(self.node("Transpose", &[&x.name], vec![ints("perm", axes.iter().copied())], shape))
    }

    fn pad_end(&self, x: &Value, axis: usize, count: usize) -> Recorded {
        let rank = x.shape.len();
        let mut pads = vec![0; 2 * rank];
        pads[rank + axis] = count as i64;
        let mut shape = x.shape.clone();
        shape[axis] += count;
        Ok(self.node("Pad", &[&x.name, &self.i64s(&pads)], vec![], shape))
    }

    fn narrow(&self, x: &Value, axis: usize, start: usize, len: usize) -> Recorded {
        let bounds = [start, start + len, axis].map(|bound| self.i64s(&[bound as i64]));
        let mut shape = x.shape.clone();
        shape[axis] = len;
        Ok(self.node("Slice", &[&x.name, &bounds[0], &bounds[1], &bounds[2]], vec![], shape))
    }

    fn take(&self, x: &Value, indices: &Indices) -> Recorded {
        let values: Vec<i64> = indices.values.iter().map(|&index| i64::from(index)).collect();
        let name = self.graph.borrow_mut().initializer(&indices.name, || i64_tensor(&values));
        let axis = (x.shape.len() - 1) as i64;
        let shape = with_last(&x.shape, values.len());
        Ok(self.node("Gather", &[&x.name, &name], vec![int("axis", axis)], shape))
    }

    fn concat(&self, parts: &[&Value], axis: usize) -> Recorded {
        let mut shape = parts[0].shape.clone();
        shape[axis] = parts.iter().map(|part| part.shape[axis]).sum();
        let names: Vec<&str> = parts.iter().map(|part| &*part.name).collect();
        Ok(self.node("Concat", &names, vec![int("axis", axis as i64)], shape))
    }
}

fn with_last(shape: &[usize], length: usize) -> Vec<usize> {
    let mut shape = shape.to_vec();
    *shape.last_mut().expect("tensors have axes") = length;
    shape
}
