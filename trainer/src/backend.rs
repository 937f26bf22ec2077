//! `medsa-sam`'s operations on candle tensors.
//!
//! Softmax and layer norm are composed of basic operations: candle's own lose gradients without
//! an error. On the CPU, what costs is done by operators of our own, see [`crate::ops`].

use std::cell::RefCell;
use std::collections::HashMap;

use candle_core::{D, DType, Device, Result, Tensor, Var};
use medsa_sam::backend::{Backend, compose};
use medsa_sam::layers::{Conv2d, LayerNorm, Linear, Packing};
use medsa_sam::{Indices, Param};
use ndarray::{Array, ArrayD, Dimension};

use crate::ops;

/// Computes one network on one device. Weights are moved there once, at first use, and known by
/// name from then on: another network, or the same for another input size, needs a backend of
/// its own.
pub struct CandleBackend {
    device: Device,
    operators: Operators,
    params: RefCell<HashMap<String, Tensor>>,
}

/// Who computes what costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operators {
    /// Operators of our own, on the CPU only.
    Fused,
    /// Compositions of candle's: what other devices run.
    Composed,
}

impl CandleBackend {
    /// A backend for `device`.
    pub fn new(device: Device) -> Self {
        let operators = if device.is_cpu() { Operators::Fused } else { Operators::Composed };
        Self::with_operators(device, operators)
    }

    /// A backend that computes as it is told to.
    pub fn with_operators(device: Device, operators: Operators) -> Self {
        Self { device, operators, params: RefCell::default() }
    }

    /// Makes weights trainable: from now on they are `vars`, by name.
    pub fn train(&self, vars: impl IntoIterator<Item = (String, Var)>) {
        let tensors = vars.into_iter().map(|(name, var)| (name, var.as_tensor().clone()));
        self.params.borrow_mut().extend(tensors);
    }

    /// The same weights as they are now, none of them trainable.
    pub(crate) fn detached(&self) -> Self {
        let params = self.params.borrow();
        let params = params.iter().map(|(name, tensor)| (name.clone(), tensor.detach()));
        let Self { device, operators, .. } = self;
        let params = RefCell::new(params.collect());
        Self { device: device.clone(), operators: *operators, params }
    }

    /// Whether operators of our own compute what costs.
    fn has_ops(&self) -> bool {
        self.operators == Operators::Fused
    }

    /// An array as a tensor on this device.
    ///
    /// # Errors
    /// The device's.
    pub fn tensor<T: Dimension>(&self, array: Array<f32, T>) -> Result<Tensor> {
        let shape = array.shape().to_vec();
        let values = array.as_standard_layout().iter().copied().collect();
        Tensor::from_vec(values, shape, &self.device)
    }

    /// A tensor as an array.
    ///
    /// # Errors
    /// The device's.
    pub fn array(&self, tensor: &Tensor) -> Result<ArrayD<f32>> {
        let values = tensor.flatten_all()?.to_vec1()?;
        let array = ArrayD::from_shape_vec(tensor.dims(), values);
        Ok(array.expect("a tensor has as many values as its shape says"))
    }

