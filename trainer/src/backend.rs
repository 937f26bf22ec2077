//! `medsa-sam`'s operations on candle tensors.
//!
//! Softmax and layer norm are composed of basic operations, because candle's own lose gradients
//! without an error. On the CPU, expensive operations use the operators of [`crate::ops`].

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use candle_core::{D, DType, Device, Result, Tensor, Var};
use medsa_sam::backend::{Backend, Scores, compose};
use medsa_sam::layers::{Conv2d, LayerNorm, Linear, Packing};
use medsa_sam::{Indices, Param, Quantization};
use ndarray::{Array, ArrayD, Dimension};

use crate::ops;
use crate::tape::Node;

/// A backend that computes one network on one device. Each weight is moved to the device once, at
/// first use, and is then found by name. Another network, or the same network for another input
/// size, needs its own backend.
pub struct CandleBackend {
    device: Device,
    operators: Operators,
    params: RefCell<HashMap<String, Node>>,
    quantization: Rc<Quantization>,
    watcher: Option<Watcher>,
}

/// A layer whose input is passed to a [`Watcher`].
#[derive(Clone, Copy)]
pub enum Layer<'a> {
    /// A linear layer over the last axis.
    Linear(&'a Linear),
    /// A convolution of a map.
    Conv2d(&'a Conv2d),
}

impl<'a> Layer<'a> {
    /// Weight of the layer; its name is the name of the layer.
    pub fn weight(self) -> &'a Param {
        match self {
            Self::Linear(layer) => &layer.weight,
            Self::Conv2d(layer) => &layer.weight,
        }
    }

    /// Bias of the layer.
    pub fn bias(self) -> Option<&'a Param> {
        match self {
            Self::Linear(layer) => layer.bias.as_ref(),
            Self::Conv2d(layer) => layer.bias.as_ref(),
        }
    }
}

/// Callback that receives the input of every linear layer and convolution.
pub type Watcher = Rc<dyn Fn(Layer, &Tensor) -> Result<()>>;

/// Implementation of the expensive operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operators {
    /// Fused operators with their own gradients, on the CPU only.
    Fused,
    /// Compositions of candle's operations, with candle's gradients; used on other devices.
    Composed,
}

impl CandleBackend {
    /// A backend for `device`.
    pub fn new(device: Device) -> Self {
        let operators = if device.is_cpu() { Operators::Fused } else { Operators::Composed };
        Self::with_operators(device, operators)
    }

    /// A backend for `device` with the given implementation of expensive operations.
    pub fn with_operators(device: Device, operators: Operators) -> Self {
        Self {
            device,
            operators,
            params: RefCell::default(),
            quantization: Rc::default(),
            watcher: None,
        }
    }

    /// Simulates the int8 arithmetic of `quantization` in float.
    #[must_use]
    pub fn quantized(self, quantization: Rc<Quantization>) -> Self {
        Self { quantization, ..self }
    }

    /// Passes the inputs of layers to `watcher`.
    #[must_use]
    pub fn watched(self, watcher: Watcher) -> Self {
        Self { watcher: Some(watcher), ..self }
    }

    /// Makes weights trainable: replaces them by `vars`, by name.
    pub fn train(&self, vars: impl IntoIterator<Item = (String, Var)>) {
        let node = |name: &str, var: Var| match self.operators {
            Operators::Fused => Node::variable(name, var.as_tensor().clone()),
            // Candle itself tracks tensors computed from a variable.
            Operators::Composed => Node::constant(var.as_tensor().clone()),
        };
        let nodes = vars.into_iter().map(|(name, var)| (name.clone(), node(&name, var)));
        self.params.borrow_mut().extend(nodes);
    }

    /// A backend with the same weights, none of them trainable.
    pub(crate) fn detached(&self) -> Self {
        let params = self.params.borrow();
        let params = params.iter().map(|(name, node)| (name.clone(), node.detach()));
        Self {
            device: self.device.clone(),
            operators: self.operators,
            params: RefCell::new(params.collect()),
            quantization: self.quantization.clone(),
            watcher: self.watcher.clone(),
        }
    }

    /// Implementation of the expensive operations.
    pub(crate) fn operators(&self) -> Operators {
        self.operators
    }

    /// True if expensive operations use the fused operators.
    fn has_ops(&self) -> bool {
        self.operators == Operators::Fused
    }

