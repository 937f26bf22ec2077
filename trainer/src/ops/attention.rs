//! Scaled dot-product attention, one head at a time. Scores never leave the cache, and the backward
//! pass computes them again instead of keeping them.

use std::ops::Deref;

use candle_core::{Layout, Result, Storage, Tensor, bail};
use medsa_sam::backend::Scores;
use medsa_sam::layers::Packing;
use rayon::prelude::*;

use super::product::{View, add_product, padded};
use super::softmax::softmax_row;
use super::{tensor, tensor_values, vectorize};
use crate::tape::Node;

/// Attention of queries `[B, Nq, heads * d]` to keys and values `[B, Nk, heads * d]`. The bias gets
/// no gradient.
pub(crate) fn attention(
    [q, k, v]: [&Node; 3],
    heads: usize,
    Scores { scale, bias, .. }: Scores<Tensor>,
) -> Result<Node> {
    let (batch, queries, width) = q.value().dims3()?;
    let keys = k.value().dim(1)?;
    let sizes = Sizes { batch, heads, queries, keys, d: width / heads, scale };
    let bias = sizes.expand(bias)?;
    let inputs = [q.contiguous()?, k.contiguous()?, v.contiguous()?];
    let kept = inputs.each_ref().map(|input| input.value().clone());
    let y = {
        let [qs, ks, vs] = kept.each_ref().map(Tensor::storage_and_layout);
        let parts = sizes.parts([tensor_values(&qs)?, tensor_values(&ks)?, tensor_values(&vs)?]);
        forward(&sizes, parts, bias.as_ref())?
    };
    let backward = move |grad: &Tensor| {
        let grads = backward(&sizes, &kept, bias.as_ref(), &grad.contiguous()?)?;
        Ok(grads.into_iter().map(Some).collect())
    };
    Ok(Node::of(&inputs.each_ref(), y, backward))
}

/// Attention of tokens to each other, from the packed projection `[B, N, 3 * heads * d]`.
pub(crate) fn self_attention(
    qkv: &Node,
    heads: usize,
    packing: Packing,
    Scores { scale, bias, .. }: Scores<Tensor>,
) -> Result<Node> {
    let (batch, tokens, width) = qkv.value().dims3()?;
    let d = width / (3 * heads);
    let sizes = Sizes { batch, heads, queries: tokens, keys: tokens, d, scale };
    let bias = sizes.expand(bias)?;
    let qkv = qkv.contiguous()?;
    let kept = qkv.value().clone();
    let y = {
        let values = kept.storage_and_layout();
        forward(&sizes, sizes.packed(tensor_values(&values)?, packing), bias.as_ref())?
    };
    Ok(qkv.then(y, move |grad| {
        packed_backward(&sizes, packing, &kept, bias.as_ref(), &grad.contiguous()?)
    }))
}

#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    heads: usize,
    queries: usize,
    keys: usize,
    d: usize,
    /// Factor of the scores.
    scale: f32,
}

impl Sizes {
    fn output(&self) -> [usize; 3] {
        [self.batch, self.queries, self.heads * self.d]
    }

    /// Expands a bias to `[B, heads, Nq, Nk]` without copying broadcast values.
    fn expand(&self, bias: Option<&Tensor>) -> Result<Option<Tensor>> {
        let shape = (self.batch, self.heads, self.queries, self.keys);
        bias.map(|bias| bias.contiguous()?.broadcast_as(shape)).transpose()
    }

    /// Queries, keys and values in three tensors.
    fn parts<'a>(&self, [q, k, v]: [&'a [f32]; 3]) -> [Part<'a>; 3] {
        let Self { heads, queries, keys, d, .. } = *self;
        [(q, queries), (k, keys), (v, keys)].map(|(x, rows)| Part::merged(x, rows, heads, d))
    }

    /// Queries, keys and values packed in one tensor.
    fn packed<'a>(&self, qkv: &'a [f32], packing: Packing) -> [Part<'a>; 3] {
        let Self { heads, queries, d, .. } = *self;
        let row_stride = 3 * heads * d;
        [0, 1, 2].map(|part| {
            let (offset, head_stride) = match packing {
                Packing::ByHead => (part * d, 3 * d),
                Packing::ByPart => (part * heads * d, d),
            };
            let batch_stride = queries * row_stride;
            Part { values: qkv, batch_stride, row_stride, head_stride, offset }
        })
    }
}

