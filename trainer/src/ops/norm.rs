//! Layer normalization over the last axis.

use candle_core::{CpuStorage, CustomOp1, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::linear::column_sums;
use super::{stored, sum_of, tensor, tensor_values, values, vectorize};

/// Rows that one task normalizes.
const ROWS: usize = 64;

/// A norm that does not train.
pub(crate) fn frozen_layer_norm(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    epsilon: f32,
) -> Result<Tensor> {
    let op = FrozenNorm { gamma: gamma.clone(), beta: beta.clone(), epsilon };
    x.contiguous()?.apply_op1(op)
}

/// A norm whose gamma and beta train.
pub(crate) fn trained_layer_norm(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    epsilon: f32,
) -> Result<Tensor> {
    x.contiguous()?.apply_op3(gamma, beta, TrainedNorm { epsilon })
}

struct FrozenNorm {
    gamma: Tensor,
    beta: Tensor,
    epsilon: f32,
}

impl CustomOp1 for FrozenNorm {
    fn name(&self) -> &'static str {
        "frozen_layer_norm"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (gamma, beta) = (self.gamma.storage_and_layout(), self.beta.storage_and_layout());
        let (gamma, beta) = (tensor_values(&gamma)?, tensor_values(&beta)?);
        stored(forward(values(x, layout)?, gamma, beta, self.epsilon), layout.shape())
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        backward(x, &self.gamma, grad, self.epsilon).map(Some)
    }
}

struct TrainedNorm {
    epsilon: f32,
}

impl CustomOp3 for TrainedNorm {
    fn name(&self) -> &'static str {
        "trained_layer_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        gamma: &CpuStorage,
        gamma_layout: &Layout,
        beta: &CpuStorage,
        beta_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (gamma, beta) = (values(gamma, gamma_layout)?, values(beta, beta_layout)?);
        stored(forward(values(x, layout)?, gamma, beta, self.epsilon), layout.shape())
    }

    fn bwd(
        &self,
        x: &Tensor,
        gamma: &Tensor,
        _: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let for_x = if x.track_op() { Some(backward(x, gamma, grad, self.epsilon)?) } else { None };
        let channels = gamma.dim(0)?;
        let grad = grad.contiguous()?.reshape(((), channels))?;
        let (ones, zeros) = (vec![1.0; channels], vec![0.0; channels]);
        let x = x.contiguous()?;
        let normed = forward(tensor_values(&x.storage_and_layout())?, &ones, &zeros, self.epsilon);
        let for_gamma = column_sums(&(tensor(normed, grad.dims())? * &grad)?)?;
        Ok((for_x, Some(for_gamma), Some(column_sums(&grad)?)))
    }
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
    let (x, grad) = (x.contiguous()?, grad.contiguous()?);
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
