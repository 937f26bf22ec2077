//! Softmax over the last axis.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::{CHUNK, exp, sum_of, tensor, tensor_values, vectorize};
use crate::tape::Node;

/// Softmax of every row.
pub(crate) fn softmax(x: &Node) -> Result<Node> {
    let x = x.contiguous()?;
    let y = forward(x.value())?;
    let kept = y.clone();
    Ok(x.then(y, move |grad| backward(&kept, grad)))
}

fn forward(x: &Tensor) -> Result<Tensor> {
    let length = x.dim(x.rank() - 1)?;
    let mut y = tensor_values(&x.storage_and_layout())?.to_vec();
    y.par_chunks_mut(rows(length) * length).for_each(|rows| {
        vectorize(
            #[inline(always)]
            || rows.chunks_exact_mut(length).for_each(softmax_row),
        );
    });
    tensor(y, x.dims())
}

fn backward(y: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let grad = grad.contiguous()?;
    let length = y.dim(y.rank() - 1)?;
    let (ys, grads) = (y.storage_and_layout(), grad.storage_and_layout());
    let (ys, grads) = (tensor_values(&ys)?, tensor_values(&grads)?);
    let mut out = vec![0.0; ys.len()];
    let size = rows(length) * length;
    out.par_chunks_mut(size).zip(ys.par_chunks(size).zip(grads.par_chunks(size))).for_each(
        |(out, (y, grad))| {
            vectorize(
                #[inline(always)]
                || {
                    let rows = y.chunks_exact(length).zip(grad.chunks_exact(length));
                    for (out, (y, grad)) in out.chunks_exact_mut(length).zip(rows) {
                        softmax_row_backward(out, y, grad);
                    }
                },
            );
        },
    );
    tensor(out, y.dims())
}

/// Rows per task.
fn rows(length: usize) -> usize {
    (CHUNK / length.max(1)).max(1)
}

/// Softmax of one row, in place.
#[inline(always)]
pub(super) fn softmax_row(scores: &mut [f32]) {
    let mut lanes = [f32::NEG_INFINITY; 16];
    let chunks = scores.chunks_exact(16);
    let rest = chunks.remainder().iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for chunk in chunks {
        for (lane, &score) in lanes.iter_mut().zip(chunk) {
            *lane = if score > *lane { score } else { *lane };
        }
    }
    let max = lanes.into_iter().fold(rest, f32::max);
    scores.iter_mut().for_each(|score| *score = exp(*score - max));
    let sum = sum_of(
        [scores],
        #[inline(always)]
        |[probability]| probability,
    );
    let scale = 1.0 / sum;
    scores.iter_mut().for_each(|score| *score *= scale);
}

/// `out = y (grad - y . grad)`: gradient of the scores from that of the probabilities `y`.
#[inline(always)]
fn softmax_row_backward(out: &mut [f32], y: &[f32], grad: &[f32]) {
    let mean = sum_of(
        [y, grad],
        #[inline(always)]
        |[y, grad]| y * grad,
    );
    for ((out, y), grad) in out.iter_mut().zip(y).zip(grad) {
        *out = y * (grad - mean);
    }
}
