//! Sums and products of two tensors, with broadcasting.

use candle_core::{DType, Result, Tensor};

use super::{tensor, tensor_values, zip_map};
use crate::tape::Node;

/// `a + b`.
pub(crate) fn add(a: &Node, b: &Node) -> Result<Node> {
    let shapes = [a, b].map(|x| x.varies().then(|| x.dims().to_vec()));
    let backward = move |grad: &Tensor| {
        shapes.iter().map(|s| s.as_ref().map(|shape| sum_to(grad, shape)).transpose()).collect()
    };
    Ok(Node::of(&[a, b], plus(a.value(), b.value())?, backward))
}

/// `a * b`.
pub(crate) fn mul(a: &Node, b: &Node) -> Result<Node> {
    // The gradient of each operand needs the other one.
    let kept = [(a, b), (b, a)]
        .map(|(x, other)| x.varies().then(|| (other.value().clone(), x.dims().to_vec())));
    let backward = move |grad: &Tensor| {
        let of = |(other, shape): &(Tensor, Vec<usize>)| sum_to(&times(grad, other)?, shape);
        kept.iter().map(|kept| kept.as_ref().map(of).transpose()).collect()
    };
    Ok(Node::of(&[a, b], times(a.value(), b.value())?, backward))
}

/// `a + b`.
pub(crate) fn plus(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let sum = both(
        a,
        b,
        #[inline(always)]
        |a, b| a + b,
    );
    sum.unwrap_or_else(|| a.broadcast_add(b))
}

/// `a * b`.
pub(super) fn times(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let product = both(
        a,
        b,
        #[inline(always)]
        |a, b| a * b,
    );
    product.unwrap_or_else(|| a.broadcast_mul(b))
}

/// Applies `f` elementwise; `None` if the tensors are broadcast, not contiguous, not f32 or not in
/// CPU memory.
fn both(a: &Tensor, b: &Tensor, f: impl Fn(f32, f32) -> f32 + Sync) -> Option<Result<Tensor>> {
    let is_plain = |x: &Tensor| x.is_contiguous() && x.dtype() == DType::F32 && x.device().is_cpu();
    let fits = a.dims() == b.dims() && is_plain(a) && is_plain(b);
    fits.then(|| {
        let (in_a, in_b) = (a.storage_and_layout(), b.storage_and_layout());
        let values = zip_map(
            tensor_values(&in_a)?,
            tensor_values(&in_b)?,
            #[inline(always)]
            |a, b, out| {
                out.iter_mut().zip(a.iter().zip(b)).for_each(|(out, (a, b))| *out = f(*a, *b));
            },
        );
        tensor(values, a.dims())
    })
}

/// Sums a gradient over the axes along which a tensor of `shape` was broadcast.
pub(super) fn sum_to(grad: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let leading = grad.rank() - shape.len();
    let mut sum = grad.clone();
    for _ in 0..leading {
        sum = sum.sum(0)?;
    }
    for (axis, &length) in shape.iter().enumerate() {
        if sum.dim(axis)? != length {
            sum = sum.sum_keepdim(axis)?;
        }
    }
    Ok(sum)
}
