//! Sums over the inputs of layers, over many more rows than are kept as samples.

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
    /// Quantization of the input.
    pub input: Int8Input,
    /// Sum of each value of a row.
    sum: Array1<f32>,
    /// Sum of each quantized value of a row, with the zero point subtracted.
    quantized_sum: Array1<f32>,
    /// Sums of the products of any two quantized values of a row; `None` for a depthwise
    /// convolution.
    pub gram: Option<Array2<f32>>,
    /// Number of rows.
    pub rows: usize,
}

impl Moments {
    /// Largest number of rows sampled in each call.
    const OF_CALL: usize = 512;

    /// Chooses the quantization of the input; starts with no rows.
    pub fn new(observed: &Observed) -> Self {
        let width = observed.layer.width();
        let gram = (!observed.layer.is_depthwise()).then(|| Array2::zeros((width, width)));
        let (sum, quantized_sum) = (Array1::zeros(width), Array1::zeros(width));
        Self { input: observed.input(), sum, quantized_sum, gram, rows: 0 }
    }

    /// Adds `rows` of the layer's input.
    pub fn add(&mut self, observed: &Observed, rows: &Array2<f32>) {
        let quantized = observed.quantized(rows, &self.input);
        self.sum += &rows.sum_axis(Axis(0));
        self.quantized_sum += &quantized.sum_axis(Axis(0));
        if let Some(gram) = &mut self.gram {
            general_mat_mul(1.0, &quantized.t(), &quantized, 1.0, gram);
        }
        self.rows += rows.nrows();
    }

    /// Mean of each value of a row.
    pub fn mean(&self) -> Array1<f32> {
        &self.sum / self.rows as f32
    }

    /// Mean of each quantized value of a row, with the zero point subtracted.
    pub fn quantized_mean(&self) -> Array1<f32> {
        &self.quantized_sum / self.rows as f32
    }

    /// A watcher that adds the inputs of the backend's layers to `moments`, by name.
    pub fn watcher(
        layers: Rc<BTreeMap<String, Observed>>,
        moments: Rc<RefCell<BTreeMap<String, Self>>>,
    ) -> Watcher {
        Rc::new(move |layer, x| -> Result<()> {
            let name = layer.weight().name();
            let mut moments = moments.borrow_mut();
            let Some(moments) = moments.get_mut(name) else { return Ok(()) };
            let observed = &layers[name];
            let width = observed.layer.width();
            let values = x.flatten_all()?.to_vec1::<f32>()?;
            let rows = rows(layer, x.dims(), &values, Self::OF_CALL, moments.rows);
            let shape = (rows.len() / width, width);
            let rows = Array2::from_shape_vec(shape, rows).expect("rows are whole");
            moments.add(observed, &rows);
            Ok(())
        })
    }
}
