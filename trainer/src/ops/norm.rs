//! Layer normalization over the last axis.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::linear::column_sums;
use super::sum::times;
use super::{sum_of, tensor, tensor_values, vectorize};
use crate::tape::Node;

/// Rows normalized by one task.
const ROWS: usize = 64;

/// Normalization, followed by gamma and beta.
pub(crate) fn layer_norm(x: &Node, gamma: &Node, beta: &Node, epsilon: f32) -> Result<Node> {
    let x = x.contiguous()?;
    let y = {
        let (gamma, beta) = (gamma.value(), beta.value());
        let (gamma, beta) = (gamma.storage_and_layout(), beta.storage_and_layout());
        let xs = x.value().storage_and_layout();
        forward(tensor_values(&xs)?, tensor_values(&gamma)?, tensor_values(&beta)?, epsilon)
    };
    let y = tensor(y, x.dims())?;
    let varies = [&x, gamma, beta].map(Node::varies);
    let (kept, factor) = (x.value().clone(), gamma.value().clone());
    let backward = move |grad: &Tensor| {
        let for_x = varies[0].then(|| backward(&kept, &factor, grad, epsilon)).transpose()?;
        let channels = factor.dim(0)?;
        let grad = grad.contiguous()?.reshape(((), channels))?;
        let for_gamma = || {
            let (ones, zeros) = (vec![1.0; channels], vec![0.0; channels]);
            let xs = kept.storage_and_layout();
            let normed = forward(tensor_values(&xs)?, &ones, &zeros, epsilon);
            column_sums(&times(&tensor(normed, grad.dims())?, &grad)?)
        };
        let for_gamma = varies[1].then(for_gamma).transpose()?;
        Ok(vec![for_x, for_gamma, varies[2].then(|| column_sums(&grad)).transpose()?])
    };
    Ok(Node::of(&[&x, gamma, beta], y, backward))
}

fn forward(x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32) -> Vec<f32> {
    let channels = gamma.len();
    let mut y = vec![0.0; x.len()];
    y.par_chunks_mut(ROWS * channels).zip(x.par_chunks(ROWS * channels)).for_each(|(y, x)| {
        vectorize(
            #[inline(always)]
            || {
                for (y, x) in y.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
                    let (mean, scale) = moments(x, epsilon);
                    for (((y, x), gamma), beta) in y.iter_mut().zip(x).zip(gamma).zip(beta) {
                        *y = ((x - mean) * scale).mul_add(*gamma, *beta);
                    }
                }
            },
        );
    });
    y
}

fn backward(x: &Tensor, gamma: &Tensor, grad: &Tensor, epsilon: f32) -> Result<Tensor> {
    let channels = gamma.dim(0)?;
    let grad = grad.contiguous()?;
    let (xs, grads) = (x.storage_and_layout(), grad.storage_and_layout());
    let gammas = gamma.storage_and_layout();
    let (xs, grads, gamma) = (tensor_values(&xs)?, tensor_values(&grads)?, tensor_values(&gammas)?);
    let mut out = vec![0.0; xs.len()];
    let size = ROWS * channels;
    out.par_chunks_mut(size).zip(xs.par_chunks(size).zip(grads.par_chunks(size))).for_each(
        |(out, (x, grad))| {
            vectorize(
                #[inline(always)]
                || {
                    let rows = x.chunks_exact(channels).zip(grad.chunks_exact(channels));
                    for (out, (x, grad)) in out.chunks_exact_mut(channels).zip(rows) {
                        let (mean, scale) = moments(x, epsilon);
                        let count = channels as f32;
                        let along = sum_of(
                            [grad, gamma],
                            #[inline(always)]
                            |[g, gamma]| g * gamma,
                        ) / count;
                        let across = sum_of(
                            [grad, gamma, x],
                            #[inline(always)]
                            |[g, gamma, x]| g * gamma * (x - mean),
                        );
                        let across = across * scale * scale / count;
                        for (((out, x), grad), gamma) in out.iter_mut().zip(x).zip(grad).zip(gamma)
                        {
                            *out = scale * ((x - mean).mul_add(-across, grad * gamma) - along);
                        }
                    }
                },
            );
        },
    );
    tensor(out, x.dims())
}

/// Mean, and 1 / standard deviation.
#[inline(always)]
fn moments(x: &[f32], epsilon: f32) -> (f32, f32) {
    let count = x.len() as f32;
    let mean = sum_of(
        [x],
        #[inline(always)]
        |[x]| x,
    ) / count;
    let variance = sum_of(
        [x],
        #[inline(always)]
        |[x]| (x - mean) * (x - mean),
    ) / count;
    (mean, 1.0 / (variance + epsilon).sqrt())
}
