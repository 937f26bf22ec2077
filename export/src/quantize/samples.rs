//! What layers are given, a few rows of each call.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use candle_core::{Result, Tensor};
use medsa_sam::layers::{Conv2d, Linear};
use medsa_trainer::{Layer, Watcher};
use ndarray::{Array1, Array2, Ix1};

/// Rows of inputs, by layer.
#[derive(Clone)]
pub struct Samples {
    layers: Rc<RefCell<BTreeMap<String, Observed>>>,
    /// Rows that are kept of each call.
    rows: usize,
}

/// A layer as a matrix, with rows that it was given.
#[derive(Clone, Debug)]
pub struct Observed {
    /// `[out, in]`; of a convolution `[out, in / groups * k * k]`.
    pub weight: Array2<f32>,
    /// `[out]`.
    pub bias: Array1<f32>,
    /// Shape of the weight as it was.
    pub shape: Vec<usize>,
    /// Input channels.
    pub channels: usize,
    /// Rows, `[n, channels * k * k]`, each channel's k * k values together.
    pub rows: Vec<f32>,
}

impl Samples {
    /// Rows that are kept of each layer.
    const MOST: usize = 1536;

    /// One in so many rows is kept because its values go furthest.
    const FAR: usize = 8;

    /// For layers that are called once for each of `frames`; of those that are called more often
    /// the first calls are kept.
    pub fn of(frames: usize) -> Self {
        Self { layers: Rc::default(), rows: (Self::MOST / frames.max(1)).max(32) }
    }

    /// Takes samples of what the backend's layers are given.
    pub fn watcher(&self) -> Watcher {
        let (layers, most) = (self.layers.clone(), self.rows);
        Rc::new(move |layer, x| {
            let mut layers = layers.borrow_mut();
            let name = match layer {
                Layer::Linear(Linear { weight, .. }) | Layer::Conv2d(Conv2d { weight, .. }) => {
                    weight.name()
                }
            };
            if !layers.contains_key(name) {
                layers.insert(name.to_owned(), Observed::new(layer));
            }
            let observed = layers.get_mut(name).expect("it was inserted above");
            observed.take(layer, x, most)
        })
    }

    /// What was seen.
    pub fn into_layers(self) -> BTreeMap<String, Observed> {
        self.layers.take()
    }
}

impl Observed {
    fn new(layer: Layer) -> Self {
        let (weight, bias, channels) = match layer {
            Layer::Linear(layer) => (&layer.weight, &layer.bias, layer.inputs()),
            Layer::Conv2d(layer) => {
                (&layer.weight, &layer.bias, layer.weight.shape()[1] * layer.groups)
            }
        };
        let shape = weight.shape().to_vec();
        let outputs = shape[0];
        let matrix = weight.value().to_owned();
        let matrix = matrix.into_shape_with_order((outputs, weight.value().len() / outputs));
        let matrix: Array2<f32> = matrix.expect("a weight is contiguous");
        let bias = match bias {
            Some(bias) => bias.value().to_owned().into_dimensionality::<Ix1>(),
            None => Ok(Array1::zeros(outputs)),
        };
        let bias = bias.expect("a bias is a vector");
        Self { weight: matrix, bias, shape, channels, rows: Vec::new() }
    }

    /// Values of a row.
    pub fn width(&self) -> usize {
        self.channels * self.shape[2..].iter().product::<usize>()
    }

    /// Rows `[n, width]`.
    pub fn matrix(&self) -> Array2<f32> {
        let width = self.width();
        let matrix = Array2::from_shape_vec((self.rows.len() / width, width), self.rows.clone());
        matrix.expect("rows are whole")
    }

    /// Whether every output channel sees one input channel only.
    pub fn is_depthwise(&self) -> bool {
        self.shape.len() == 4 && self.shape[1] == 1 && self.channels > 1
    }

    fn take(&mut self, layer: Layer, x: &Tensor, most: usize) -> Result<()> {
        let width = self.width();
        let taken = self.rows.len() / width;
        if taken >= Samples::MOST {
            return Ok(());
        }
        match layer {
            Layer::Linear(_) => {
                let rows = x.elem_count() / width;
                let values = x.flatten_all()?.to_vec1::<f32>()?;
                let row = |row: usize| &values[row * width..][..width];
                let reach = |at: usize| row(at).iter().fold(0.0f32, |max, v| max.max(v.abs()));
                let mut far: Vec<(f32, usize)> = (0..rows).map(|at| (reach(at), at)).collect();
                far.sort_by(|a, b| b.0.total_cmp(&a.0));
                let far = far.into_iter().take(most / Samples::FAR).map(|(_, at)| at);
                for at in spread(rows, most - most / Samples::FAR, taken).chain(far) {
                    self.rows.extend(row(at));
                }
            }
            Layer::Conv2d(conv) => {
                let (_, height, columns, channels) = x.dims4()?;
                let kernel = self.shape[2];
                let (out_h, out_w) = (conv.output_side(height), conv.output_side(columns));
                let x = x.get(0)?.contiguous()?;
                for at in spread(out_h * out_w, most, taken) {
                    let (top, left) = (at / out_w * conv.stride, at % out_w * conv.stride);
                    let mut patch = vec![0.0; width];
                    for tap in 0..kernel * kernel {
                        let (y, x_at) = (top + tap / kernel, left + tap % kernel);
                        let (Some(y), Some(x_at)) =
                            (y.checked_sub(conv.padding), x_at.checked_sub(conv.padding))
                        else {
                            continue;
                        };
                        if y >= height || x_at >= columns {
                            continue;
                        }
                        let values = x.get(y)?.get(x_at)?.to_vec1::<f32>()?;
                        for channel in 0..channels {
                            patch[channel * kernel * kernel + tap] = values[channel];
                        }
                    }
                    self.rows.extend(patch);
                }
            }
        }
        Ok(())
    }
}

/// At most `most` of `count` rows, evenly spread, and others at each call.
fn spread(count: usize, most: usize, taken: usize) -> impl Iterator<Item = usize> {
    let rows = count.min(most);
    // An odd stride through the gaps between the evenly spread.
    let shift = taken * 7919 % (count / rows);
    (0..rows).map(move |i| i * count / rows + shift).filter(move |&row| row < count)
}

/// What a linear layer makes of rows.
pub(super) fn product(rows: &Array2<f32>, weight: &Array2<f32>) -> Array2<f32> {
    rows.dot(&weight.t())
}