fn backward(
    sizes: &Sizes,
    kept: &[Tensor; 3],
    bias: Option<&Tensor>,
    grad: &Tensor,
) -> Result<[Tensor; 3]> {
    let Sizes { batch, heads, queries, keys, d, .. } = *sizes;
    let [qs, ks, vs] = kept.each_ref().map(Tensor::storage_and_layout);
    let gs = grad.storage_and_layout();
    let parts = sizes.parts([tensor_values(&qs)?, tensor_values(&ks)?, tensor_values(&vs)?]);
    let grad = Part::merged(tensor_values(&gs)?, queries, heads, d);
    let bias = bias.map(Tensor::storage_and_layout);
    let bias = bias.as_ref().map(BiasRows::new).transpose()?;
    let mut grads = [queries, keys, keys].map(|rows| vec![0.0; batch * rows * heads * d]);
    let [for_q, for_k, for_v] = &mut grads;
    let size = |rows: usize| rows * heads * d;
    for_q
        .par_chunks_mut(size(queries))
        .zip(for_k.par_chunks_mut(size(keys)))
        .zip(for_v.par_chunks_mut(size(keys)))
        .enumerate()
        .for_each(|(b, ((for_q, for_k), for_v))| {
            let of_heads = backward_heads(sizes, &parts, &grad, bias.as_ref(), b);
            for (head, [dq, dk, dv]) in of_heads.into_iter().enumerate() {
                scatter(for_q, &dq, [heads * d, head * d], d);
                scatter(for_k, &dk, [heads * d, head * d], d);
                scatter(for_v, &dv, [heads * d, head * d], d);
            }
        });
    let [for_q, for_k, for_v] = grads;
    let shape = |rows| [batch, rows, heads * d];
    Ok([
        tensor(for_q, &shape(queries))?,
        tensor(for_k, &shape(keys))?,
        tensor(for_v, &shape(keys))?,
    ])
}

fn packed_backward(
    sizes: &Sizes,
    packing: Packing,
    qkv: &Tensor,
    bias: Option<&Tensor>,
    grad: &Tensor,
) -> Result<Tensor> {
    let Sizes { heads, queries, d, .. } = *sizes;
    let (qkvs, grads) = (qkv.storage_and_layout(), grad.storage_and_layout());
    let parts = sizes.packed(tensor_values(&qkvs)?, packing);
    let grad = Part::merged(tensor_values(&grads)?, queries, heads, d);
    let bias = bias.map(Tensor::storage_and_layout);
    let bias = bias.as_ref().map(BiasRows::new).transpose()?;
    let mut out = vec![0.0; qkv.elem_count()];
    out.par_chunks_mut(queries * 3 * heads * d).enumerate().for_each(|(b, out)| {
        let of_heads = backward_heads(sizes, &parts, &grad, bias.as_ref(), b);
        for (head, grads) in of_heads.into_iter().enumerate() {
            for (part, grad) in parts.iter().zip(&grads) {
                let offset = part.offset + head * part.head_stride;
                scatter(out, grad, [part.row_stride, offset], d);
            }
        }
    });
    tensor(out, qkv.dims())
}

/// Queries, keys or values in memory.
struct Part<'a> {
    values: &'a [f32],
    batch_stride: usize,
    row_stride: usize,
    head_stride: usize,
    offset: usize,
}

impl<'a> Part<'a> {
    /// Rows of `[B, rows, heads * d]`.
    fn merged(values: &'a [f32], rows: usize, heads: usize, d: usize) -> Self {
        let row_stride = heads * d;
        Self { values, batch_stride: rows * row_stride, row_stride, head_stride: d, offset: 0 }
    }