    /// An array on this device.
    ///
    /// # Errors
    /// The device failed.
    pub fn tensor<T: Dimension>(&self, array: Array<f32, T>) -> Result<Node> {
        let shape = array.shape().to_vec();
        let values = array.as_standard_layout().iter().copied().collect();
        Tensor::from_vec(values, shape, &self.device).map(Node::constant)
    }

    /// Values as an array.
    ///
    /// # Errors
    /// The device failed.
    pub fn array(&self, node: &Node) -> Result<ArrayD<f32>> {
        let values = node.value().flatten_all()?.to_vec1()?;
        let array = ArrayD::from_shape_vec(node.dims(), values);
        Ok(array.expect("a tensor has as many values as its shape says"))
    }

    /// True if the products of an attention are in int8.
    fn is_int8(&self, attention: &str) -> bool {
        self.quantization.attentions.contains(attention)
    }

    /// Scores for the fused attention; `None` if it cannot compute this attention.
    fn fused<'a>(&self, scores: &Scores<'a, Node>) -> Option<Scores<'a, Tensor>> {
        let Scores { name, scale, bias } = *scores;
        let can = self.has_ops() && !bias.is_some_and(Node::varies) && !self.is_int8(name);
        can.then(|| Scores { name, scale, bias: bias.map(Node::value) })
    }

    /// Input, weight and bias of a layer, fake-quantized if the layer is in int8.
    fn operands(&self, x: &Node, layer: Layer) -> Result<(Node, Node, Option<Node>)> {
        if let Some(watcher) = &self.watcher {
            watcher(layer, x.value())?;
        }
        let (weight, bias) = (layer.weight(), layer.bias());
        let name = weight.name();
        let Some(layer) = self.quantization.layers.get(name) else {
            let bias = bias.map(|bias| self.param(bias)).transpose()?;
            return Ok((x.clone(), self.param(weight)?, bias));
        };
        let (found, expected) = (layer.weight.shape(), weight.shape());
        if found != expected {
            candle_core::bail!("int8 layer {name} has shape {found:?}, expected {expected:?}");
        }
        let kept = |part: &str, array: &dyn Fn() -> ArrayD<f32>| {
            let name = format!("{name}.s8.{part}");
            if let Some(node) = self.params.borrow().get(&name) {
                return Ok(node.clone());
            }
            let node = self.tensor(array())?;
            self.params.borrow_mut().insert(name, node.clone());
            Result::Ok(node)
        };
        let weight = kept("weight", &|| layer.float_weight())?;
        let bias = kept("bias", &|| layer.bias.clone().into_dyn())?;
        Ok((ops::fake_quantize(x, &layer.input)?, weight, Some(bias)))
    }

    /// Input values under each position of the kernel: `[B, H, W, C]` -> k * k maps `[B, H', W',
    /// C]`, row-major over the kernel.
    fn taps(&self, x: &Tensor, layer: &Conv2d) -> Result<Vec<Tensor>> {
        let (batch, h, w, c) = x.dims4()?;
        let (s, p) = (layer.stride, layer.padding);
        let (out_h, out_w) = (layer.output_side(h), layer.output_side(w));
        let kernel = layer.weight.shape()[2];
        // Pad to a multiple of the stride, so that strided taps are plain slices of phases.
        let fill = |side: usize| (side + 2 * p).next_multiple_of(s) - side - p;
        let x = x.pad_with_zeros(1, p, fill(h))?.pad_with_zeros(2, p, fill(w))?;
        let (padded_h, padded_w) = (h + p + fill(h), w + p + fill(w));
        let phases = x.reshape((batch, padded_h / s, s, padded_w / s, s, c))?;
        (0..kernel * kernel)
            .map(|tap| {
                let (dy, dx) = (tap / kernel, tap % kernel);
                phases
                    .narrow(1, dy / s, out_h)?
                    .narrow(2, dy % s, 1)?
                    .narrow(3, dx / s, out_w)?
                    .narrow(4, dx % s, 1)?
                    .reshape((batch, out_h, out_w, c))
            })
            .collect()
    }
}

impl Backend for CandleBackend {
    type Tensor = Node;
    type Error = candle_core::Error;

