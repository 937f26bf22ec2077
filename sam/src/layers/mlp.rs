//! Linear layers with an activation between them.

use crate::backend::{Backend, Output};
use crate::block::{Layer, Roles};
use crate::layers::linear::{Activation, Linear};
use crate::weights::{Param, VisitParams};

impl Activation {
    pub(crate) fn forward<B: Backend>(self, b: &B, x: &B::Tensor) -> Output<B> {
        match self {
            Self::Gelu => b.gelu(x),
            Self::Relu => b.relu(x),
        }
    }
}

/// Linear layers with an activation between them (none after the last).
#[derive(Clone, Debug)]
pub(crate) struct Mlp {
    layers: Vec<Linear>,
    activation: Activation,
}

impl Mlp {
    pub(crate) fn new(layers: Vec<Linear>, activation: Activation) -> Self {
        Self { layers, activation }
    }

    /// True if hidden values with `activation` can be added to its hidden layer.
    pub(crate) fn can_widen(&self, activation: Activation) -> bool {
        self.layers.len() == 2 && self.activation == activation
    }

    /// Adds `factor` times another MLP with the same activation, as additional hidden values.
    pub(crate) fn widen(&mut self, down: &Linear, up: &Linear, factor: f32) {
        self.layers[0] = self.layers[0].stacked(down);
        self.layers[1] = self.layers[1].plus(up, factor);
    }

    /// Layer fed directly by the input.
    pub(crate) fn first_mut(&mut self) -> &mut Linear {
        &mut self.layers[0]
    }

    pub(crate) fn forward<B: Backend>(&self, b: &B, x: &B::Tensor) -> Output<B> {
        let mut x = x.clone();
        for (i, layer) in self.layers.iter().enumerate() {
            if i > 0 {
                x = self.activation.forward(b, &x)?;
            }
            x = b.linear(&x, layer)?;
        }
        Ok(x)
    }
}

impl Roles for Mlp {
    fn roles<'a>(&'a self, add: &mut dyn FnMut(String, Layer<'a>)) {
        for (number, layer) in (1..).zip(&self.layers) {
            add(format!("layer{number}"), layer.into());
        }
    }
}

impl VisitParams for Mlp {
    fn visit(&mut self, f: &mut dyn FnMut(&mut Param)) {
        self.layers.iter_mut().for_each(|layer| layer.visit(f));
    }
}
