//! Operators with their gradients, which are computed only of trained tensors. Those for the CPU are
//! fused and run on all cores. Those for other devices are in [`composed`].
//!
//! Each fused operator is tested against the composed one, both values and gradients.

mod attention;
pub(crate) mod composed;
mod conv;
mod gelu;
mod linear;
mod norm;
mod product;
mod softmax;
mod steps;
mod sum;

use std::ops::Deref;

use candle_core::Layout;
use candle_core::{Device, Result, Storage, Tensor, bail};
use rayon::prelude::*;

pub(crate) use self::attention::{attention, self_attention};
pub(crate) use self::conv::{dense_conv, depthwise_conv};
pub(crate) use self::gelu::gelu;
pub(crate) use self::linear::{linear, matmul};
pub(crate) use self::norm::layer_norm;
pub(crate) use self::softmax::softmax;
pub(crate) use self::steps::{fake_quantize, fake_quantize_rows};
pub(crate) use self::sum::{add, mul, plus};

/// Number of values per task: enough to be worth a task, few enough for the cache.
const CHUNK: usize = 16 * 1024;

/// Runs `op`, compiled for the vector instructions of this CPU.
#[inline(always)]
fn vectorize<R>(op: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(op)
}

/// Values of a contiguous f32 tensor in CPU memory, given the result of
/// [`Tensor::storage_and_layout`].
fn tensor_values<'a>(tensor: &'a (impl Deref<Target = Storage>, &Layout)) -> Result<&'a [f32]> {
    let (storage, layout) = tensor;
    let Storage::Cpu(storage) = &**storage else { bail!("a tensor is not in CPU memory") };
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("a tensor of {:?} is not contiguous", layout.shape()),
    }
}

fn tensor(values: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
    Tensor::from_vec(values, shape, &Device::Cpu)
}

/// `out[i] = f(x[i])` in chunks, on all cores.
fn map(x: &[f32], f: impl Fn(&[f32], &mut [f32]) + Sync) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    out.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(out, x)| {
        vectorize(
            #[inline(always)]
            || f(x, out),
        )
    });
    out
}

/// `out[i] = f(x[i], y[i])` in chunks, on all cores.
fn zip_map(x: &[f32], y: &[f32], f: impl Fn(&[f32], &[f32], &mut [f32]) + Sync) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    out.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK).zip(y.par_chunks(CHUNK))).for_each(
        |(out, (x, y))| {
            vectorize(
                #[inline(always)]
                || f(x, y, out),
            )
        },
    );
    out
}

/// Sum of `f` over the values, in a fixed order that suits vector instructions.
#[inline(always)]
fn sum_of<const N: usize>(slices: [&[f32]; N], f: impl Fn([f32; N]) -> f32) -> f32 {
    const LANES: usize = 16;
    let length = slices[0].len();
    let whole = length / LANES * LANES;
    let mut lanes = [0.0f32; LANES];
    let mut start = 0;
    while start < whole {
        let parts: [&[f32]; N] = slices.map(|slice| &slice[start..start + LANES]);
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += f(parts.map(|part| part[lane]));
        }
        start += LANES;
    }
    let rest: f32 = (whole..length).map(|i| f(slices.map(|slice| slice[i]))).sum();
    lanes.iter().sum::<f32>() + rest
}

/// `e^x` to about 1e-7, in a form that suits vector instructions.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // 2^n e^r with |r| <= ln(2)/2; adding 1.5 * 2^23 leaves n in the lowest bits. Integers wrap,
    // since overflow checks would prevent vectorization.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-0.693_359_4, x);
    let r = n.mul_add(2.121_944_4e-4, r);
    let p = 1.987_569_1e-4f32;
    let p = p.mul_add(r, 1.398_2e-3);
    let p = p.mul_add(r, 8.333_452e-3);
    let p = p.mul_add(r, 4.166_579_6e-2);
    let p = p.mul_add(r, 1.666_666_5e-1);
    let p = p.mul_add(r, 5e-1);
    let e = p.mul_add(r * r, r) + 1.0;
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127);
    e * f32::from_bits(exponent.wrapping_shl(23))
}
