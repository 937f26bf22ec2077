//! Cost of a network, found with a backend that counts operations instead of computing them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::convert::Infallible;

use crate::backend::{Backend, Output, broadcast};
use crate::decoder::PromptInput;
use crate::layers::{Conv2d, LayerNorm, Linear};
use crate::model::Sam;
use crate::prompt::TOKEN_SLOTS;
use crate::weights::{Indices, Param};

/// Cost of one part of a network for one frame or prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Number of weight values.
    pub parameters: usize,
    /// Multiply-accumulates of matrix products and convolutions.
    pub macs: u64,
    /// Number of matrix products and convolutions.
    pub products: usize,
}

impl Sam {
    /// Cost of the image encoder for one frame, and of the decoder for one prompt without a mask.
    /// The number of points does not matter.
    pub fn cost(&self) -> [Cost; 2] {
        self.counted().map(|counter| counter.cost())
    }

    /// Multiply-accumulates of encoder and decoder for one frame and one prompt, by name. Layers
    /// have the name of their weight, attentions that of [`Scores`](crate::backend::Scores); the
    /// remaining operations are summed under the empty name.
    pub fn macs_by_name(&self) -> BTreeMap<String, u64> {
        let mut all = BTreeMap::new();
        for counter in self.counted() {
            for (name, macs) in counter.macs.take() {
                *all.entry(name).or_default() += macs;
            }
        }
        all
    }

    fn counted(&self) -> [Counter; 2] {
        let config = self.config();
        let (side, grid) = (config.preprocess.input_size, config.grid());
        let encoder = Counter::default();
        let Ok(_) = self.encode(&encoder, &vec![1, 3, side, side]);
        let decoder = Counter::default();
        let prompt = PromptInput {
            coords: vec![1, TOKEN_SLOTS, 2],
            labels: vec![1, TOKEN_SLOTS],
            mask: None,
        };
        let Ok(_) = self.decode(&decoder, &vec![1, config.decoder.dim, grid, grid], &prompt);
        [encoder, decoder]
    }
}

/// A backend whose tensors are only shapes.
#[derive(Default)]
struct Counter {
    parameters: RefCell<BTreeMap<String, usize>>,
    macs: RefCell<BTreeMap<String, u64>>,
    products: Cell<usize>,
}

type Shape = Result<Vec<usize>, Infallible>;

impl Counter {
    fn cost(&self) -> Cost {
        let parameters = self.parameters.borrow().values().sum();
        Cost { parameters, macs: self.macs.borrow().values().sum(), products: self.products.get() }
    }

    fn product(&self, name: &str, outputs: &[usize], inner: usize) {
        let outputs: usize = outputs.iter().product();
        *self.macs.borrow_mut().entry(name.to_owned()).or_default() += (outputs * inner) as u64;
        self.products.set(self.products.get() + 1);
    }

    fn uses<'a>(&self, params: impl IntoIterator<Item = &'a Param>) {
        let mut known = self.parameters.borrow_mut();
        for param in params {
            known.insert(param.name().to_owned(), param.value().len());
        }
    }
}

impl Backend for Counter {
    type Tensor = Vec<usize>;
    type Error = Infallible;

    fn param(&self, param: &Param) -> Output<Self> {
        self.uses([param]);
        Ok(param.shape().to_vec())
    }

    fn shape(&self, x: &Vec<usize>) -> Vec<usize> {
        x.clone()
    }

    fn linear(&self, x: &Vec<usize>, layer: &Linear) -> Shape {
        self.uses([&layer.weight].into_iter().chain(&layer.bias));
        let mut y = x.clone();
        *y.last_mut().expect("tensors have axes") = layer.outputs();
        self.product(layer.weight.name(), &y, layer.inputs());
        Ok(y)
    }

    fn conv2d(&self, x: &Vec<usize>, layer: &Conv2d) -> Shape {
        self.uses([&layer.weight].into_iter().chain(&layer.bias));
        let weight = layer.weight.shape();
        let y = vec![x[0], layer.output_side(x[1]), layer.output_side(x[2]), weight[0]];
        self.product(layer.weight.name(), &y, weight[1] * weight[2] * weight[3]);
        Ok(y)
    }

    fn layer_norm(&self, x: &Vec<usize>, layer: &LayerNorm) -> Shape {
        self.uses([&layer.gamma, &layer.beta]);
        Ok(x.clone())
    }

    fn matmul(&self, a: &Vec<usize>, b: &Vec<usize>) -> Shape {
        self.attention_product("", a, b)
    }

    fn attention_product(&self, name: &str, a: &Vec<usize>, b: &Vec<usize>) -> Shape {
        let (rows, inner) = (a[a.len() - 2], a[a.len() - 1]);
        let mut y = broadcast(&a[..a.len() - 2], &b[..b.len() - 2]);
        y.extend([rows, b[b.len() - 1]]);
        self.product(name, &y, inner);
        Ok(y)
    }

    fn softmax(&self, x: &Vec<usize>) -> Shape {
        Ok(x.clone())
    }

    fn gelu(&self, x: &Vec<usize>) -> Shape {
        Ok(x.clone())
    }

    fn relu(&self, x: &Vec<usize>) -> Shape {
        Ok(x.clone())
    }

    fn sin(&self, x: &Vec<usize>) -> Shape {
        Ok(x.clone())
    }

    fn cos(&self, x: &Vec<usize>) -> Shape {
        Ok(x.clone())
    }

    fn indicator(&self, x: &Vec<usize>, _: f32) -> Shape {
        Ok(x.clone())
    }

    fn add(&self, a: &Vec<usize>, b: &Vec<usize>) -> Shape {
        Ok(broadcast(a, b))
    }

    fn mul(&self, a: &Vec<usize>, b: &Vec<usize>) -> Shape {
        Ok(broadcast(a, b))
    }

    fn affine(&self, x: &Vec<usize>, _: f32, _: f32) -> Shape {
        Ok(x.clone())
    }

    fn reshape(&self, _: &Vec<usize>, shape: &[usize]) -> Shape {
        Ok(shape.to_vec())
    }

    fn permute(&self, x: &Vec<usize>, axes: &[usize]) -> Shape {
        Ok(axes.iter().map(|&axis| x[axis]).collect())
    }

    fn pad_end(&self, x: &Vec<usize>, axis: usize, count: usize) -> Shape {
        let mut y = x.clone();
        y[axis] += count;
        Ok(y)
    }

    fn narrow(&self, x: &Vec<usize>, axis: usize, _: usize, len: usize) -> Shape {
        let mut y = x.clone();
        y[axis] = len;
        Ok(y)
    }

    fn take(&self, x: &Vec<usize>, indices: &Indices) -> Shape {
        let mut y = x.clone();
        *y.last_mut().expect("tensors have axes") = indices.values.len();
        Ok(y)
    }

    fn concat(&self, parts: &[&Vec<usize>], axis: usize) -> Shape {
        let mut y = parts[0].clone();
        y[axis] = parts.iter().map(|part| part[axis]).sum();
        Ok(y)
    }
}
