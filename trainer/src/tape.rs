//! Reverse-mode automatic differentiation over candle's tensors, on any device.
//!
//! Candle's own keeps every map of the forward pass until the end of the backward pass, and fills a
//! map with zeros for every gradient before it adds the first one. It also computes a gradient for
//! each frozen weight and keeps it to the end. Here, an operation keeps only
//! what its gradient needs, and frees it as the backward pass proceeds. Frozen tensors are
//! constants, for which no gradient can be computed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::{DType, Result, Tensor};

use crate::ops;

/// A value, with the operation that computed it if it depends on variables.
#[derive(Clone)]
pub struct Node {
    value: Tensor,
    origin: Option<Rc<Origin>>,
}

struct Origin {
    /// Sequence number, larger than those of all inputs.
    number: u64,
    source: Source,
}

enum Source {
    Variable(String),
    Operation { inputs: Vec<Option<Rc<Origin>>>, backward: Box<Backward> },
}

/// Computes gradients of an operation's inputs from the gradient of its value. Gradients of
/// constants are dropped and should be `None`.
type Backward = dyn Fn(&Tensor) -> Result<Vec<Option<Tensor>>>;

static COUNT: AtomicU64 = AtomicU64::new(0);

impl Origin {
    fn new(source: Source) -> Rc<Self> {
        Rc::new(Self { number: COUNT.fetch_add(1, Ordering::Relaxed), source })
    }
}

impl Node {
    /// A value without gradient.
    pub fn constant(value: Tensor) -> Self {
        Self { value, origin: None }
    }

    /// A variable, whose gradient is stored under `name`.
    pub(crate) fn variable(name: &str, value: Tensor) -> Self {
        let source = Source::Variable(name.to_owned());
        Self { value: value.detach(), origin: Some(Origin::new(source)) }
    }

    /// The value.
    pub fn value(&self) -> &Tensor {
        &self.value
    }

    /// Lengths of the axes.
    pub fn dims(&self) -> &[usize] {
        self.value.dims()
    }

    /// True if the value has a gradient.
    pub(crate) fn varies(&self) -> bool {
        self.origin.is_some()
    }