    /// The 3x3 neighbourhood, one tap at a time: for each kernel position the input value of
    /// every output position, `[B, H, W, C]` -> k * k times `[B, H', W', C]`, row-major.
    fn taps(&self, x: &Tensor, layer: &Conv2d) -> Result<Vec<Tensor>> {
        let (batch, h, w, c) = x.dims4()?;
        let (s, p) = (layer.stride, layer.padding);
        let (out_h, out_w) = (layer.output_side(h), layer.output_side(w));
        let kernel = layer.weight.shape()[2];
        // A side that the stride divides, so that strided taps are a plain slice of phases.
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
    type Tensor = Tensor;
    type Error = candle_core::Error;

    fn param(&self, param: &Param) -> Result<Tensor> {
        if let Some(tensor) = self.params.borrow().get(param.name()) {
            return Ok(tensor.clone());
        }
        let tensor = self.tensor(param.value().to_owned())?;
        self.params.borrow_mut().insert(param.name().to_owned(), tensor.clone());
        Ok(tensor)
    }

    fn shape(&self, x: &Tensor) -> Vec<usize> {
        x.dims().to_vec()
    }

    fn linear(&self, x: &Tensor, layer: &Linear) -> Result<Tensor> {
        let weight = self.param(&layer.weight)?;
        let bias = layer.bias.as_ref().map(|bias| self.param(bias)).transpose()?;
        if self.has_ops() {
            match &bias {
                _ if !weight.track_op() => return ops::frozen_linear(x, &weight, bias.as_ref()),
                Some(bias) => return ops::trained_linear(x, &weight, bias),
                None if !x.track_op() => {
                    let rows = x.contiguous()?.reshape(((), layer.inputs()))?;
                    let mut shape = x.dims().to_vec();
                    shape[x.rank() - 1] = layer.outputs();
                    let forward = |weight: &Tensor| rows.matmul(&weight.t()?);
                    let (outputs, kept) = (layer.outputs(), rows.clone());
                    let backward = move |grad: &Tensor| {
                        grad.contiguous()?.reshape(((), outputs))?.t()?.matmul(&kept)
                    };
                    return ops::graft(&weight, forward, backward)?.reshape(shape);
                }
                None => {}
            }
        }
        let rows = x.elem_count() / layer.inputs();
        let y = x.reshape((rows, layer.inputs()))?.matmul(&weight.t()?)?;
        let y = match &bias {
            Some(bias) => y.broadcast_add(bias)?,
            None => y,
        };
        let mut shape = x.dims().to_vec();
        shape[x.rank() - 1] = layer.outputs();
        y.reshape(shape)
    }

    fn conv2d(&self, x: &Tensor, layer: &Conv2d) -> Result<Tensor> {
        let [outputs, inputs, kernel, _] = *layer.weight.shape() else {
            unreachable!("convolution weights have four axes")
        };
        let weight = self.param(&layer.weight)?;
        if self.has_ops() {
            let bias = layer.bias.as_ref().map(|bias| self.param(bias)).transpose()?;
            let conv = if layer.groups == 1 { ops::dense_conv } else { ops::depthwise_conv };
            return conv(x, &weight, bias.as_ref(), layer.stride, layer.padding);
        }
        let taps = self.taps(x, layer)?;
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
        match &layer.bias {
            Some(bias) => y.broadcast_add(&self.param(bias)?),
            None => Ok(y),
        }
    }

    fn layer_norm(&self, x: &Tensor, layer: &LayerNorm) -> Result<Tensor> {
        if self.has_ops() {
            let (gamma, beta) = (self.param(&layer.gamma)?, self.param(&layer.beta)?);
            let trains = gamma.track_op() || beta.track_op();
            let norm = if trains { ops::trained_layer_norm } else { ops::frozen_layer_norm };
            return norm(x, &gamma, &beta, layer.epsilon);
        }
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let deviation = variance.affine(1.0, f64::from(layer.epsilon))?.sqrt()?;
        centred
            .broadcast_div(&deviation)?
            .broadcast_mul(&self.param(&layer.gamma)?)?
            .broadcast_add(&self.param(&layer.beta)?)
    }

    fn matmul(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        // Only the side that trains gets a gradient, unless it was broadcast.
        if self.has_ops() && a.track_op() != b.track_op() {
            let (a, b) = (a.contiguous()?, b.contiguous()?);
            if a.track_op() && fits_batch(&b, &a) {
                let transposed = b.t()?.contiguous()?;
                let backward =
                    move |grad: &Tensor| grad.contiguous()?.broadcast_matmul(&transposed);
                return ops::graft(&a, |a| a.broadcast_matmul(&b), backward);
            }
            if b.track_op() && fits_batch(&a, &b) {
                let transposed = a.t()?.contiguous()?;
                let backward =
                    move |grad: &Tensor| transposed.broadcast_matmul(&grad.contiguous()?);
                return ops::graft(&b, |b| a.broadcast_matmul(b), backward);
            }
        }
        a.contiguous()?.broadcast_matmul(&b.contiguous()?)
    }

    fn softmax(&self, x: &Tensor) -> Result<Tensor> {
        if self.has_ops() {
            return ops::softmax(x);
        }
        // The maximum only keeps the exponentials in range: no gradient goes through it.
        let exp = x.broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())?.exp()?;
        exp.broadcast_div(&exp.sum_keepdim(D::Minus1)?)
    }

    fn gelu(&self, x: &Tensor) -> Result<Tensor> {
        if self.has_ops() { ops::gelu(x) } else { x.gelu_erf() }
    }

    fn relu(&self, x: &Tensor) -> Result<Tensor> {
        x.relu()
    }

    fn sin(&self, x: &Tensor) -> Result<Tensor> {
        x.sin()
    }

    fn cos(&self, x: &Tensor) -> Result<Tensor> {
        x.cos()
    }

    fn indicator(&self, x: &Tensor, value: f32) -> Result<Tensor> {
        x.eq(value)?.to_dtype(DType::F32)
    }

    fn add(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        match (self.has_ops(), a.track_op(), b.track_op()) {
            (true, true, false) if fits(b, a) => ops::add_constant(a, b),
            (true, false, true) if fits(a, b) => ops::add_constant(b, a),
            (true, true, false) => {
                with_larger(a, b, |a, b| a.broadcast_add(b), |g, _| Ok(g.clone()))
            }
            (true, false, true) => {
                with_larger(b, a, |a, b| a.broadcast_add(b), |g, _| Ok(g.clone()))
            }
            _ => a.broadcast_add(b),
        }
    }

