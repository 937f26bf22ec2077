//! The interface between the networks and a tensor library.
//!
//! Maps are channels-last, `[B, H, W, C]`, and tokens are `[B, N, C]`. A 1x1 convolution, a patch
//! embedding and a 2x2 transposed convolution are then all [`Backend::linear`]; the only true
//! convolutions left are the 3x3 ones.

use crate::block::Block;
use crate::layers::{Conv2d, LayerNorm, Linear, Packing};
use crate::weights::{Indices, Param};

/// A tensor or the backend's error.
pub type Output<B> = Result<<B as Backend>::Tensor, <B as Backend>::Error>;

/// The operations of SAM-family networks. Shapes are static and known at every call.
///
/// Binary operations broadcast like NumPy's.
pub trait Backend: Sized {
    /// A value: computed (candle) or recorded (ONNX).
    type Tensor: Clone;
    /// Error of the tensor library.
    type Error: std::error::Error + Send + Sync + 'static;

    /// A weight or constant as a tensor.
    fn param(&self, param: &Param) -> Output<Self>;
    /// Shape of a tensor.
    fn shape(&self, x: &Self::Tensor) -> Vec<usize>;

    /// `x W^T + b` over the last axis: `[.., in]` -> `[.., out]`.
    fn linear(&self, x: &Self::Tensor, layer: &Linear) -> Output<Self>;
    /// Convolution of a map `[B, H, W, C]`.
    fn conv2d(&self, x: &Self::Tensor, layer: &Conv2d) -> Output<Self>;
    /// Normalization over the last axis, followed by gamma and beta.
    fn layer_norm(&self, x: &Self::Tensor, layer: &LayerNorm) -> Output<Self>;
    /// Matrix product of the last two axes; the others broadcast.
    fn matmul(&self, a: &Self::Tensor, b: &Self::Tensor) -> Output<Self>;
    /// Softmax over the last axis.
    fn softmax(&self, x: &Self::Tensor) -> Output<Self>;
    /// `x/2 (1 + erf(x / sqrt 2))`, the exact form.
    fn gelu(&self, x: &Self::Tensor) -> Output<Self>;
    /// `max(x, 0)`.
    fn relu(&self, x: &Self::Tensor) -> Output<Self>;
    /// Sine.
    fn sin(&self, x: &Self::Tensor) -> Output<Self>;
    /// Cosine.
    fn cos(&self, x: &Self::Tensor) -> Output<Self>;
    /// 1 where `x` equals `value`, else 0.
    fn indicator(&self, x: &Self::Tensor, value: f32) -> Output<Self>;

    /// Elementwise sum.
    fn add(&self, a: &Self::Tensor, b: &Self::Tensor) -> Output<Self>;
    /// Elementwise product.
    fn mul(&self, a: &Self::Tensor, b: &Self::Tensor) -> Output<Self>;
    /// `x * scale + shift`.
    fn affine(&self, x: &Self::Tensor, scale: f32, shift: f32) -> Output<Self>;

    /// The same values in another shape.
    fn reshape(&self, x: &Self::Tensor, shape: &[usize]) -> Output<Self>;
    /// Axes in another order.
    fn permute(&self, x: &Self::Tensor, axes: &[usize]) -> Output<Self>;
    /// Appends `count` zeros at the end of `axis`.
    fn pad_end(&self, x: &Self::Tensor, axis: usize, count: usize) -> Output<Self>;
    /// `len` entries of `axis` from `start`.
    fn narrow(&self, x: &Self::Tensor, axis: usize, start: usize, len: usize) -> Output<Self>;
    /// Picks entries of the last axis by index: `[.., n]` -> `[.., indices]`.
    fn take(&self, x: &Self::Tensor, indices: &Indices) -> Output<Self>;
    /// Concatenates tensors along `axis`.
    fn concat(&self, parts: &[&Self::Tensor], axis: usize) -> Output<Self>;

    /// Computes a block. `compute` uses only `inputs`, the block's layers and constants, and
    /// returns the outputs.
    fn block<const N: usize>(
        &self,
        block: Block,
        inputs: &[&Self::Tensor],
        compute: impl FnOnce() -> Result<[Self::Tensor; N], Self::Error>,
    ) -> Result<[Self::Tensor; N], Self::Error> {
        let _ = (block, inputs);
        compute()
    }

    /// Computes a block with one output, like [`Backend::block`].
    fn single_block(
        &self,
        block: Block,
        inputs: &[&Self::Tensor],
        compute: impl FnOnce() -> Output<Self>,
    ) -> Output<Self> {
        let [output] = self.block(block, inputs, || Ok([compute()?]))?;
        Ok(output)
    }

    /// Matrix product inside the attention `name`, like [`Backend::matmul`].
    fn attention_product(&self, _name: &str, a: &Self::Tensor, b: &Self::Tensor) -> Output<Self> {
        self.matmul(a, b)
    }

