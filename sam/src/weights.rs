//! Weights by name: a checkpoint as read from a file, and the reader that hands each tensor to
//! the layer that owns it, exactly once.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use ndarray::{ArcArray, Array, ArrayD, Dimension, IxDyn};

use crate::error::Error;

/// A checkpoint: names and f32 values.
pub type Weights = BTreeMap<String, ArcArray<f32, IxDyn>>;

/// A named weight or constant of the network. Cloning shares the values.
#[derive(Clone, Debug)]
pub struct Param {
    name: Arc<str>,
    value: ArcArray<f32, IxDyn>,
}

impl Param {
    /// A constant that the network computed from its weights; `name` must be unique in it.
    pub fn new<D: Dimension>(name: impl Into<Arc<str>>, value: Array<f32, D>) -> Self {
        // As files and runtimes have it, whatever order the computation left.
        let value = value.as_standard_layout().into_owned();
        Self { name: name.into(), value: value.into_dyn().into_shared() }
    }

    /// Unique name in the network.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The values.
    pub fn value(&self) -> &ArcArray<f32, IxDyn> {
        &self.value
    }

    /// The shape.
    pub fn shape(&self) -> &[usize] {
        self.value.shape()
    }
}

/// Layers whose weights can be trained in place of adapters.
pub(crate) trait VisitParams {
    /// Hands over every weight; its name and shape must stay.
    fn visit(&mut self, f: &mut dyn FnMut(&mut Param));
}

/// Named constant indices. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Indices {
    /// Unique for these values, so that equal ones are stored once.
    pub name: Arc<str>,
    /// The indices.
    pub values: Arc<[u32]>,
}

/// Reads a checkpoint: every tensor that is asked for must be there in the expected shape, and
/// at the end every tensor must have been asked for.
pub struct Reader<'a> {
    weights: &'a Weights,
    taken: Rc<RefCell<BTreeSet<String>>>,
    prefix: String,
}

impl<'a> Reader<'a> {
    /// A reader of the whole checkpoint.
    pub fn new(weights: &'a Weights) -> Self {
        Self { weights, taken: Rc::default(), prefix: String::new() }
    }

    /// The reader of a part, by the next step of the name.
    pub fn at(&self, part: impl std::fmt::Display) -> Self {
        let prefix = self.name(&part.to_string());
        Self { weights: self.weights, taken: self.taken.clone(), prefix }
    }

    /// Full name of a tensor of this part.
    pub fn name(&self, tensor: &str) -> String {
        if self.prefix.is_empty() { tensor.to_owned() } else { format!("{}.{tensor}", self.prefix) }
    }

    /// The tensor `name` of this part.
    ///
    /// # Errors
    /// [`Error::MissingTensor`], [`Error::TensorShape`] or [`Error::TensorValues`].
    pub fn param(&self, name: &str, expected: &[usize]) -> Result<Param, Error> {
        let name = self.name(name);
        let Some(value) = self.weights.get(&name) else {
            return Err(Error::MissingTensor { name, expected: expected.to_vec() });
        };
        if value.shape() != expected {
            let (found, expected) = (value.shape().to_vec(), expected.to_vec());
            return Err(Error::TensorShape { name, found, expected });
        }
        if value.is_empty() || value.iter().any(|v| !v.is_finite()) {
            return Err(Error::TensorValues { name });
        }
        self.taken.borrow_mut().insert(name.clone());
        Ok(Param { name: name.into(), value: value.clone() })
    }

    /// The values of the tensor `name` of this part, for layers that compute from them.
    ///
    /// # Errors
    /// As [`Reader::param`].
    pub fn array(&self, name: &str, expected: &[usize]) -> Result<ArrayD<f32>, Error> {
        Ok(self.param(name, expected)?.value.into_owned())
    }

    /// Length of the first axis of a tensor of this part, if it is there.
    pub fn rows(&self, name: &str) -> Option<usize> {
        self.weights.get(&self.name(name)).and_then(|value| value.shape().first().copied())
    }

    /// Puts the tensor of a parameter's name, if there is one, in its place.
    ///
    /// # Errors
    /// As [`Reader::param`].
    pub(crate) fn replace(&self, param: &mut Param) -> Result<(), Error> {
        if self.weights.contains_key(&self.name(param.name())) {
            *param = self.param(&param.name.clone(), param.shape())?;
        }
        Ok(())
    }

    /// Accepts a tensor that frameworks save and networks do not need.
    pub fn ignore(&self, name: &str) {
        self.taken.borrow_mut().insert(self.name(name));
    }

    /// # Errors
    /// [`Error::ExtraTensors`] if the checkpoint holds anything that no layer asked for.
    pub fn finish(self) -> Result<(), Error> {
        let taken = self.taken.borrow();
        let extra = self.weights.iter().filter(|(name, _)| !taken.contains(*name));
        let names: Vec<_> =
            extra.map(|(name, value)| format!("{name} {:?}", value.shape())).collect();
        if names.is_empty() { Ok(()) } else { Err(Error::ExtraTensors { names }) }
    }
}