    fn mul(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        match (self.has_ops(), a.track_op(), b.track_op()) {
            (true, true, false) if fits(b, a) => ops::mul_constant(a, b),
            (true, false, true) if fits(a, b) => ops::mul_constant(b, a),
            (true, true, false) => {
                with_larger(a, b, |a, b| a.broadcast_mul(b), |g, b| g.broadcast_mul(b))
            }
            (true, false, true) => {
                with_larger(b, a, |a, b| a.broadcast_mul(b), |g, b| g.broadcast_mul(b))
            }
            _ => a.broadcast_mul(b),
        }
    }

    fn affine(&self, x: &Tensor, scale: f32, shift: f32) -> Result<Tensor> {
        x.affine(f64::from(scale), f64::from(shift))
    }

    fn reshape(&self, x: &Tensor, shape: &[usize]) -> Result<Tensor> {
        x.reshape(shape)
    }

    fn permute(&self, x: &Tensor, axes: &[usize]) -> Result<Tensor> {
        x.permute(axes)
    }

    fn pad_end(&self, x: &Tensor, axis: usize, count: usize) -> Result<Tensor> {
        if self.has_ops() && x.track_op() {
            return ops::pad(x, axis, 0, count);
        }
        x.pad_with_zeros(axis, 0, count)
    }

    fn narrow(&self, x: &Tensor, axis: usize, start: usize, len: usize) -> Result<Tensor> {
        x.narrow(axis, start, len)
    }

    fn take(&self, x: &Tensor, indices: &Indices) -> Result<Tensor> {
        let indices = Tensor::new(&*indices.values, &self.device)?;
        x.index_select(&indices, x.rank() - 1)
    }

    fn concat(&self, parts: &[&Tensor], axis: usize) -> Result<Tensor> {
        let tracked = parts.iter().filter(|part| part.track_op()).count();
        if !self.has_ops() || tracked == 0 || tracked == parts.len() {
            return Tensor::cat(parts, axis);
        }
        // Candle would compute gradients of the constants: each part that trains is padded to
        // the whole, and the constants are added.
        let lengths = parts.iter().map(|part| part.dim(axis)).collect::<Result<Vec<_>>>()?;
        let whole: usize = lengths.iter().sum();
        let constants = parts
            .iter()
            .map(
                |part| {
                    if part.track_op() { part.detach().zeros_like() } else { Ok((*part).clone()) }
                },
            )
            .collect::<Result<Vec<_>>>()?;
        let mut sum = Tensor::cat(&constants, axis)?;
        let mut before = 0;
        for (part, length) in parts.iter().zip(lengths) {
            if part.track_op() {
                let padded = ops::pad(part, axis, before, whole - before - length)?;
                sum = self.add(&padded, &sum)?;
            }
            before += length;
        }
        Ok(sum)
    }

    fn attention(
        &self,
        [q, k, v]: [&Tensor; 3],
        heads: usize,
        bias: Option<&Tensor>,
    ) -> Result<Tensor> {
        if self.has_ops() && !bias.is_some_and(Tensor::track_op) {
            return ops::attention([q, k, v], heads, bias);
        }
        compose::attention(self, [q, k, v], heads, bias)
    }

    fn self_attention(
        &self,
        qkv: &Tensor,
        heads: usize,
        packing: Packing,
        bias: Option<&Tensor>,
    ) -> Result<Tensor> {
        if self.has_ops() && !bias.is_some_and(Tensor::track_op) {
            return ops::self_attention(qkv, heads, packing, bias);
        }
        compose::self_attention(self, qkv, heads, packing, bias)
    }
}

/// `forward` of a tracked tensor and a constant that it is broadcast to; `backward` is for the
/// gradient before it is summed over what was broadcast.
fn with_larger(
    x: &Tensor,
    constant: &Tensor,
    forward: fn(&Tensor, &Tensor) -> Result<Tensor>,
    backward: fn(&Tensor, &Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let (shape, kept) = (x.dims().to_vec(), constant.clone());
    ops::graft(
        x,
        |x| forward(x, constant),
        move |grad| ops::sum_to(&backward(grad, &kept)?, &shape),
    )
}

/// Whether `small` broadcasts to the shape of `large`.
fn fits(small: &Tensor, large: &Tensor) -> bool {
    fits_shape(small.dims(), large.dims())
}

/// The same for all axes but the two of a matrix.
fn fits_batch(small: &Tensor, large: &Tensor) -> bool {
    let batch = |t: &Tensor| t.dims()[..t.rank().saturating_sub(2)].to_vec();
    fits_shape(&batch(small), &batch(large))
}

fn fits_shape(small: &[usize], large: &[usize]) -> bool {
    let mut pairs = small.iter().rev().zip(large.iter().rev());
    small.len() <= large.len() && pairs.all(|(&a, &b)| a == b || a == 1)
}
