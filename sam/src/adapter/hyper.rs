//! HyP-Adpt: an adapter whose bottleneck computes with weights that the prompt generates
//! (Med-SA, section 3.3).

use crate::backend::{Backend, Output};
use crate::block::{Layer, Roles};
use crate::error::Error;
use crate::layers::{LayerNorm, Linear, NO_ATTENTION};
use crate::prompt::label;
use crate::weights::Reader;

/// The prompt as seen by the adapters that are conditioned on it.
pub(crate) struct PromptSummary<'a, T> {
    /// Sparse tokens `[B, N, C]`.
    pub tokens: &'a T,
    /// `[B, N]`, values of [`crate::prompt::label`].
    pub labels: &'a T,
}

/// `e_{k+1} = ReLU(Norm(e_k W_k))` with `W_k = Re(M_k e_prompt)`, for K maps.
///
/// `e_prompt` is one vector per prompt: the mean of `ReLU(reduce token)` over its tokens. The mean
/// accepts any number of clicks, and empty slots do not contribute to it.
#[derive(Clone, Debug)]
pub(crate) struct HyperMaps {
    reduce: Linear,
    maps: Vec<(Linear, LayerNorm)>,
}

impl HyperMaps {
    /// Reads the maps for tokens of `dim` channels and a bottleneck of `length`.
    pub(crate) fn read(from: &Reader, dim: usize, length: usize) -> Result<Option<Self>, Error> {
        let Some(reduced) = from.rows("reduce.weight") else { return Ok(None) };
        let reduce = Linear::read(&from.at("reduce"), dim, reduced)?;
        let maps = (0..)
            .take_while(|k| from.at("maps").at(k).rows("weight").is_some())
            .map(|k| {
                let map = Linear::read(&from.at("maps").at(k), reduced, length * length)?;
                let norm = LayerNorm::read(&from.at("norms").at(k), length, LayerNorm::EPSILON)?;
                Ok((map, norm))
            })
            .collect::<Result<_, _>>()?;
        Ok(Some(Self { reduce, maps }))
    }

    /// Applies the K maps, `[B, N, L]` -> `[B, N, L]`.
    pub(crate) fn forward<B: Backend>(
        &self,
        b: &B,
        x: &B::Tensor,
        prompt: &PromptSummary<B::Tensor>,
    ) -> Output<B> {
        let [batch, _, length] = b.shape(x)[..] else { unreachable!("tokens have three axes") };
        let reduced = b.relu(&b.linear(prompt.tokens, &self.reduce)?)?;
        let prompt = b.matmul(&token_weights(b, prompt.labels)?, &reduced)?;
        let mut x = x.clone();
        for (map, norm) in &self.maps {
            let weight = b.reshape(&b.linear(&prompt, map)?, &[batch, length, length])?;
            x = b.relu(&b.layer_norm(&b.matmul(&x, &weight)?, norm)?)?;
        }
        Ok(x)
    }
}

impl HyperMaps {
    /// Number of maps, K.
    pub(crate) fn count(&self) -> usize {
        self.maps.len()
    }
}

impl Roles for HyperMaps {
    fn roles<'a>(&'a self, add: &mut dyn FnMut(String, Layer<'a>)) {
        add("reduce".into(), (&self.reduce).into());
        for (number, (map, norm)) in self.maps.iter().enumerate() {
            add(format!("maps.{number}"), map.into());
            add(format!("norms.{number}"), norm.into());
        }
    }
}

/// Weights of the mean over the tokens that mark a position, `[B, 1, N]`.
fn token_weights<B: Backend>(b: &B, labels: &B::Tensor) -> Output<B> {
    let [batch, slots] = b.shape(labels)[..] else { unreachable!("labels have two axes") };
    let is = |value: f32| b.indicator(labels, value);
    let placeless = b.add(&is(label::NOT_A_POINT)?, &is(label::UNUSED)?)?;
    let weights = b.softmax(&b.affine(&placeless, NO_ATTENTION, 0.0)?)?;
    b.reshape(&weights, &[batch, 1, slots])
}
