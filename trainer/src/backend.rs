//! `medsa-sam`'s operations on candle tensors.
//!
//! Gradients are those of [`crate::tape`], not candle's. Expensive operations use the operators of
//! [`crate::ops`].

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use candle_core::{DType, Device, Result, Tensor, Var};
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
    /// Type in which [`Operators::Composed`] computes products.
    products: DType,
    params: RefCell<HashMap<String, Node>>,
    quantization: Rc<Quantization>,
    watcher: Option<Watcher>,
}

/// Part of the names under which weights and biases of int8 layers are kept.
const INT8: &str = ".s8.";

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
    /// Compositions of candle's operations; used on other devices.
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
            products: DType::F32,
            params: RefCell::default(),
            quantization: Rc::default(),
            watcher: None,
        }
    }

    /// Computes the products of linear layers, convolutions and attentions in `dtype`, and all else
    /// in f32. Only [`Operators::Composed`] has this choice.
    #[must_use]
    pub fn products_in(self, dtype: DType) -> Self {
        Self { products: dtype, ..self }
    }

    /// Simulates the int8 arithmetic of `quantization` in float.
    #[must_use]
    pub fn quantized(self, quantization: Rc<Quantization>) -> Self {
        Self { quantization, ..self }
    }

    pub(crate) fn requantize(&mut self, quantization: Rc<Quantization>) {
        self.params.get_mut().retain(|name, _| !name.contains(INT8));
        self.quantization = quantization;
    }

    /// Passes the inputs of layers to `watcher`.
    #[must_use]
    pub fn watched(self, watcher: Watcher) -> Self {
        Self { watcher: Some(watcher), ..self }
    }

    /// Makes weights trainable: replaces them by `vars`, by name.
    pub fn train(&self, vars: impl IntoIterator<Item = (String, Var)>) {
        let node = |(name, var): (String, Var)| {
            let node = Node::variable(&name, var.as_tensor().clone());
            (name, node)
        };
        let nodes = vars.into_iter().map(node);
        self.params.borrow_mut().extend(nodes);
    }

    /// A backend with the same weights, none of them trainable.
    pub(crate) fn detached(&self) -> Self {
        let params = self.params.borrow();
        let params = params.iter().map(|(name, node)| (name.clone(), node.detach()));
        Self {
            device: self.device.clone(),
            operators: self.operators,
            products: self.products,
            params: RefCell::new(params.collect()),
            quantization: self.quantization.clone(),
            watcher: self.watcher.clone(),
        }
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

    /// A tensor on this device.
    ///
    /// # Errors
    /// The device failed.
    pub(crate) fn on_device(&self, tensor: &Tensor) -> Result<Tensor> {
        tensor.to_device(&self.device)
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
        let is_fused = self.operators == Operators::Fused;
        let can = is_fused && !bias.is_some_and(Node::varies) && !self.is_int8(name);
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
            let name = format!("{name}{INT8}{part}");
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
        match self.operators {
            Operators::Fused => ops::linear(x, weight, bias.as_ref()),
            Operators::Composed => ops::composed::linear(x, weight, bias.as_ref(), self.products),
        }
    }

    fn conv2d(&self, x: &Node, layer: &Conv2d) -> Result<Node> {
        let (outputs, inputs) = (layer.weight.shape()[0], layer.weight.shape()[1]);
        let is_depthwise = layer.groups == outputs && inputs == 1;
        if layer.groups != 1 && !is_depthwise {
            candle_core::bail!(
                "{}: {} groups of {inputs} channels, expected 1 group or depthwise",
                layer.weight.name(),
                layer.groups
            )
        }
        let (x, weight, bias) = &self.operands(x, Layer::Conv2d(layer))?;
        let (stride, padding) = (layer.stride, layer.padding);
        if self.operators == Operators::Composed {
            let steps = [stride, padding];
            return ops::composed::conv2d(x, weight, bias.as_ref(), steps, self.products);
        }
        let conv = if is_depthwise { ops::depthwise_conv } else { ops::dense_conv };
        conv(x, weight.value(), bias.as_ref().map(Node::value), stride, padding)
    }

    fn layer_norm(&self, x: &Node, layer: &LayerNorm) -> Result<Node> {
        let (gamma, beta) = (self.param(&layer.gamma)?, self.param(&layer.beta)?);
        let norm = match self.operators {
            Operators::Fused => ops::layer_norm,
            Operators::Composed => ops::composed::layer_norm,
        };
        norm(x, &gamma, &beta, layer.epsilon)
    }

    fn matmul(&self, a: &Node, b: &Node) -> Result<Node> {
        ops::matmul(a, b)
    }

    fn softmax(&self, x: &Node) -> Result<Node> {
        match self.operators {
            Operators::Fused => ops::softmax(x),
            Operators::Composed => ops::composed::softmax(x),
        }
    }

    fn gelu(&self, x: &Node) -> Result<Node> {
        match self.operators {
            Operators::Fused => ops::gelu(x),
            Operators::Composed => ops::composed::gelu(x),
        }
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
        ops::add(a, b)
    }

    fn mul(&self, a: &Node, b: &Node) -> Result<Node> {
        ops::mul(a, b)
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
        x.pad(axis, 0, count)
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
        Node::concat(parts, axis)
    }

    fn attention_product(&self, name: &str, a: &Node, b: &Node) -> Result<Node> {
        if !self.is_int8(name) {
            return match self.operators {
                Operators::Fused => ops::matmul(a, b),
                Operators::Composed => ops::composed::product(a, b, self.products),
            };
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