    /// Attention of queries `[B, Nq, heads * d]` to keys and values `[B, Nk, heads * d]`.
    fn attention(
        &self,
        [q, k, v]: [&Self::Tensor; 3],
        heads: usize,
        scores: Scores<Self::Tensor>,
    ) -> Output<Self> {
        compose::attention(self, [q, k, v], heads, scores)
    }

    /// Attention of tokens to each other, from the packed projection `[B, N, 3 * heads * d]`.
    fn self_attention(
        &self,
        qkv: &Self::Tensor,
        heads: usize,
        packing: Packing,
        scores: Scores<Self::Tensor>,
    ) -> Output<Self> {
        compose::self_attention(self, qkv, heads, packing, scores)
    }
}

/// Shape of a binary operation's result under NumPy's broadcasting rules.
pub fn broadcast(a: &[usize], b: &[usize]) -> Vec<usize> {
    let (long, short) = if a.len() >= b.len() { (a, b) } else { (b, a) };
    let mut shape = long.to_vec();
    for (side, other) in shape.iter_mut().rev().zip(short.iter().rev()) {
        *side = (*side).max(*other);
    }
    shape
}

/// Scale and bias applied to an attention's products `q k^T` before the softmax.
#[derive(Clone, Copy, Debug)]
pub struct Scores<'a, T> {
    /// Name of the attention's products, unique in the network.
    pub name: &'a str,
    /// Factor of the products: `1/sqrt(d)`, or 1 if the queries are already scaled.
    pub scale: f32,
    /// Bias added after scaling; broadcasts to `[B, heads, Nq, Nk]`.
    pub bias: Option<&'a T>,
}

/// Default implementations, composed of basic operations, that a backend may replace with faster
/// ones.
pub mod compose {
    use super::{Backend, Output, Scores};
    use crate::layers::Packing;

    /// Default of [`Backend::attention`].
    ///
    /// # Errors
    /// The backend failed.
    pub fn attention<B: Backend>(
        b: &B,
        [q, k, v]: [&B::Tensor; 3],
        heads: usize,
        scores: Scores<B::Tensor>,
    ) -> Output<B> {
        let split = |x| split_heads(b, x, heads);
        attend(b, &[split(q)?, split(k)?, split(v)?], scores)
    }

    /// Default of [`Backend::self_attention`].
    ///
    /// # Errors
    /// The backend failed.
    pub fn self_attention<B: Backend>(
        b: &B,
        qkv: &B::Tensor,
        heads: usize,
        packing: Packing,
        scores: Scores<B::Tensor>,
    ) -> Output<B> {
        attend(b, &unpack(b, qkv, heads, packing)?, scores)
    }

    /// Unpacks `[B, N, 3 * heads * d]` into queries, keys and values `[B, heads, N, d]`.
    pub(crate) fn unpack<B: Backend>(
        b: &B,
        qkv: &B::Tensor,
        heads: usize,
        packing: Packing,
    ) -> Result<[B::Tensor; 3], B::Error> {
        let [batch, tokens, width] = b.shape(qkv)[..] else {
            unreachable!("tokens have three axes")
        };
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

    /// Splits heads: `[B, N, heads * d]` -> `[B, heads, N, d]`.
    pub(crate) fn split_heads<B: Backend>(b: &B, x: &B::Tensor, heads: usize) -> Output<B> {
        let [batch, tokens, channels] = b.shape(x)[..] else {
            unreachable!("tokens have three axes")
        };
        let x = b.reshape(x, &[batch, tokens, heads, channels / heads])?;
        b.permute(&x, &[0, 2, 1, 3])
    }

    /// Merges heads: `[B, heads, N, d]` -> `[B, N, heads * d]`.
    fn merge_heads<B: Backend>(b: &B, x: &B::Tensor) -> Output<B> {
        let [batch, heads, tokens, d] = b.shape(x)[..] else {
            unreachable!("heads have four axes")
        };
        let x = b.permute(x, &[0, 2, 1, 3])?;
        b.reshape(&x, &[batch, tokens, heads * d])
    }

    /// `softmax(scale q k^T + bias) v` for `[B, heads, N, d]`, with heads merged into `[B, N, heads
    /// * d]`.
    pub(crate) fn attend<B: Backend>(
        b: &B,
        [q, k, v]: &[B::Tensor; 3],
        Scores { name, scale, bias }: Scores<B::Tensor>,
    ) -> Output<B> {
        // Scaling the queries costs less than scaling the scores and gives the same result.
        let q = if scale == 1.0 { q.clone() } else { b.affine(q, scale, 0.0)? };
        let mut scores = b.attention_product(name, &q, &b.permute(k, &[0, 1, 3, 2])?)?;
        if let Some(bias) = bias {
            scores = b.add(&scores, bias)?;
        }
        merge_heads(b, &b.attention_product(name, &b.softmax(&scores)?, v)?)
    }
}