    fn param(&self, param: &Param) -> Result<Node> {
        if let Some(node) = self.params.borrow().get(param.name()) {
            return Ok(node.clone());
        }
        let node = self.tensor(param.value().to_owned())?;
        self.params.borrow_mut().insert(param.name().to_owned(), node.clone());
        Ok(node)
    }

    fn shape(&self, x: &Node) -> Vec<usize> {
        x.dims().to_vec()
    }

    fn linear(&self, x: &Node, layer: &Linear) -> Result<Node> {
        let (x, weight, bias) = &self.operands(x, Layer::Linear(layer))?;
        if self.has_ops() {
            return ops::linear(x, weight, bias.as_ref());
        }
        let rows = x.value().elem_count() / layer.inputs();
        let y = x.value().reshape((rows, layer.inputs()))?.matmul(&weight.value().t()?)?;
        let y = match bias {
            Some(bias) => y.broadcast_add(bias.value())?,
            None => y,
        };
        let mut shape = x.dims().to_vec();
        shape[x.dims().len() - 1] = layer.outputs();
        y.reshape(shape).map(Node::constant)
    }

    fn conv2d(&self, x: &Node, layer: &Conv2d) -> Result<Node> {
        let [outputs, inputs, kernel, _] = *layer.weight.shape() else {
            unreachable!("convolution weights have four axes")
        };
        let (x, weight, bias) = &self.operands(x, Layer::Conv2d(layer))?;
        let (weight, bias) = (weight.value().clone(), bias.as_ref().map(Node::value));
        if self.has_ops() {
            let conv = if layer.groups == 1 { ops::dense_conv } else { ops::depthwise_conv };
            return conv(x, &weight, bias, layer.stride, layer.padding);
        }
        let taps = self.taps(x.value(), layer)?;
        let y = if layer.groups == 1 {
            let columns = Tensor::cat(&taps, D::Minus1)?;
            let (batch, h, w, width) = columns.dims4()?;
            let weight =
                weight.permute((2, 3, 1, 0))?.reshape((kernel * kernel * inputs, outputs))?;
            let y = columns.reshape((batch * h * w, width))?.matmul(&weight)?;
            y.reshape((batch, h, w, outputs))?
        } else if layer.groups == outputs && inputs == 1 {
            let by_tap = weight.reshape((outputs, kernel * kernel))?.t()?.contiguous()?;
            let mut sum = taps[0].broadcast_mul(&by_tap.get(0)?)?;
            for (i, tap) in taps.iter().enumerate().skip(1) {
                sum = (sum + tap.broadcast_mul(&by_tap.get(i)?)?)?;
            }
            sum
        } else {
            candle_core::bail!(
                "{}: {} groups of {inputs} channels, expected 1 group or depthwise",
                layer.weight.name(),
                layer.groups
            )
        };
        match bias {
            Some(bias) => y.broadcast_add(bias).map(Node::constant),
            None => Ok(Node::constant(y)),
        }
    }

    fn layer_norm(&self, x: &Node, layer: &LayerNorm) -> Result<Node> {
        let (gamma, beta) = (self.param(&layer.gamma)?, self.param(&layer.beta)?);
        if self.has_ops() {
            return ops::layer_norm(x, &gamma, &beta, layer.epsilon);
        }
        let x = x.value();
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let deviation = variance.affine(1.0, f64::from(layer.epsilon))?.sqrt()?;
        let y = centred.broadcast_div(&deviation)?.broadcast_mul(gamma.value())?;
        y.broadcast_add(beta.value()).map(Node::constant)
    }

    fn matmul(&self, a: &Node, b: &Node) -> Result<Node> {
        if self.has_ops() {
            return ops::matmul(a, b);
        }
        let (a, b) = (a.value().contiguous()?, b.value().contiguous()?);
        a.broadcast_matmul(&b).map(Node::constant)
    }

