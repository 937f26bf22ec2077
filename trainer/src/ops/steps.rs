//! Values as whole numbers of steps, as 8-bit arithmetic has them.

use candle_core::{Result, Tensor};
use medsa_sam::{Int8Input, S8_MAX, S8_TINY};
use rayon::prelude::*;

use super::{CHUNK, tensor, tensor_values};
use crate::tape::Node;

/// `x` `[.., C]` rounded to the steps of `input`. Its gradient is that of the identity (the
/// straight-through estimator), but for what was cut off, which gets none.
pub(crate) fn to_steps(x: &Node, input: &Int8Input) -> Result<Node> {
    let channels = input.size.len();
    let (sizes, zeros) = (input.size.to_vec(), input.zero.to_vec());
    let inverse: Vec<f32> = sizes.iter().map(|size| 1.0 / size).collect();
    let steps = move |v: f32, c: usize| (v * inverse[c]).round_ties_even() + zeros[c];
    let x = x.contiguous()?;
    let rounded = rows(x.value(), channels, |row, out| {
        for (c, (v, out)) in row.iter().zip(out).enumerate() {
            *out = (steps(*v, c).clamp(-S8_MAX, S8_MAX) - input.zero[c]) * sizes[c];
        }
    })?;
    let kept = x.varies().then(|| x.value().clone());
    Ok(x.then(rounded, move |grad: &Tensor| {
        let Some(x) = &kept else { return Ok(grad.clone()) };
        let within = rows(x, channels, |row, out| {
            for (c, (v, out)) in row.iter().zip(out).enumerate() {
                *out = f32::from(steps(*v, c).abs() <= S8_MAX);
            }
        })?;
        grad.mul(&within)
    }))
}

/// `x` `[.., C]` rounded, each row to steps of a 127th of its largest magnitude. Its gradient is
/// that of the identity.
pub(crate) fn to_row_steps(x: &Node) -> Result<Node> {
    let x = x.contiguous()?;
    let channels = *x.dims().last().expect("tensors have axes");
    let rounded = rows(x.value(), channels, |row, out| {
        let largest = row.iter().fold(S8_TINY, |max, v| max.max(v.abs()));
        let step = largest / S8_MAX;
        row.iter().zip(out).for_each(|(v, out)| *out = (v / step).round_ties_even() * step);
    })?;
    Ok(x.then(rounded, |grad: &Tensor| Ok(grad.clone())))
}

/// Each row of `channels` values by itself, over all cores.
fn rows(x: &Tensor, channels: usize, f: impl Fn(&[f32], &mut [f32]) + Sync) -> Result<Tensor> {
    let values = x.storage_and_layout();
    let values = tensor_values(&values)?;
    let mut out = vec![0.0; values.len()];
    let some = (CHUNK / channels).max(1) * channels;
    out.par_chunks_mut(some).zip(values.par_chunks(some)).for_each(|(out, values)| {
        let rows = out.chunks_exact_mut(channels).zip(values.chunks_exact(channels));
        rows.for_each(|(out, row)| f(row, out));
    });
    tensor(out, x.dims())
}
