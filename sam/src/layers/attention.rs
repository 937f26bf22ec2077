//! Scaled dot-product attention, composed of basic operations.

use std::sync::Arc;

use crate::backend::{Backend, Output, Scores};
use crate::weights::Reader;

/// Added to a score, so low that nothing is left of it in a softmax.
pub(crate) const NO_ATTENTION: f32 = -1e9;

/// What scores are multiplied by in heads of `d` channels.
pub(crate) fn attention_scale(d: usize) -> f32 {
    1.0 / (d as f32).sqrt()
}

/// What the products of an attention are known by whose first projection `from` reads.
pub(crate) fn products_name(from: &Reader) -> Arc<str> {
    format!("{}.products", from.name("weight")).into()
}

/// How queries, keys and values stand side by side in the last axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// `[heads, 3, d]`: each head's q, k and v together (TinyViT).
    ByHead,
    /// `[3, heads, d]` (ViT).
    ByPart,
}

impl Packing {
    /// Channels of the queries (part 0), keys or values, head by head.
    pub(crate) fn channels(
        self,
        part: usize,
        heads: usize,
        d: usize,
    ) -> impl Iterator<Item = usize> {
        let start = move |head: usize| match self {
            Self::ByHead => (3 * head + part) * d,
            Self::ByPart => (part * heads + head) * d,
        };
        (0..heads).flat_map(move |head| start(head)..start(head) + d)
    }
}

/// `[B, N, 3 * heads * d]` -> queries, keys and values `[B, heads, N, d]`.
pub(crate) fn unpack<B: Backend>(
    b: &B,
    qkv: &B::Tensor,
    heads: usize,
    packing: Packing,
) -> Result<[B::Tensor; 3], B::Error> {
    let [batch, tokens, width] = b.shape(qkv)[..] else { unreachable!("tokens have three axes") };
    let d = width / (3 * heads);
    let parts = match packing {
        Packing::ByHead => {
            b.permute(&b.reshape(qkv, &[batch, tokens, heads, 3, d])?, &[3, 0, 2, 1, 4])
        }
        Packing::ByPart => {
            b.permute(&b.reshape(qkv, &[batch, tokens, 3, heads, d])?, &[2, 0, 3, 1, 4])
        }
    }?;
    let part = |i: usize| b.reshape(&b.narrow(&parts, 0, i, 1)?, &[batch, heads, tokens, d]);
    Ok([part(0)?, part(1)?, part(2)?])
}

/// `[B, N, heads * d]` -> `[B, heads, N, d]`.
pub(crate) fn split_heads<B: Backend>(b: &B, x: &B::Tensor, heads: usize) -> Output<B> {
    let [batch, tokens, channels] = b.shape(x)[..] else { unreachable!("tokens have three axes") };
    let x = b.reshape(x, &[batch, tokens, heads, channels / heads])?;
    b.permute(&x, &[0, 2, 1, 3])
}

/// `[B, heads, N, d]` -> `[B, N, heads * d]`.
fn merge_heads<B: Backend>(b: &B, x: &B::Tensor) -> Output<B> {
    let [batch, heads, tokens, d] = b.shape(x)[..] else { unreachable!("heads have four axes") };
    let x = b.permute(x, &[0, 2, 1, 3])?;
    b.reshape(&x, &[batch, tokens, heads * d])
}

/// `softmax(scale q k^T + bias) v` for `[B, heads, N, d]`, heads merged: `[B, N, heads * d]`.
pub(crate) fn attend<B: Backend>(
    b: &B,
    [q, k, v]: &[B::Tensor; 3],
    Scores { name, scale, bias }: Scores<B::Tensor>,
) -> Output<B> {
    // Scaling q costs less than scaling the scores, and is the same.
    let q = if scale == 1.0 { q.clone() } else { b.affine(q, scale, 0.0)? };
    let mut scores = b.attention_product(name, &q, &b.permute(k, &[0, 1, 3, 2])?)?;
    if let Some(bias) = bias {
        scores = b.add(&scores, bias)?;
    }
    merge_heads(b, &b.attention_product(name, &b.softmax(&scores)?, v)?)
}
