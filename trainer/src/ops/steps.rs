//! Fake quantization: values rounded to those that int8 can represent, kept in float.

use candle_core::{Result, Tensor};
use medsa_sam::{Int8Input, S8_MAX, S8_TINY, round_ties_even};
use rayon::prelude::*;

use super::{CHUNK, tensor, tensor_values};
use crate::tape::Node;

/// Rounds `x` `[.., C]` to the values that `input` can represent. The gradient passes unchanged
/// (the straight-through estimator), except for clamped values, whose gradient is 0.
pub(crate) fn fake_quantize(x: &Node, input: &Int8Input) -> Result<Node> {
    let channels = input.scale.len();
    let (scales, zero_points) = (input.scale.to_vec(), input.zero_point.to_vec());
    let inverse_scales: Vec<f32> = scales.iter().map(|scale| 1.0 / scale).collect();
    let quantized = move |v: f32, c: usize| round_ties_even(v * inverse_scales[c]) + zero_points[c];
    let x = x.contiguous()?;
    let rounded = rows(x.value(), channels, |row, out| {
        for (c, (v, out)) in row.iter().zip(out).enumerate() {
            *out = (quantized(*v, c).clamp(-S8_MAX, S8_MAX) - input.zero_point[c]) * scales[c];
        }
    })?;
    let kept = x.varies().then(|| x.value().clone());
    Ok(x.then(rounded, move |grad: &Tensor| {
        let Some(x) = &kept else { return Ok(grad.clone()) };
        let within = rows(x, channels, |row, out| {
            for (c, (v, out)) in row.iter().zip(out).enumerate() {
                *out = f32::from(quantized(*v, c).abs() <= S8_MAX);
            }
        })?;
        grad.mul(&within)
    }))
}

/// Rounds `x` `[.., C]`, each row with a scale of 1/127 of its largest magnitude. The gradient
/// passes unchanged.
pub(crate) fn fake_quantize_rows(x: &Node) -> Result<Node> {
    let x = x.contiguous()?;
    let channels = *x.dims().last().expect("tensors have axes");
    let rounded = rows(x.value(), channels, |row, out| {
        let largest = row.iter().fold(S8_TINY, |max, v| max.max(v.abs()));
        let scale = largest / S8_MAX;
        row.iter().zip(out).for_each(|(v, out)| *out = round_ties_even(v / scale) * scale);
    })?;
    Ok(x.then(rounded, |grad: &Tensor| Ok(grad.clone())))
}

/// Applies `f` to each row of `channels` values, in parallel on all cores.
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