    /// Matrix `[rows, d]` of one head.
    fn head(&self, b: usize, head: usize) -> View<'a> {
        let start = b * self.batch_stride + self.offset + head * self.head_stride;
        View { values: &self.values[start..], row_stride: self.row_stride, column_stride: 1 }
    }
}

/// A constant bias of the scores.
struct BiasRows<'a> {
    values: &'a [f32],
    strides: [usize; 4],
}

impl<'a> BiasRows<'a> {
    fn new((storage, layout): &'a (impl Deref<Target = Storage>, &Layout)) -> Result<Self> {
        let Storage::Cpu(storage) = &**storage else { bail!("a bias is not in CPU memory") };
        let strides = layout.stride().try_into().expect("four axes");
        Ok(Self { values: &storage.as_slice::<f32>()?[layout.start_offset()..], strides })
    }

    /// Adds the bias of query `row` to its scores.
    #[inline(always)]
    fn add(&self, scores: &mut [f32], [b, head, row]: [usize; 3]) {
        let Self { values, strides } = self;
        let start = b * strides[0] + head * strides[1] + row * strides[2];
        if strides[3] == 1 {
            scores.iter_mut().zip(&values[start..]).for_each(|(score, bias)| *score += bias);
        } else {
            scores.iter_mut().for_each(|score| *score += values[start]);
        }
    }
}

/// Number of queries whose scores are computed together.
const BLOCK: usize = 64;

fn forward(sizes: &Sizes, parts: [Part; 3], bias: Option<&Tensor>) -> Result<Tensor> {
    let Sizes { heads, queries, keys, d, .. } = *sizes;
    let bias = bias.map(Tensor::storage_and_layout);
    let bias = bias.as_ref().map(BiasRows::new).transpose()?;
    let shape = sizes.output();
    let mut out = vec![0.0; shape.iter().product()];
    out.par_chunks_mut(queries * heads * d).enumerate().for_each(|(b, out)| {
        let of_head = |head: usize| {
            let [q, k, v] = parts.each_ref().map(|part| part.head(b, head));
            vectorize(
                #[inline(always)]
                || {
                    let keys_by_channel = k.transposed().pack(d, keys);
                    let v = v.pack(keys, d);
                    let width = padded(d);
                    let mut attended = vec![0.0; queries * width];
                    let mut scores = vec![0.0; BLOCK * padded(keys)];
                    for (block, out) in attended.chunks_mut(BLOCK * width).enumerate() {
                        let (first, rows) = (block * BLOCK, out.len() / width);
                        let probabilities = attention_probabilities(
                            &mut scores,
                            q,
                            &keys_by_channel,
                            sizes,
                            bias.as_ref(),
                            [b, head, first, rows],
                        );
                        add_product(out, probabilities, &v, [rows, keys, width], 1.0);
                    }
                    attended
                },
            )
        };
        let of_heads: Vec<Vec<f32>> = (0..heads).into_par_iter().map(of_head).collect();
        for (head, attended) in of_heads.iter().enumerate() {
            scatter(out, attended, [heads * d, head * d], d);
        }
    });
    tensor(out, &shape)
}

/// Attention probabilities of a block of queries.
#[inline(always)]
fn attention_probabilities<'a>(
    scores: &'a mut [f32],
    q: View,
    keys_by_channel: &[f32],
    sizes: &Sizes,
    bias: Option<&BiasRows>,
    [b, head, first, rows]: [usize; 4],
) -> View<'a> {
    let Sizes { keys, d, scale, .. } = *sizes;
    let width = padded(keys);
    let scores = &mut scores[..rows * width];
    scores.fill(0.0);
    let q = View { values: &q.values[first * q.row_stride..], ..q };
    add_product(scores, q, keys_by_channel, [rows, d, width], scale);
    for (row, scores) in scores.chunks_exact_mut(width).enumerate() {
        let (scores, padding) = scores.split_at_mut(keys);
        if let Some(bias) = bias {
            bias.add(scores, [b, head, first + row]);
        }
        softmax_row(scores);
        padding.fill(0.0);
    }
    View { values: scores, row_stride: width, column_stride: 1 }
}