    /// The same value as a constant.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self::constant(self.value.detach())
    }

    /// The result of an operation with this single input.
    pub(crate) fn then(
        &self,
        value: Tensor,
        backward: impl Fn(&Tensor) -> Result<Tensor> + 'static,
    ) -> Self {
        Self::of(&[self], value, move |grad| Ok(vec![Some(backward(grad)?)]))
    }

    /// The result of an operation with several inputs. If all of them are constants, `backward` is
    /// dropped at once, with everything it owns.
    pub(crate) fn of(
        inputs: &[&Self],
        value: Tensor,
        backward: impl Fn(&Tensor) -> Result<Vec<Option<Tensor>>> + 'static,
    ) -> Self {
        if !inputs.iter().any(|input| input.varies()) {
            return Self::constant(value);
        }
        let inputs = inputs.iter().map(|input| input.origin.clone()).collect();
        let source = Source::Operation { inputs, backward: Box::new(backward) };
        Self { value, origin: Some(Origin::new(source)) }
    }

    /// `len` entries of `axis` from `start`.
    ///
    /// # Errors
    /// The device failed.
    pub fn narrow(&self, axis: usize, start: usize, len: usize) -> Result<Self> {
        let whole = self.value.dim(axis)?;
        let after = whole - start - len;
        let backward = move |grad: &Tensor| grad.pad_with_zeros(axis, start, after);
        Ok(self.then(self.value.narrow(axis, start, len)?, backward))
    }

    /// `before` zeros in front of the entries of `axis`, and `after` behind them.
    ///
    /// # Errors
    /// The device failed.
    pub(crate) fn pad(&self, axis: usize, before: usize, after: usize) -> Result<Self> {
        let length = self.value.dim(axis)?;
        let y = self.value.pad_with_zeros(axis, before, after)?;
        Ok(self.then(y, move |grad| grad.narrow(axis, before, length)))
    }

    /// The parts one after the other along `axis`.
    ///
    /// # Errors
    /// The device failed.
    pub(crate) fn concat(parts: &[&Self], axis: usize) -> Result<Self> {
        let values: Vec<_> = parts.iter().map(|part| part.value()).collect();
        let lengths = values.iter().map(|part| part.dim(axis)).collect::<Result<Vec<_>>>()?;
        let backward = move |grad: &Tensor| {
            let mut start = 0;
            let part = |&length: &usize| {
                start += length;
                grad.narrow(axis, start - length, length).map(Some)
            };
            lengths.iter().map(part).collect()
        };
        Ok(Self::of(parts, Tensor::cat(&values, axis)?, backward))
    }

    /// The same values in another floating-point type.
    ///
    /// # Errors
    /// The device failed.
    pub(crate) fn to_dtype(&self, dtype: DType) -> Result<Self> {
        let before = self.value.dtype();
        if before == dtype {
            return Ok(self.clone());
        }
        Ok(self.then(self.value.to_dtype(dtype)?, move |grad| grad.to_dtype(before)))
    }

    /// `x * scale + shift`.
    ///
    /// # Errors
    /// The device failed.
    pub fn affine(&self, scale: f64, shift: f64) -> Result<Self> {
        Ok(self.then(self.value.affine(scale, shift)?, move |grad| grad.affine(scale, 0.0)))
    }

    /// The same values in another shape.
    ///
    /// # Errors
    /// The device failed.
    pub fn reshape(&self, shape: &[usize]) -> Result<Self> {
        let before = self.dims().to_vec();
        Ok(self.then(self.value.reshape(shape)?, move |grad| grad.reshape(before.as_slice())))
    }

    /// Axes in another order.
    ///
    /// # Errors
    /// The device failed.
    pub fn permute(&self, axes: &[usize]) -> Result<Self> {
        let mut back = vec![0; axes.len()];
        axes.iter().enumerate().for_each(|(to, &from)| back[from] = to);
        Ok(self.then(self.value.permute(axes)?, move |grad| grad.permute(back.as_slice())))
    }

    /// The last two axes in the other order.
    ///
    /// # Errors
    /// The device failed.
    pub(crate) fn transpose_last(&self) -> Result<Self> {
        let mut axes: Vec<usize> = (0..self.dims().len()).collect();
        let last = axes.len() - 1;
        axes.swap(last - 1, last);
        self.permute(&axes)
    }

    /// The same values, row-major in memory.
    ///
    /// # Errors
    /// The device failed.
    pub(crate) fn contiguous(&self) -> Result<Self> {
        if self.value.is_contiguous() {
            return Ok(self.clone());
        }
        Ok(self.then(self.value.contiguous()?, |grad| Ok(grad.clone())))
    }

    /// The sum of all values.
    ///
    /// # Errors
    /// The device failed.
    pub fn sum_all(&self) -> Result<Self> {
        let shape = self.value.shape().clone();
        Ok(self.then(self.value.sum_all()?, move |grad| grad.broadcast_as(&shape)))
    }

    /// The mean of several scalars.
    ///
    /// # Errors
    /// The device failed.
    pub fn mean(scalars: &[Self]) -> Result<Self> {
        let count = scalars.len();
        let values: Vec<_> = scalars.iter().map(Self::value).collect();
        let inputs: Vec<_> = scalars.iter().collect();
        let backward = move |grad: &Tensor| {
            let share = grad.affine(1.0 / count as f64, 0.0)?;
            Ok(vec![Some(share); count])
        };
        Ok(Self::of(&inputs, Tensor::stack(&values, 0)?.mean_all()?, backward))
    }

    /// Gradients of this scalar with respect to the variables it depends on, by name.
    ///
    /// # Errors
    /// The device failed.
    pub fn backward(self) -> Result<BTreeMap<String, Tensor>> {
        let mut of_variables = BTreeMap::new();
        // Sorted by number, so that everything that depends on an operation is processed before it.
        let mut open = BTreeMap::new();
        if let Some(origin) = self.origin {
            open.insert(origin.number, (origin, self.value.ones_like()?));
        }
        while let Some((_, (origin, grad))) = open.pop_last() {
            let (inputs, backward) = match &origin.source {
                Source::Variable(name) => {
                    of_variables.insert(name.clone(), grad);
                    continue;
                }
                Source::Operation { inputs, backward } => (inputs, backward),
            };
            for (input, grad) in inputs.iter().zip(backward(&grad)?) {
                let (Some(input), Some(grad)) = (input, grad) else { continue };
                match open.entry(input.number) {
                    Entry::Vacant(entry) => {
                        entry.insert((input.clone(), grad));
                    }
                    Entry::Occupied(mut entry) => {
                        let (_, sum) = entry.get_mut();
                        *sum = ops::plus(sum, &grad)?;
                    }
                }
            }
        }
        Ok(of_variables)
    }
}
