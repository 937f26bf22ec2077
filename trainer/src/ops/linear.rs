//! Linear layers, `x W^T + b`, and matrix products.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, Result, Storage, Tensor, bail};
use rayon::prelude::*;

use super::sum::sum_to;
use super::{sum_of, tensor, tensor_values, vectorize};
use crate::tape::Node;

/// A linear layer over the last axis; `weight` is `[out, in]`.
pub(crate) fn linear(x: &Node, weight: &Node, bias: Option<&Node>) -> Result<Node> {
    let (outputs, inputs) = weight.value().dims2()?;
    let mut shape = x.dims().to_vec();
    shape[x.dims().len() - 1] = outputs;
    let rows = x.contiguous()?.reshape(&[x.value().elem_count() / inputs, inputs])?;
    let y = with_bias(rows.value(), weight.value(), bias.map(Node::value))?;
    // Each operand is needed only for the gradient of the other.
    let kept_weight = x.varies().then(|| weight.value().clone());
    let kept_rows = weight.varies().then(|| rows.value().clone());
    let bias_varies = bias.is_some_and(Node::varies);
    let backward = move |grad: &Tensor| {
        let grad = grad.contiguous()?;
        let for_x = kept_weight.as_ref().map(|weight| grad.matmul(weight)).transpose()?;
        let transposed = grad.t()?;
        let for_weight = kept_rows.as_ref().map(|rows| transposed.matmul(rows)).transpose()?;
        let for_bias = bias_varies.then(|| column_sums(&grad)).transpose()?;
        Ok(vec![for_x, for_weight, for_bias])
    };
    let of: Vec<&Node> = [&rows, weight].into_iter().chain(bias).collect();
    Node::of(&of, y, backward).reshape(&shape)
}

/// Matrix product of the last two axes; the others broadcast.
pub(crate) fn matmul(a: &Node, b: &Node) -> Result<Node> {
    let (a, b) = (a.contiguous()?, b.contiguous()?);
    let y = a.value().broadcast_matmul(b.value())?;
    let kept =
        |x: &Node, other: &Node| x.varies().then(|| (other.value().clone(), x.dims().to_vec()));
    let (for_a, for_b) = (kept(&a, &b), kept(&b, &a));
    let backward = move |grad: &Tensor| {
        let grad = grad.contiguous()?;
        let of_a = |(b, shape): &(Tensor, Vec<usize>)| {
            sum_to(&grad.broadcast_matmul(&b.t()?.contiguous()?)?, shape)
        };
        let of_b = |(a, shape): &(Tensor, Vec<usize>)| {
            sum_to(&a.t()?.contiguous()?.broadcast_matmul(&grad)?, shape)
        };
        Ok(vec![for_a.as_ref().map(of_a).transpose()?, for_b.as_ref().map(of_b).transpose()?])
    };
    Ok(Node::of(&[&a, &b], y, backward))
}

/// `x W^T + b` of `[N, in]`.
pub(super) fn with_bias(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let ((rows, inputs), (outputs, _)) = (x.dims2()?, weight.dims2()?);
    let (x, weight) = (x.storage_and_layout(), weight.storage_and_layout());
    let (Storage::Cpu(xs), Storage::Cpu(weights)) = (&*x.0, &*weight.0) else {
        bail!("a linear layer is not in CPU memory")
    };
    let transposed = weight.1.transpose(0, 1)?;
    let product = xs.matmul(weights, (1, rows, outputs, inputs), x.1, &transposed)?;
    let CpuStorage::F32(mut y) = product else { bail!("a linear layer's input is not f32") };
    if let Some(bias) = bias {
        let bias = bias.storage_and_layout();
        let bias = tensor_values(&bias)?;
        y.par_chunks_mut(outputs * 64).for_each(|rows| {
            vectorize(
                #[inline(always)]
                || {
                    for row in rows.chunks_exact_mut(outputs) {
                        row.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
                    }
                },
            );
        });
    }
    tensor(y, &[rows, outputs])
}

/// Sums over the rows of `[N, C]`, in an order that does not depend on the number of cores.
pub(super) fn column_sums(x: &Tensor) -> Result<Tensor> {
    const ROWS: usize = 256;
    let (_, columns) = x.dims2()?;
    let x = x.storage_and_layout();
    let partial: Vec<Vec<f32>> = tensor_values(&x)?
        .par_chunks(columns * ROWS)
        .map(|rows| {
            let mut sums = vec![0.0; columns];
            vectorize(
                #[inline(always)]
                || {
                    for row in rows.chunks_exact(columns) {
                        sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
                    }
                },
            );
            sums
        })
        .collect();
    let mut sums = vec![0.0; columns];
    for part in partial {
        sums.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
    }
    tensor(sums, &[columns])
}

/// Dot product `a . b`.
#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum_of([a, b], |[a, b]| a * b)
}
