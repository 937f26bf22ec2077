//! Low-rank updates of an attention's query and value projections (Hu et al., 2022).

use ndarray::{Array, Array2};

use crate::backend::{Backend, Output};
use crate::block::{Layer, Roles};
use crate::error::Error;
use crate::layers::{Linear, LinearInput, Packing};
use crate::weights::{Param, Reader};

/// LoRA of queries and values: `(alpha / r) B A x` for each.
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

    /// Update of the queries of `x`.
    pub(crate) fn q<B: Backend>(&self, b: &B, x: &B::Tensor) -> Output<B> {
        self.q.forward(b, x)
    }

    /// Update of the values of `x`.
    pub(crate) fn v<B: Backend>(&self, b: &B, x: &B::Tensor) -> Output<B> {
        self.v.forward(b, x)
    }
}

impl Lora {
    /// Adds the updates to `qkv` `[B, N, 3 * heads * d]`, the packed projection of the tokens `x`.
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

impl Lora {
    /// Packed projection `[3 * heads * d, in]` with the updates merged into its weight.
    pub(crate) fn merged(&self, qkv: &Linear, heads: usize, packing: Packing) -> Linear {
        let d = qkv.outputs() / (3 * heads);
        let (mut weight, bias) = (qkv.weight_array(), qkv.bias_array());
        for (part, update) in [(0, self.q.update()), (2, self.v.update())] {
            for (row, update) in packing.channels(part, heads, d).zip(update.rows()) {
                let mut row = weight.row_mut(row);
                row += &update;
            }
        }
        qkv.with(weight, bias)
    }

    /// Separate projections of queries and values with the updates merged into their weights.
    pub(crate) fn merged_apart(&self, q: &Linear, v: &Linear) -> [Linear; 2] {
        let merged = |linear: &Linear, part: &LowRank| {
            linear.with(linear.weight_array() + part.update(), linear.bias_array())
        };
        [merged(q, &self.q), merged(v, &self.v)]
    }

    /// Layers fed directly by the input.
    pub(crate) fn first_mut(&mut self) -> [&mut Linear; 2] {
        [&mut self.q.a, &mut self.v.a]
    }

    /// Multiplies the update of the queries by `factor`.
    pub(crate) fn scale_queries(&mut self, factor: f32) {
        self.q.scale *= factor;
    }
}

impl Roles for Lora {
    fn roles<'a>(&'a self, add: &mut dyn FnMut(String, Layer<'a>)) {
        for (name, part) in [("q", &self.q), ("v", &self.v)] {
            add(format!("{name}.a"), (&part.a).into());
            add(format!("{name}.b"), (&part.b).into());
        }
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

    /// Update of the projection's weight, `[out, in]`.
    fn update(&self) -> Array2<f32> {
        self.b.weight_array().dot(&self.a.weight_array()) * self.scale
    }

    fn forward<B: Backend>(&self, b: &B, x: &B::Tensor) -> Output<B> {
        b.affine(&b.linear(&b.linear(x, &self.a)?, &self.b)?, self.scale, 0.0)
    }
}
