//! Low-rank updates of an attention's query and value projections (Hu et al., 2022).

use ndarray::Array;

use crate::backend::{Backend, Output};
use crate::error::Error;
use crate::layers::{Linear, LinearInput, Packing};
use crate::weights::{Param, Reader};

/// `(alpha / r) B A x` for queries and for values.
#[derive(Clone, Debug)]
pub(crate) struct Lora {
    q: LowRank,
    v: LowRank,
}

#[derive(Clone, Debug)]
struct LowRank {
    a: Linear,
    b: Linear,
    scale: f32,
}

impl Lora {
    pub(crate) fn read(
        from: &Reader,
        inputs: usize,
        outputs: usize,
        alpha: f32,
    ) -> Result<Option<Self>, Error> {
        let low_rank = |name: &str| LowRank::read(&from.at(name), inputs, outputs, alpha);
        if from.rows("q.a").is_none() && from.rows("v.a").is_none() {
            return Ok(None);
        }
        Ok(Some(Self { q: low_rank("q")?, v: low_rank("v")? }))
    }

    /// What is added to the queries of `x`.
    pub(crate) fn q<B: Backend>(&self, b: &B, x: &B::Tensor) -> Output<B> {
        self.q.forward(b, x)
    }

    /// What is added to the values of `x`.
    pub(crate) fn v<B: Backend>(&self, b: &B, x: &B::Tensor) -> Output<B> {
        self.v.forward(b, x)
    }
}

impl Lora {
    /// `qkv` `[B, N, 3 * heads * d]` of tokens `x`, updated.
    pub(crate) fn add_to_packed<B: Backend>(
        &self,
        b: &B,
        x: &B::Tensor,
        qkv: &B::Tensor,
        heads: usize,
        packing: Packing,
    ) -> Output<B> {
        let shape = b.shape(qkv);
        let (batch, tokens, d) = (shape[0], shape[1], shape[2] / (3 * heads));
        let (part, axis) = match packing {
            Packing::ByHead => ([batch, tokens, heads, 1, d], 3),
            Packing::ByPart => ([batch, tokens, 1, heads, d], 2),
        };
        let (q, v) = (b.reshape(&self.q(b, x)?, &part)?, b.reshape(&self.v(b, x)?, &part)?);
        let nothing = Param::new(format!("lora.nothing.{part:?}"), Array::zeros(part));
        let nothing = b.param(&nothing)?;
        b.add(qkv, &b.reshape(&b.concat(&[&q, &nothing, &v], axis)?, &shape)?)
    }
}

impl LowRank {
    fn read(from: &Reader, inputs: usize, outputs: usize, alpha: f32) -> Result<Self, Error> {
        // A missing `a` is reported as missing, with rank 1.
        let rank = from.rows("a").unwrap_or(1);
        let linear = |name: &str, inputs: usize, outputs: usize| -> Result<Linear, Error> {
            let weight = from.param(name, &[outputs, inputs])?;
            Ok(Linear { weight, bias: None, input: LinearInput::Tokens })
        };
        let (a, b) = (linear("a", inputs, rank)?, linear("b", rank, outputs)?);
        Ok(Self { a, b, scale: alpha / rank as f32 })
    }

    fn forward<B: Backend>(&self, b: &B, x: &B::Tensor) -> Output<B> {
        b.affine(&b.linear(&b.linear(x, &self.a)?, &self.b)?, self.scale, 0.0)
    }
}
