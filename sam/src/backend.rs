//! What a tensor library has to offer so that the networks can run on it.
//!
//! Maps are channels-last, `[B, H, W, C]`, and tokens `[B, N, C]`: so a 1x1 convolution, a
//! patch embedding and a 2x2 transposed convolution all are [`Backend::linear`], and the only
//! true convolutions left are the 3x3 ones.

use crate::layers::{Conv2d, LayerNorm, Linear, Packing};
use crate::weights::{Indices, Param};

/// A tensor or the backend's error.
pub type Output<B> = Result<<B as Backend>::Tensor, <B as Backend>::Error>;

/// The operations of SAM-family networks. Shapes are static and known at every call.
///
/// Binary operations broadcast as NumPy does.
pub trait Backend: Sized {
    /// A value: computed (candle) or recorded (ONNX).
    type Tensor: Clone;
    /// What can go wrong in the tensor library.
    type Error: std::error::Error + Send + Sync + 'static;

    /// A weight or constant.
    fn param(&self, param: &Param) -> Output<Self>;
    /// Shape of a tensor.
    fn shape(&self, x: &Self::Tensor) -> Vec<usize>;

    /// `x W^T + b` over the last axis: `[.., in]` -> `[.., out]`.
    fn linear(&self, x: &Self::Tensor, layer: &Linear) -> Output<Self>;
    /// Convolution of `[B, H, W, C]`.
    fn conv2d(&self, x: &Self::Tensor, layer: &Conv2d) -> Output<Self>;
    /// Normalization over the last axis, then gamma and beta.
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

    /// Sum.
    fn add(&self, a: &Self::Tensor, b: &Self::Tensor) -> Output<Self>;
    /// Elementwise product.
    fn mul(&self, a: &Self::Tensor, b: &Self::Tensor) -> Output<Self>;
    /// `x * scale + shift`.
    fn affine(&self, x: &Self::Tensor, scale: f32, shift: f32) -> Output<Self>;

    /// The same values in another shape.
    fn reshape(&self, x: &Self::Tensor, shape: &[usize]) -> Output<Self>;
    /// Axes in another order.
    fn permute(&self, x: &Self::Tensor, axes: &[usize]) -> Output<Self>;
    /// `count` zeros after the end of `axis`.
    fn pad_end(&self, x: &Self::Tensor, axis: usize, count: usize) -> Output<Self>;
    /// `len` entries of `axis` from `start`.
    fn narrow(&self, x: &Self::Tensor, axis: usize, start: usize, len: usize) -> Output<Self>;
    /// Entries of the last axis by index: `[.., n]` -> `[.., indices]`.
    fn take(&self, x: &Self::Tensor, indices: &Indices) -> Output<Self>;
    /// Tensors one after the other along `axis`.
    fn concat(&self, parts: &[&Self::Tensor], axis: usize) -> Output<Self>;

    /// Computes a block. `compute` uses `inputs`, weights and constants, and gives the outputs.
    fn block<const N: usize>(
        &self,
        block: Block,
        inputs: &[&Self::Tensor],
        compute: impl FnOnce() -> Result<[Self::Tensor; N], Self::Error>,
    ) -> Result<[Self::Tensor; N], Self::Error> {
        let _ = (block, inputs);
        compute()
    }

    /// Matrix product inside the attention `name`, as [`Backend::matmul`].
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

    /// The same for tokens that attend to each other, from `[B, N, 3 * heads * d]`.
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

/// The shape of a binary operation's result, as NumPy has it.
pub fn broadcast(a: &[usize], b: &[usize]) -> Vec<usize> {
    let (long, short) = if a.len() >= b.len() { (a, b) } else { (b, a) };
    let mut shape = long.to_vec();
    for (side, other) in shape.iter_mut().rev().zip(short.iter().rev()) {
        *side = (*side).max(*other);
    }
    shape
}

/// What becomes of an attention's products `q k^T` before the softmax.
#[derive(Clone, Copy, Debug)]
pub struct Scores<'a, T> {
    /// Of the attention's products, unique in the network.
    pub name: &'a str,
    /// They are multiplied by this, `1/sqrt(d)` unless queries come scaled.
    pub scale: f32,
    /// Added then; broadcasts to `[B, heads, Nq, Nk]`.
    pub bias: Option<&'a T>,
}

/// A part that stands in a network several times, and that a runtime may compute at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Name of the operator that it is.
    pub operator: &'static str,
    /// What neither inputs nor weights tell.
    pub attributes: Vec<(&'static str, usize)>,
}

impl Block {
    /// A block with one output.
    pub(crate) fn run<B: Backend>(
        self,
        b: &B,
        inputs: &[&B::Tensor],
        compute: impl FnOnce() -> Output<B>,
    ) -> Output<B> {
        let [output] = b.block(self, inputs, || Ok([compute()?]))?;
        Ok(output)
    }
}

/// What a backend may do faster, composed of basic operations.
pub mod compose {
    use super::{Backend, Output, Scores};
    use crate::layers::{Packing, attend, split_heads, unpack};

    /// [`Backend::attention`].
    ///
    /// # Errors
    /// The backend's.
    pub fn attention<B: Backend>(
        b: &B,
        [q, k, v]: [&B::Tensor; 3],
        heads: usize,
        scores: Scores<B::Tensor>,
    ) -> Output<B> {
        let split = |x| split_heads(b, x, heads);
        attend(b, &[split(q)?, split(k)?, split(v)?], scores)
    }

    /// [`Backend::self_attention`].
    ///
    /// # Errors
    /// The backend's.
    pub fn self_attention<B: Backend>(
        b: &B,
        qkv: &B::Tensor,
        heads: usize,
        packing: Packing,
        scores: Scores<B::Tensor>,
    ) -> Output<B> {
        attend(b, &unpack(b, qkv, heads, packing)?, scores)
    }
}