    fn softmax(&self, x: &Node) -> Result<Node> {
        if self.has_ops() {
            return ops::softmax(x);
        }
        // The maximum only keeps the exponentials in range and needs no gradient.
        let x = x.value();
        let exp = x.broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())?.exp()?;
        exp.broadcast_div(&exp.sum_keepdim(D::Minus1)?).map(Node::constant)
    }

    fn gelu(&self, x: &Node) -> Result<Node> {
        if self.has_ops() { ops::gelu(x) } else { x.value().gelu_erf().map(Node::constant) }
    }

    fn relu(&self, x: &Node) -> Result<Node> {
        let y = x.value().relu()?;
        let kept = y.clone();
        Ok(x.then(y, move |grad| grad.mul(&kept.gt(0.0)?.to_dtype(grad.dtype())?)))
    }

    fn sin(&self, x: &Node) -> Result<Node> {
        let kept = x.value().clone();
        Ok(x.then(x.value().sin()?, move |grad| grad * kept.cos()?))
    }

    fn cos(&self, x: &Node) -> Result<Node> {
        let kept = x.value().clone();
        Ok(x.then(x.value().cos()?, move |grad| (grad * kept.sin()?)?.neg()))
    }

    fn indicator(&self, x: &Node, value: f32) -> Result<Node> {
        x.value().eq(value)?.to_dtype(DType::F32).map(Node::constant)
    }

    fn add(&self, a: &Node, b: &Node) -> Result<Node> {
        if self.has_ops() {
            return ops::add(a, b);
        }
        a.value().broadcast_add(b.value()).map(Node::constant)
    }

    fn mul(&self, a: &Node, b: &Node) -> Result<Node> {
        if self.has_ops() {
            return ops::mul(a, b);
        }
        a.value().broadcast_mul(b.value()).map(Node::constant)
    }

    fn affine(&self, x: &Node, scale: f32, shift: f32) -> Result<Node> {
        x.affine(f64::from(scale), f64::from(shift))
    }

    fn reshape(&self, x: &Node, shape: &[usize]) -> Result<Node> {
        x.reshape(shape)
    }

    fn permute(&self, x: &Node, axes: &[usize]) -> Result<Node> {
        x.permute(axes)
    }

    fn pad_end(&self, x: &Node, axis: usize, count: usize) -> Result<Node> {
        let length = x.value().dim(axis)?;
        let y = x.value().pad_with_zeros(axis, 0, count)?;
        Ok(x.then(y, move |grad| grad.narrow(axis, 0, length)))
    }

    fn narrow(&self, x: &Node, axis: usize, start: usize, len: usize) -> Result<Node> {
        x.narrow(axis, start, len)
    }

    fn take(&self, x: &Node, indices: &Indices) -> Result<Node> {
        let indices = Tensor::new(&*indices.values, &self.device)?;
        let (axis, shape) = (x.dims().len() - 1, x.value().shape().clone());
        let y = x.value().index_select(&indices, axis)?;
        let backward = move |grad: &Tensor| {
            let zeros = Tensor::zeros(&shape, grad.dtype(), grad.device())?;
            zeros.index_add(&indices, &grad.contiguous()?, axis)
        };
        Ok(x.then(y, backward))
    }

    fn concat(&self, parts: &[&Node], axis: usize) -> Result<Node> {
        let values: Vec<_> = parts.iter().map(|part| part.value()).collect();
        let lengths = values.iter().map(|part| part.dim(axis)).collect::<Result<Vec<_>>>()?;
        let backward = move |grad: &Tensor| {
            let mut start = 0;
            let part = |&length: &usize| {
                start += length;
                grad.narrow(axis, start - length, length).map(Some)
            };
            lengths.iter().map(part).collect()
        };
        Ok(Node::of(parts, Tensor::cat(&values, axis)?, backward))
    }

    fn attention_product(&self, name: &str, a: &Node, b: &Node) -> Result<Node> {
        if !self.is_int8(name) {
            return self.matmul(a, b);
        }
        let columns = ops::fake_quantize_rows(&b.transpose_last()?)?.transpose_last()?;
        self.matmul(&ops::fake_quantize_rows(a)?, &columns)
    }

    fn attention(&self, [q, k, v]: [&Node; 3], heads: usize, scores: Scores<Node>) -> Result<Node> {
        match self.fused(&scores) {
            Some(scores) => ops::attention([q, k, v], heads, scores),
            None => compose::attention(self, [q, k, v], heads, scores),
        }
    }

    fn self_attention(
        &self,
        qkv: &Node,
        heads: usize,
        packing: Packing,
        scores: Scores<Node>,
    ) -> Result<Node> {
        match self.fused(&scores) {
            Some(scores) => ops::self_attention(qkv, heads, packing, scores),
            None => compose::self_attention(self, qkv, heads, packing, scores),
        }
    }
}
