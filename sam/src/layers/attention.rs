//! Scaled dot-product attention.

use crate::backend::{Backend, Output};

/// `[B, N, heads * d]` -> `[B, heads, N, d]`.
pub(crate) fn split_heads<B: Backend>(b: &B, x: &B::Tensor, heads: usize) -> Output<B> {
    let [batch, tokens, channels] = b.shape(x)[..] else { unreachable!("tokens have three axes") };
    let x = b.reshape(x, &[batch, tokens, heads, channels / heads])?;
    b.permute(&x, &[0, 2, 1, 3])
}

/// `[B, heads, N, d]` -> `[B, N, heads * d]`.
pub(crate) fn merge_heads<B: Backend>(b: &B, x: &B::Tensor) -> Output<B> {
    let [batch, heads, tokens, d] = b.shape(x)[..] else { unreachable!("heads have four axes") };
    let x = b.permute(x, &[0, 2, 1, 3])?;
    b.reshape(&x, &[batch, tokens, heads * d])
}

/// `softmax(q k^T / sqrt(d) + bias) v` for `[B, heads, N, d]`; `bias` broadcasts to
/// `[B, heads, Nq, Nk]`.
pub(crate) fn attention<B: Backend>(
    b: &B,
    q: &B::Tensor,
    k: &B::Tensor,
    v: &B::Tensor,
    bias: Option<&B::Tensor>,
) -> Output<B> {
    let d = b.shape(q)[3];
    // Scaling q costs less than scaling the scores, and is the same.
    let q = b.affine(q, 1.0 / (d as f32).sqrt(), 0.0)?;
    let mut scores = b.matmul(&q, &b.permute(k, &[0, 1, 3, 2])?)?;
    if let Some(bias) = bias {
        scores = b.add(&scores, bias)?;
    }
    b.matmul(&b.softmax(&scores)?, v)
}