/// Gradients of queries, keys and values for all heads of one batch entry, with padded rows.
fn backward_heads(
    sizes: &Sizes,
    parts: &[Part; 3],
    grad: &Part,
    bias: Option<&BiasRows>,
    b: usize,
) -> Vec<[Vec<f32>; 3]> {
    let of_head = |head: usize| {
        let [q, k, v] = parts.each_ref().map(|part| part.head(b, head));
        let grad = grad.head(b, head);
        vectorize(
            #[inline(always)]
            || backward_head(sizes, [q, k, v], grad, bias, [b, head]),
        )
    };
    (0..sizes.heads).into_par_iter().map(of_head).collect()
}

#[inline(always)]
fn backward_head(
    sizes: &Sizes,
    [q, k, v]: [View; 3],
    grad: View,
    bias: Option<&BiasRows>,
    [b, head]: [usize; 2],
) -> [Vec<f32>; 3] {
    let Sizes { queries, keys, d, scale, .. } = *sizes;
    let (width, score_width) = (padded(d), padded(keys));
    let keys_by_channel = k.transposed().pack(d, keys);
    let values_by_channel = v.transposed().pack(d, keys);
    let (packed_q, packed_k) = (q.pack(queries, d), k.pack(keys, d));
    let packed_grad = grad.pack(queries, d);
    let mut for_q = vec![0.0; queries * width];
    let [mut for_k, mut for_v] = [(); 2].map(|()| vec![0.0; keys * width]);
    let [mut scores, mut for_scores] = [(); 2].map(|()| vec![0.0; BLOCK * score_width]);
    for (block, for_q) in for_q.chunks_mut(BLOCK * width).enumerate() {
        let (first, rows) = (block * BLOCK, for_q.len() / width);
        let probabilities = attention_probabilities(
            &mut scores,
            q,
            &keys_by_channel,
            sizes,
            bias,
            [b, head, first, rows],
        );
        let block_of = |packed: &[f32]| -> std::ops::Range<usize> {
            debug_assert!(packed.len() >= (first + rows) * width);
            first * width..(first + rows) * width
        };
        let grad_block = &packed_grad[block_of(&packed_grad)];
        add_product(&mut for_v, probabilities.transposed(), grad_block, [keys, rows, width], 1.0);
        // Gradient of the probabilities, then of the scores through the softmax.
        let for_scores = &mut for_scores[..rows * score_width];
        for_scores.fill(0.0);
        let grad_rows = View { values: grad_block, row_stride: width, column_stride: 1 };
        add_product(for_scores, grad_rows, &values_by_channel, [rows, d, score_width], 1.0);
        let probabilities = probabilities.values.chunks_exact(score_width);
        for (for_scores, row) in for_scores.chunks_exact_mut(score_width).zip(probabilities) {
            let mean = super::linear::dot(for_scores, row);
            for (for_score, probability) in for_scores.iter_mut().zip(row) {
                *for_score = probability * (*for_score - mean);
            }
        }
        let for_scores = View { values: for_scores, row_stride: score_width, column_stride: 1 };
        add_product(for_q, for_scores, &packed_k, [rows, keys, width], scale);
        let q_block = &packed_q[block_of(&packed_q)];
        add_product(&mut for_k, for_scores.transposed(), q_block, [keys, rows, width], scale);
    }
    [for_q, for_k, for_v]
}

/// Copies the padded rows of one head to their positions.
fn scatter(out: &mut [f32], head: &[f32], [row_stride, offset]: [usize; 2], d: usize) {
    for (row, values) in head.chunks_exact(padded(d)).enumerate() {
        out[row * row_stride + offset..][..d].copy_from_slice(&values[..d]);
    }
}
