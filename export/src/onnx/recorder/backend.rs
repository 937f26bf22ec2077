//! Operations of the network as nodes.

use std::collections::BTreeMap;
use std::convert::Infallible;

use medsa_sam::backend::{Backend, broadcast};
use medsa_sam::block::{Block, part};
use medsa_sam::layers::{Conv2d, LayerNorm, Linear};
use medsa_sam::{Indices, Param};
use tract_onnx::pb::tensor_proto::DataType;

use super::super::functions::Call;
use super::super::proto::{cast_to, float, i64_tensor, int, ints};
use super::{Recorded, Recorder, Value, of, with_last};

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
