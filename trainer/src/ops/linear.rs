//! `x W^T + b`.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp3, Layout, Result, Shape, Storage, Tensor, bail};
use rayon::prelude::*;

use super::{stored, sum_of, tensor, tensor_values, vectorize};

/// A linear layer that does not train: no gradient for its weight and bias is ever computed.
/// `weight` is `[out, in]`.
pub(crate) fn frozen_linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let rows = rows(x)?;
    let op = FrozenLinear { weight: weight.clone(), bias: bias.cloned() };
    reshape_like(x, rows.apply_op1(op)?, weight)
}

/// A linear layer that trains.
pub(crate) fn trained_linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    reshape_like(x, rows(x)?.apply_op3(weight, bias, TrainedLinear)?, weight)
}

fn rows(x: &Tensor) -> Result<Tensor> {
    let inputs = x.dim(x.rank() - 1)?;
    x.contiguous()?.reshape((x.elem_count() / inputs, inputs))
}

fn reshape_like(x: &Tensor, y: Tensor, weight: &Tensor) -> Result<Tensor> {
    let mut shape = x.dims().to_vec();
    shape[x.rank() - 1] = weight.dim(0)?;
    y.reshape(shape)
}

struct FrozenLinear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl CustomOp1 for FrozenLinear {
    fn name(&self) -> &'static str {
        "frozen_linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let weight = self.weight.storage_and_layout();
        let Storage::Cpu(w) = &*weight.0 else { bail!("a weight is not in CPU memory") };
        match &self.bias {
            Some(bias) => {
                let bias = bias.storage_and_layout();
                forward(x, layout, w, weight.1, Some(tensor_values(&bias)?))
            }
            None => forward(x, layout, w, weight.1, None),
        }
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        grad.contiguous()?.matmul(&self.weight).map(Some)
    }
}

struct TrainedLinear;

impl CustomOp3 for TrainedLinear {
    fn name(&self) -> &'static str {
        "trained_linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        forward(x, x_layout, w, w_layout, Some(super::values(b, b_layout)?))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let for_x = if x.track_op() { Some(grad.matmul(&weight.detach())?) } else { None };
        let for_weight = grad.t()?.matmul(&x.detach())?;
        Ok((for_x, Some(for_weight), Some(column_sums(&grad)?)))
    }
}

fn forward(
    x: &CpuStorage,
    x_layout: &Layout,
    weight: &CpuStorage,
    weight_layout: &Layout,
    bias: Option<&[f32]>,
) -> Result<(CpuStorage, Shape)> {
    let (rows, inputs) = x_layout.shape().dims2()?;
    let (outputs, _) = weight_layout.shape().dims2()?;
    let transposed = weight_layout.transpose(0, 1)?;
    let product = x.matmul(weight, (1, rows, outputs, inputs), x_layout, &transposed)?;
    let CpuStorage::F32(mut y) = product else { bail!("a linear layer's input is not f32") };
    if let Some(bias) = bias {
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
    stored(y, (rows, outputs))
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

/// `a . b`.
#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum_of([a, b], |[a, b]| a * b)
}
