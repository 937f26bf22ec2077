//! Weights by name: a checkpoint, and a reader that gives each tensor to exactly one layer.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use ndarray::{ArcArray, Array, ArrayD, Dimension, IxDyn};

use crate::error::Error;

/// A checkpoint: f32 values by name.
pub type Weights = BTreeMap<String, ArcArray<f32, IxDyn>>;

/// A named weight or constant of the network. Cloning shares the values.
#[derive(Clone, Debug)]
pub struct Param {
    name: Arc<str>,
    value: ArcArray<f32, IxDyn>,
}

impl Param {
    /// A parameter, or a constant computed from weights. `name` must be unique in the network.
    pub fn new<D: Dimension>(name: impl Into<Arc<str>>, value: Array<f32, D>) -> Self {
        // Files and runtimes use standard layout, whatever layout the computation left.
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

/// Layers whose weights can be trained themselves, without adapters.
pub(crate) trait VisitParams {
    /// Calls `f` for every weight. `f` must keep names and shapes.
    fn visit(&mut self, f: &mut dyn FnMut(&mut Param));
}

/// Named constant indices. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Indices {
    /// Name, unique for these values, so that equal indices are stored once.
    pub name: Arc<str>,
    /// The indices.
    pub values: Arc<[u32]>,
}

/// Reader of a checkpoint. Every requested tensor must exist with the expected shape, and in the
/// end every tensor must have been requested.
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

    /// Reader of a part, selected by the next component of the name.
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

    /// Values of the tensor `name` of this part, for layers that compute their weights from them.
    ///
    /// # Errors
    /// Same as [`Reader::param`].
    pub fn array(&self, name: &str, expected: &[usize]) -> Result<ArrayD<f32>, Error> {
        Ok(self.param(name, expected)?.value.into_owned())
    }

    /// Length of the first axis of a tensor of this part; `None` if the tensor is missing.
    pub fn rows(&self, name: &str) -> Option<usize> {
        self.weights.get(&self.name(name)).and_then(|value| value.shape().first().copied())
    }

    /// Replaces a parameter by the tensor of the same name, if the file has one.
    ///
    /// # Errors
    /// Same as [`Reader::param`].
    pub(crate) fn replace(&self, param: &mut Param) -> Result<(), Error> {
        if self.weights.contains_key(&self.name(param.name())) {
            *param = self.param(&param.name.clone(), param.shape())?;
        }
        Ok(())
    }

    /// Accepts a tensor that frameworks save but the network does not use.
    pub fn ignore(&self, name: &str) {
        self.taken.borrow_mut().insert(self.name(name));
    }

    /// Checks that every tensor was used.
    ///
    /// # Errors
    /// [`Error::ExtraTensors`] if the checkpoint holds a tensor that no layer requested.
    pub fn finish(self) -> Result<(), Error> {
        let taken = self.taken.borrow();
        let extra = self.weights.iter().filter(|(name, _)| !taken.contains(*name));
        let names: Vec<_> =
            extra.map(|(name, value)| format!("{name} {:?}", value.shape())).collect();
        if names.is_empty() { Ok(()) } else { Err(Error::ExtraTensors { names }) }
    }
}
