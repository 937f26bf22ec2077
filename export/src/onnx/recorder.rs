//! The backend that records instead of computing.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use medsa_bundle::Precision;
use medsa_sam::backend::Backend;
use medsa_sam::layers::{Conv2d, LayerNorm, Linear};
use medsa_sam::{Indices, Param};
use ndarray::{Array2, Ix4};
use prost::Message;
use tract_onnx::pb::AttributeProto;
use tract_onnx::pb::tensor_proto::DataType;

use super::graph::{Graph, cast_to, f32_tensor, float, i8_tensor, i64_tensor, int, ints};
use super::quantize::{QuantizedWeight, S8_MAX};

type Recorded = Result<Value, Infallible>;

/// Records a network as an ONNX graph.
///
/// In [`Precision::Int8`], linear layers and dense convolutions become integer matrix products:
/// weights in symmetric 8 bits per output channel, activations in symmetric 8 bits with one
/// scale for each token, found as the model runs. Depthwise convolutions (1 % of the products),
/// attention products, softmax, norms and residual sums stay in float.
pub struct Recorder {
    graph: RefCell<Graph>,
    precision: Precision,
}

/// A value of the graph.
#[derive(Clone, Debug)]
pub struct Value {
    name: Rc<str>,
    shape: Vec<usize>,
}

impl Recorder {
    /// A recorder of an empty graph.
    pub fn new(precision: Precision) -> Self {
        Self { graph: RefCell::default(), precision }
    }

    /// An input of the graph, f32.
    pub fn input(&self, name: &str, shape: &[usize]) -> Value {
        self.graph.borrow_mut().input(name, shape);
        Value { name: name.into(), shape: shape.to_vec() }
    }

    /// Makes `value` an output of the graph.
    pub fn output(&self, name: &str, value: &Value) {
        self.graph.borrow_mut().output(&value.name, name, &value.shape);
    }

    /// The model file.
    pub fn into_onnx(self, name: &str, metadata: &[(&str, &str)]) -> Vec<u8> {
        self.graph.into_inner().into_model(name, metadata).encode_to_vec()
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

    /// A node whose result has the shape of its first input.
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

    /// `x W^T` in integers: `x` quantized with a scale for each token.
    fn integer_product(&self, x: &Value, name: &str, weight: &Array2<f32>) -> Value {
        // Small enough to leave a token of zeros alone.
        const TINY: f32 = 1e-12;
        let (outputs, inputs) = weight.dim();
        let magnitude = self.map("Abs", x, &[], vec![]);
        let last = self.i64s(&[-1]);
        let largest = self.node(
            "ReduceMax",
            &[&magnitude.name, &last],
            vec![int("keepdims", 1)],
            with_last(&x.shape, 1),
        );
        let largest = self.map("Max", &largest, &[&self.scalar(TINY)], vec![]);
        let scale = self.map("Div", &largest, &[&self.scalar(S8_MAX)], vec![]);
        let steps = self.map("Div", x, &[&scale.name], vec![]);
        let steps = self.map("Round", &steps, &[], vec![]);
        let steps = self.map("Cast", &steps, &[], vec![cast_to(DataType::Int8)]);
        let weight = QuantizedWeight::new(weight.view());
        let values = self.graph.borrow_mut().initializer(&format!("{name}.s8"), || {
            i8_tensor(&[inputs, outputs], weight.values.iter().copied())
        });
        let scales = self.constant(&format!("{name}.scale"), &[outputs], weight.scales);
        let shape = with_last(&x.shape, outputs);
        let sum = self.node("MatMulInteger", &[&steps.name, &values], vec![], shape);
        let sum = self.map("Cast", &sum, &[], vec![cast_to(DataType::Float)]);
        let y = self.map("Mul", &sum, &[&scale.name], vec![]);
        self.map("Mul", &y, &[&scales], vec![])
    }

    fn product(&self, x: &Value, name: &str, weight: &Array2<f32>) -> Value {
        match self.precision {
            Precision::F32 => self.float_product(x, name, weight),
            Precision::Int8 => self.integer_product(x, name, weight),
        }
    }

    /// A dense convolution as a matrix product of every position's neighbourhood.
    fn dense_conv_by_product(&self, x: &Value, layer: &Conv2d) -> Recorded {
        let [batch, h, w, c] = x.shape[..] else { unreachable!("maps have four axes") };
        let kernel = layer.weight.shape()[2];
        let pads = [0, 1, 1, 0, 0, 1, 1, 0].map(|side| side * layer.padding as i64);
        let side = |length| length + 2 * layer.padding;
        let x = self.node(
            "Pad",
            &[&x.name, &self.i64s(&pads)],
            vec![],
            vec![batch, side(h), side(w), c],
        );
        let (out_h, out_w) = (layer.output_side(h), layer.output_side(w));
        let step = layer.stride as i64;
        let taps: Vec<Value> = (0..kernel * kernel)
            .map(|tap| {
                let (dy, dx) = ((tap / kernel) as i64, (tap % kernel) as i64);
                let starts = self.i64s(&[dy, dx]);
                let ends = self.i64s(&[dy + step * out_h as i64, dx + step * out_w as i64]);
                let (axes, steps) = (self.i64s(&[1, 2]), self.i64s(&[step, step]));
                let shape = vec![batch, out_h, out_w, c];
                self.node("Slice", &[&x.name, &starts, &ends, &axes, &steps], vec![], shape)
            })
            .collect();
        let columns = self.concat(&taps.iter().collect::<Vec<_>>(), 3)?;
        let weight = layer.weight.value().view().into_dimensionality::<Ix4>();
        let weight =
            weight.expect("convolution weights have four axes").permuted_axes([0, 2, 3, 1]);
        let shape = (layer.weight.shape()[0], kernel * kernel * c);
        let weight = weight.as_standard_layout().into_owned().into_shape_with_order(shape);
        let weight = weight.expect("a copy in standard layout can be reshaped");
        Ok(self.product(&columns, layer.weight.name(), &weight))
    }

    fn conv(&self, x: &Value, layer: &Conv2d) -> Recorded {
        let [batch, h, w, _] = x.shape[..] else { unreachable!("maps have four axes") };
        let weight = &layer.weight;
        let [outputs, _, kernel, _] = weight.shape()[..] else {
            unreachable!("convolution weights have four axes")
        };
        let (out_h, out_w) = (layer.output_side(h), layer.output_side(w));
        let channels_first = self.permute(x, &[0, 3, 1, 2])?;
        let weight = self.constant(weight.name(), weight.shape(), weight.value().iter().copied());
        let y = self.node(
            "Conv",
            &[&channels_first.name, &weight],
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

impl Backend for Recorder {
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
        let y = self.product(x, layer.weight.name(), &layer.weight_array());
        Ok(self.add_bias(y, layer.bias.as_ref()))
    }

    fn conv2d(&self, x: &Value, layer: &Conv2d) -> Recorded {
        let y = match self.precision {
            Precision::Int8 if layer.groups == 1 => self.dense_conv_by_product(x, layer)?,
            _ => self.conv(x, layer)?,
        };
        Ok(self.add_bias(y, layer.bias.as_ref()))
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

/// The shape of a binary operation's result, as NumPy has it.
fn broadcast(a: &[usize], b: &[usize]) -> Vec<usize> {
    let (long, short) = if a.len() >= b.len() { (a, b) } else { (b, a) };
    let mut shape = long.to_vec();
    for (side, other) in shape.iter_mut().rev().zip(short.iter().rev()) {
        *side = (*side).max(*other);
    }
    shape
}
