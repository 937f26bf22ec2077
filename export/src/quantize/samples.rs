//! Samples of the inputs of layers: a few rows of each call.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use candle_core::{Result, Tensor};
use medsa_trainer::{Layer, Watcher};
use ndarray::Array2;

use super::layer::FloatLayer;

/// Sampled rows of inputs, by layer.
#[derive(Clone)]
pub struct Samples {
    layers: Rc<RefCell<BTreeMap<String, Observed>>>,
    /// Largest number of rows kept of each of the first calls.
    rows: usize,
}

/// A layer with sampled rows of its input.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The layer in float.
    pub layer: FloatLayer,
    /// Sampled rows, `[n, channels * k * k]`, with the k * k values of a channel together.
    pub rows: Vec<f32>,
    /// Largest number of rows kept of each call.
    pub of_call: usize,
    /// The most extreme values of each channel, over all rows.
    pub tails: Vec<Tails>,
    /// Number of values of each channel, over all rows.
    pub seen: usize,
}

/// The lowest and the highest values of a channel, sorted.
#[derive(Clone, Debug, Default)]
pub struct Tails {
    /// Lowest values, ascending.
    pub low: Vec<f32>,
    /// Highest values, descending.
    pub high: Vec<f32>,
}

impl Samples {
    /// Wanted number of rows per layer; at most twice as many are kept.
    const ENOUGH: usize = 1536;

    /// Samples for `frames` calibration frames.
    pub fn of(frames: usize) -> Self {
        Self { layers: Rc::default(), rows: Self::ENOUGH.div_ceil(frames) }
    }

    /// A watcher that samples the inputs of the backend's layers.
    pub fn watcher(&self) -> Watcher {
        let (layers, most) = (self.layers.clone(), self.rows);
        Rc::new(move |layer, x| {
            let mut layers = layers.borrow_mut();
            let name = layer.weight().name();
            if !layers.contains_key(name) {
                layers.insert(name.to_owned(), Observed::new(layer, most));
            }
            let observed = layers.get_mut(name).expect("it was inserted above");
            observed.take(layer, x)
        })
    }

    /// The sampled layers, by name.
    pub fn into_layers(self) -> BTreeMap<String, Observed> {
        self.layers.take()
    }
}

impl Observed {
    fn new(layer: Layer, of_call: usize) -> Self {
        let layer = FloatLayer::new(layer);
        let tails = vec![Tails::default(); layer.channels];
        Self { layer, rows: Vec::new(), of_call, tails, seen: 0 }
    }

    /// Sampled rows, `[n, width]`.
    pub fn matrix(&self) -> Array2<f32> {
        let width = self.layer.width();
        let matrix = Array2::from_shape_vec((self.rows.len() / width, width), self.rows.clone());
        matrix.expect("rows are whole")
    }

    fn take(&mut self, layer: Layer, x: &Tensor) -> Result<()> {
        let width = self.layer.width();
        let values = x.flatten_all()?.to_vec1::<f32>()?;
        self.seen += values.len() / self.layer.channels;
        for row in values.chunks_exact(self.layer.channels) {
            self.tails.iter_mut().zip(row).for_each(|(tails, v)| tails.see(*v));
        }
        let taken = self.rows.len() / width;
        self.rows.extend(rows(layer, x.dims(), &values, self.of_call, taken));
        if self.rows.len() / width >= 2 * Samples::ENOUGH {
            // A layer that is called more often keeps every second row, and fewer per call from now
            // on.
            let every_second = self.rows.chunks_exact(width).step_by(2);
            self.rows = every_second.collect::<Vec<_>>().concat();
            self.of_call = self.of_call.div_ceil(2);
        }
        Ok(())
    }
}

impl Tails {
    const KEPT: usize = 8;

    pub(super) fn see(&mut self, value: f32) {
        let is_full = self.low.len() == Self::KEPT;
        if !is_full || value < self.low[Self::KEPT - 1] {
            let at = self.low.partition_point(|v| *v <= value);
            self.low.insert(at, value);
            self.low.truncate(Self::KEPT);
        }
        if !is_full || value > self.high[Self::KEPT - 1] {
            let at = self.high.partition_point(|v| *v >= value);
            self.high.insert(at, value);
            self.high.truncate(Self::KEPT);
        }
    }
}

/// Samples at most `most` rows of a layer's input `values` with the shape `dims`. The rows of a
/// convolution are patches, with the k * k values of a channel together. Each `shift` samples
/// different rows.
pub(super) fn rows(
    layer: Layer,
    dims: &[usize],
    values: &[f32],
    most: usize,
    shift: usize,
) -> Vec<f32> {
    let channels = dims[dims.len() - 1];
    match layer {
        Layer::Linear(_) => spread(values.len() / channels, most, shift)
            .flat_map(|at| &values[at * channels..][..channels])
            .copied()
            .collect(),
        Layer::Conv2d(conv) => {
            let (height, width) = (dims[1], dims[2]);
            let kernel = conv.weight.shape()[2];
            let (out_h, out_w) = (conv.output_side(height), conv.output_side(width));
            let patch = |at: usize| {
                let (top, left) = (at / out_w * conv.stride, at % out_w * conv.stride);
                let mut patch = vec![0.0; channels * kernel * kernel];
                for tap in 0..kernel * kernel {
                    // A negative position wraps around and is outside, too.
                    let y = (top + tap / kernel).wrapping_sub(conv.padding);
                    let x = (left + tap % kernel).wrapping_sub(conv.padding);
                    if y >= height || x >= width {
                        continue;
                    }
                    let values = &values[(y * width + x) * channels..][..channels];
                    for (channel, value) in values.iter().enumerate() {
                        patch[channel * kernel * kernel + tap] = *value;
                    }
                }
                patch
            };
            spread(out_h * out_w, most, shift).flat_map(patch).collect()
        }
    }
}

/// At most `most` evenly spread indices below `count`; each `shift` gives different ones.
fn spread(count: usize, most: usize, shift: usize) -> impl Iterator<Item = usize> {
    let rows = count.min(most);
    // An odd stride moves the indices through the gaps between them.
    let shift = shift * 7919 % (count / rows);
    (0..rows).map(move |i| i * count / rows + shift).filter(move |&row| row < count)
}

/// Output of a linear layer for `rows`, without its bias.
pub(super) fn product(rows: &Array2<f32>, weight: &Array2<f32>) -> Array2<f32> {
    rows.dot(&weight.t())
}
