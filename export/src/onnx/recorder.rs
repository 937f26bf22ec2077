//! The backend that records instead of computing.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use medsa_bundle::Precision;
use medsa_kernels::{LinearS8, S8_MAX};
use medsa_sam::backend::{Backend, Block, broadcast};
use medsa_sam::layers::{Conv2d, LayerNorm, Linear, LinearInput};
use medsa_sam::{Indices, Param};
use ndarray::Array2;
use prost::Message;
use tract_onnx::pb::AttributeProto;
use tract_onnx::pb::tensor_proto::DataType;

use super::functions::Call;
use super::graph::{Graph, cast_to, f32_tensor, float, i8_tensor, i64_tensor, int, ints};

type Recorded = Result<Value, Infallible>;

/// Records a network as an ONNX graph.
///
/// In [`Precision::Int8`], linear layers over tokens become integer matrix products: weights in
/// symmetric 8 bits per output channel, activations in symmetric 8 bits with one scale for each
/// token, found as the model runs. Convolutions stay in float, since the channels of their
/// inputs differ too much in range for one scale; so do attention products, softmax, norms and
/// residual sums.
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

    /// `x W^T` in integers, as [`LinearS8::forward`].
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
        let quantized = LinearS8::new(&weight.iter().copied().collect::<Vec<_>>(), inputs);
        let columns = (0..inputs).flat_map(|i| (0..outputs).map(move |o| o * inputs + i));
        let values = columns.map(|at| quantized.weight()[at]);
        let values = self
            .graph
            .borrow_mut()
            .initializer(&format!("{name}.s8"), || i8_tensor(&[inputs, outputs], values));
        let scales = quantized.scales().iter().copied();
        let scales = self.constant(&format!("{name}.scale"), &[outputs], scales);
        let shape = with_last(&x.shape, outputs);
        let sum = self.node("MatMulInteger", &[&steps.name, &values], vec![], shape);
        let sum = self.map("Cast", &sum, &[], vec![cast_to(DataType::Float)]);
        let y = self.map("Mul", &sum, &[&scale.name], vec![]);
        self.map("Mul", &y, &[&scales], vec![])
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
        let (name, weight) = (layer.weight.name(), layer.weight_array());
        let y = match (self.precision, layer.input) {
            (Precision::Int8, LinearInput::Tokens) => self.integer_product(x, name, &weight),
            _ => self.float_product(x, name, &weight),
        };
        Ok(self.add_bias(y, layer.bias.as_ref()))
    }

    fn conv2d(&self, x: &Value, layer: &Conv2d) -> Recorded {
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
        let y = self.permute(&y, &[0, 2, 3, 1])?;
        Ok(self.add_bias(y, layer.bias.as_ref()))
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
        graph.call(Call {
            operator: block.operator,
            attributes: block
                .attributes
                .iter()
                .map(|&(name, value)| int(name, value as i64))
                .collect(),
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

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use medsa_sam::layers::LinearInput;
    use ndarray::Array2;
    use tract_onnx::prelude::{Framework, InferenceModelExt, IntoRunnable, Tensor, tract_ndarray};

    use super::*;

    /// As the suite shows for onnxruntime.
    #[test]
    fn a_linear_layer_takes_the_same_steps_in_tract() {
        let (tokens, inputs, outputs) = (49, 128, 96);
        let wave = |i: usize| (i as f32 * 0.7).sin() + 0.1 * (i as f32 * 0.13).cos();
        let x = Array2::from_shape_fn((tokens, inputs), |(n, i)| wave(n * inputs + i) * n as f32);
        let weight = Array2::from_shape_fn((outputs, inputs), |(o, i)| wave(o * 331 + i * 7));
        let expected =
            LinearS8::new(weight.as_slice().unwrap(), inputs).forward(x.as_slice().unwrap());

        let recorder = Recorder::new(Precision::Int8);
        let weight = Param::new("w", weight);
        let layer = Linear { weight, bias: None, input: LinearInput::Tokens };
        let input = recorder.input("x", &[1, tokens, inputs]);
        let Ok(y) = recorder.linear(&input, &layer);
        recorder.output("y", &y);
        let onnx = recorder.into_onnx("linear", &[]);
        let model = tract_onnx::onnx().model_for_read(&mut Cursor::new(onnx)).unwrap();
        let model = model.into_optimized().unwrap().into_runnable().unwrap();
        let x = x.into_raw_vec_and_offset().0;
        let x = tract_ndarray::Array3::from_shape_vec((1, tokens, inputs), x).unwrap();
        let y = model.run(vec![Tensor::from(x).into()].into()).unwrap();
        let y = y[0].to_plain_array_view::<f32>().unwrap();
        // tract multiplies the two scales first, so the last bit may differ; a wrong step of one
        // value would show as 1e-3.
        for (found, expected) in y.iter().zip(&expected) {
            assert!((found - expected).abs() <= 1e-6 * expected.abs(), "{found} {expected}");
        }
    }
}
