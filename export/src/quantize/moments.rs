//! What layers are given on average, over many more rows than can be kept.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use candle_core::Result;
use medsa_sam::Int8Input;
use medsa_trainer::Watcher;
use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, Axis};

use super::samples::{Observed, rows};

/// Sums over rows of a layer's input.
pub(super) struct Moments {
    /// How the input becomes steps.
    pub input: Int8Input,
    /// Of each value of a row.
    sum: Array1<f32>,
    /// The same in steps from zero.
    sum_of_steps: Array1<f32>,
    /// Products of any two values in steps; not of a depthwise convolution.
    pub gram: Option<Array2<f32>>,
    /// How many there are.
    pub rows: usize,
}

impl Moments {
    /// Rows that are taken of each call.
    const OF_CALL: usize = 512;

    /// Of no rows yet.
    pub fn new(observed: &Observed) -> Self {
        let width = observed.width();
        let gram = (!observed.is_depthwise()).then(|| Array2::zeros((width, width)));
        let (sum, sum_of_steps) = (Array1::zeros(width), Array1::zeros(width));
        Self { input: observed.input(), sum, sum_of_steps, gram, rows: 0 }
    }

    /// Counts `rows` of the layer in.
    pub fn add(&mut self, observed: &Observed, rows: &Array2<f32>) {
        let steps = observed.steps(rows, &self.input);
        self.sum += &rows.sum_axis(Axis(0));
        self.sum_of_steps += &steps.sum_axis(Axis(0));
        if let Some(gram) = &mut self.gram {
            general_mat_mul(1.0, &steps.t(), &steps, 1.0, gram);
        }
        self.rows += rows.nrows();
    }

    /// Mean of each value of a row.
    pub fn mean(&self) -> Array1<f32> {
        &self.sum / self.rows as f32
    }

    /// The same in steps from zero.
    pub fn mean_steps(&self) -> Array1<f32> {
        &self.sum_of_steps / self.rows as f32
    }

    /// Counts what the backend's layers are given into `moments`, by name.
    pub fn watcher(
        layers: Rc<BTreeMap<String, Observed>>,
        moments: Rc<RefCell<BTreeMap<String, Self>>>,
    ) -> Watcher {
        Rc::new(move |layer, x| -> Result<()> {
            let name = layer.weight().name();
            let mut moments = moments.borrow_mut();
            let Some(moments) = moments.get_mut(name) else { return Ok(()) };
            let observed = &layers[name];
            let values = x.flatten_all()?.to_vec1::<f32>()?;
            let rows = rows(layer, x.dims(), &values, Self::OF_CALL, moments.rows);
            let shape = (rows.len() / observed.width(), observed.width());
            let rows = Array2::from_shape_vec(shape, rows).expect("rows are whole");
            moments.add(observed, &rows);
            Ok(())
        })
    }
}
