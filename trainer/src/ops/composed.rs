//! The expensive operators as compositions of candle's operations, for devices other than the CPU.
//! Like the fused ones, they compute and keep nothing for tensors that do not train.

use candle_core::{D, DType, Result, Tensor};

use super::sum::sum_to;
use super::{add, matmul, mul};
use crate::tape::Node;

/// Linear layer over the last axis; `weight` is `[out, in]`. The product is computed in `products`.
pub(crate) fn linear(
    x: &Node,
    weight: &Node,
    bias: Option<&Node>,
    products: DType,
) -> Result<Node> {
    let (outputs, inputs) = weight.value().dims2()?;
    let mut shape = x.dims().to_vec();
    shape[x.dims().len() - 1] = outputs;
    let rows = x.reshape(&[x.value().elem_count() / inputs, inputs])?;
    let y = product(&rows, &weight.transpose_last()?, products)?;
    let y = match bias {
        Some(bias) => add(&y, bias)?,
        None => y,
    };
    y.reshape(&shape)
}

/// Matrix product of the last two axes, computed in `products`; the result is f32.
pub(crate) fn product(a: &Node, b: &Node, products: DType) -> Result<Node> {
    matmul(&a.to_dtype(products)?, &b.to_dtype(products)?)?.to_dtype(DType::F32)
}

/// Convolution of `[B, H, W, C]`, dense or depthwise; `weight` is `[out, in / groups, k, k]`.
pub(crate) fn conv2d(
    x: &Node,
    weight: &Node,
    bias: Option<&Node>,
    [stride, padding]: [usize; 2],
    products: DType,
) -> Result<Node> {
    let (outputs, inputs, kernel, _) = weight.value().dims4()?;
    let taps = taps(x, kernel, [stride, padding])?;
    if inputs == x.value().dim(3)? {
        let values: Vec<&Node> = taps.iter().collect();
        let columns = Node::concat(&values, 3)?;
        // In the order of the columns.
        let weight = weight.permute(&[0, 2, 3, 1])?;
        let weight = weight.reshape(&[outputs, kernel * kernel * inputs])?;
        return linear(&columns, &weight, bias, products);
    }
    let by_tap = weight.reshape(&[outputs, kernel * kernel])?.transpose_last()?;
    let mut sum: Option<Node> = None;
    for (i, tap) in taps.iter().enumerate() {
        let term = mul(tap, &by_tap.narrow(0, i, 1)?.reshape(&[outputs])?)?;
        sum = Some(match sum {
            Some(sum) => add(&sum, &term)?,
            None => term,
        });
    }
    let sum = sum.expect("a kernel has taps");
    match bias {
        Some(bias) => add(&sum, bias),
        None => Ok(sum),
    }
}

/// Input values under each position of the kernel: `[B, H, W, C]` -> k * k maps `[B, H', W', C]`,
/// row-major over the kernel.
fn taps(x: &Node, kernel: usize, [stride, padding]: [usize; 2]) -> Result<Vec<Node>> {
    let (batch, h, w, c) = x.value().dims4()?;
    let (s, p) = (stride, padding);
    let out = |side: usize| (side + 2 * p - kernel) / s + 1;
    let (out_h, out_w) = (out(h), out(w));
    // Pad to a multiple of the stride, so that strided taps are plain slices of phases.
    let fill = |side: usize| (side + 2 * p).next_multiple_of(s) - side - p;
    let x = x.pad(1, p, fill(h))?.pad(2, p, fill(w))?;
    let (padded_h, padded_w) = (h + p + fill(h), w + p + fill(w));
    let phases = x.reshape(&[batch, padded_h / s, s, padded_w / s, s, c])?;
    let tap = |tap: usize| {
        let (dy, dx) = (tap / kernel, tap % kernel);
        phases
            .narrow(1, dy / s, out_h)?
            .narrow(2, dy % s, 1)?
            .narrow(3, dx / s, out_w)?
            .narrow(4, dx % s, 1)?
            .reshape(&[batch, out_h, out_w, c])
    };
    (0..kernel * kernel).map(tap).collect()
}

/// Layer norm over the last axis.
pub(crate) fn layer_norm(x: &Node, gamma: &Node, beta: &Node, epsilon: f32) -> Result<Node> {
    let values = x.value();
    let centred = values.broadcast_sub(&values.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    let scale = variance.affine(1.0, f64::from(epsilon))?.sqrt()?.recip()?;
    let normed = centred.broadcast_mul(&scale)?;
    let y = normed.broadcast_mul(gamma.value())?.broadcast_add(beta.value())?;
    let varies = [x, gamma, beta].map(Node::varies);
    let (gamma_value, shape) = (gamma.value().clone(), gamma.dims().to_vec());
    let kept = (varies[0] || varies[1]).then_some((normed, scale));
    let backward = move |grad: &Tensor| {
        let mut grads = vec![None, None, varies[2].then(|| sum_to(grad, &shape)).transpose()?];
        let Some((normed, scale)) = &kept else { return Ok(grads) };
        if varies[0] {
            let grad = grad.broadcast_mul(&gamma_value)?;
            let along = grad.mean_keepdim(D::Minus1)?;
            let across = (&grad * normed)?.mean_keepdim(D::Minus1)?;
            let of_normed = grad.broadcast_sub(&along)?.sub(&normed.broadcast_mul(&across)?)?;
            grads[0] = Some(of_normed.broadcast_mul(scale)?);
        }
        if varies[1] {
            grads[1] = Some(sum_to(&(grad * normed)?, &shape)?);
        }
        Ok(grads)
    };
    Ok(Node::of(&[x, gamma, beta], y, backward))
}

/// Softmax over the last axis.
pub(crate) fn softmax(x: &Node) -> Result<Node> {
    let values = x.value();
    let exp = values.broadcast_sub(&values.max_keepdim(D::Minus1)?)?.exp()?;
    let y = exp.broadcast_div(&exp.sum_keepdim(D::Minus1)?)?;
    let kept = y.clone();
    Ok(x.then(y, move |grad| {
        let weighted = (grad * &kept)?;
        let along = weighted.sum_keepdim(D::Minus1)?;
        weighted - kept.broadcast_mul(&along)?
    }))
}

/// GELU in its exact form, `x/2 (1 + erf(x / sqrt 2))`.
pub(crate) fn gelu(x: &Node) -> Result<Node> {
    const INV_SQRT_2_PI: f64 = 0.398_942_280_401_432_7;
    let kept = x.value().clone();
    Ok(x.then(x.value().gelu_erf()?, move |grad| {
        let cumulative = kept.affine(std::f64::consts::FRAC_1_SQRT_2, 0.0)?.erf()?;
        let cumulative = cumulative.affine(0.5, 0.5)?;
        let density = kept.sqr()?.affine(-0.5, 0.0)?.exp()?.affine(INV_SQRT_2_PI, 0.0)?;
        grad * (cumulative + (&kept * density)?)?
    }))
}
