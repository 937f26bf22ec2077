//! Calibration of one layer to the inputs observed on frames.

use std::iter;

use medsa_sam::{Int8Input, Int8Layer, S8_MAX, S8_TINY, round_ties_even};
use ndarray::{Array1, Array2, Axis, s};

use super::moments::Moments;
use super::rounding::{compensated, nearest, scales};
use super::samples::{Observed, Tails, product};

/// Number of values of a channel after which its observed range needs no margin.
const ENOUGH_VALUES: f32 = 1e5;

/// Range of a channel's values.
#[derive(Clone, Copy)]
struct Range {
    low: f32,
    high: f32,
}

impl Observed {
    /// The quantization of the input that changes the output on the sampled rows least.
    pub(super) fn input(&self) -> Int8Input {
        let rows = self.matrix();
        let ranges: Vec<Range> = (0..self.layer.channels).map(|c| self.range(&rows, c)).collect();
        let candidates = if self.layer.shape.len() == 4 {
            shared_zero_points(&ranges)
        } else {
            own_zero_points(&ranges)
        };
        let product = |rows: &Array2<f32>, weight: &Array2<f32>| match self.layer.is_depthwise() {
            true => self.depthwise_product(rows, weight),
            false => product(rows, weight),
        };
        // Compensated rounding leaves about this part of the error of rounding each weight to the
        // nearest value.
        let remaining = if self.layer.is_depthwise() { 1.0 } else { 0.2 };
        let exact = product(&rows, &self.layer.weight);
        let error = |input: &Int8Input| {
            let (quantized, weight) =
                (self.quantized(&rows, input), self.layer.scaled_weight(input));
            let scale = scales(&weight);
            let off = floats(&nearest(&weight, &scale), &scale) - &weight;
            squares(&(product(&quantized, &weight) - &exact))
                + remaining * squares(&product(&quantized, &off))
        };
        let errors = candidates.iter().map(error).collect::<Vec<_>>();
        let least = (0..candidates.len()).min_by(|&a, &b| errors[a].total_cmp(&errors[b]));
        candidates[least.expect("there are several candidates")].clone()
    }

    /// Quantizes the layer to int8 for inputs with these `moments`.
    pub(super) fn fit(&self, moments: &Moments) -> Int8Layer {
        let weight = self.layer.scaled_weight(&moments.input);
        let scale = scales(&weight);
        let values = match &moments.gram {
            Some(gram) => compensated(&weight, &scale, gram, moments.rows),
            None => nearest(&weight, &scale),
        };
        // The bias corrects the mean error.
        let of_mean = |mean: &Array1<f32>, weight: &Array2<f32>| {
            let mean = mean.view().insert_axis(Axis(0)).to_owned();
            let product = if self.layer.is_depthwise() {
                self.depthwise_product(&mean, weight)
            } else {
                product(&mean, weight)
            };
            product.index_axis_move(Axis(0), 0)
        };
        let exact = of_mean(&moments.mean(), &self.layer.weight);
        let off = exact - of_mean(&moments.quantized_mean(), &floats(&values, &scale));
        let weight = values.mapv(|v| v as i8).into_shape_with_order(self.layer.shape.clone());
        let weight = weight.expect("as many values as before");
        Int8Layer { weight, scale, bias: &self.layer.bias + &off, input: moments.input.clone() }
    }

    /// Quantized rows, with the zero point subtracted.
    pub(super) fn quantized(&self, rows: &Array2<f32>, input: &Int8Input) -> Array2<f32> {
        let taps = self.layer.taps();
        let of_value = |of_channel: &Array1<f32>| -> Vec<f32> {
            of_channel.iter().flat_map(|value| iter::repeat_n(*value, taps)).collect()
        };
        let (scales, zero_points) = (of_value(&input.scale), of_value(&input.zero_point));
        let mut quantized = rows.clone();
        for mut row in quantized.outer_iter_mut() {
            for ((value, scale), zero_point) in row.iter_mut().zip(&scales).zip(&zero_points) {
                let rounded = round_ties_even(*value / scale) + zero_point;
                *value = rounded.clamp(-S8_MAX, S8_MAX) - zero_point;
            }
        }
        quantized
    }

    /// Output of a depthwise convolution for the patches `rows`.
    fn depthwise_product(&self, rows: &Array2<f32>, weight: &Array2<f32>) -> Array2<f32> {
        let taps = self.layer.taps();
        let mut product = Array2::zeros((rows.nrows(), self.layer.channels));
        for (row, mut out) in rows.outer_iter().zip(product.outer_iter_mut()) {
            let row = row.to_slice().expect("rows are contiguous");
            for ((patch, weight), out) in
                row.chunks_exact(taps).zip(weight.outer_iter()).zip(&mut out)
            {
                *out = patch.iter().zip(weight).map(|(value, weight)| value * weight).sum();
            }
        }
        product
    }

    /// Range of a channel. A few outliers are clamped if that reduces the total rounding error.
    fn range(&self, rows: &Array2<f32>, channel: usize) -> Range {
        let taps = self.layer.taps();
        let columns = rows.slice(s![.., channel * taps..(channel + 1) * taps]);
        let values: Vec<f32> = columns.iter().copied().collect();
        let Tails { low, high } = &self.tails[channel];
        let part = |i: usize| {
            let part = 1.0 - 0.05 * i as f32;
            Range { low: low[0].min(0.0) * part, high: high[0].max(0.0) * part }
        };
        // The samples represent all values except the most extreme ones, which are all known.
        let share = self.seen as f32 / (rows.nrows() * taps) as f32;
        let error = |range: Range| -> f32 {
            let scale = range.scale();
            let off = |v: f32| {
                let quantized =
                    round_ties_even((v.clamp(range.low, range.high) - range.low) / scale);
                (v - (quantized * scale + range.low)).powi(2)
            };
            share * sum(&values, off) + low.iter().chain(high).map(|v| off(*v)).sum::<f32>()
        };
        let best = (0..12).map(part).min_by(|&a, &b| error(a).total_cmp(&error(b)));
        let Range { low, high } = best.expect("there are candidates");
        // Few values do not show the full range. The most extreme of n values of a normal
        // distribution is about sqrt(2 ln n) standard deviations from the mean.
        let margin = (ENOUGH_VALUES.ln() / (self.seen.max(2) as f32).ln()).sqrt().max(1.0);
        Range { low: low * margin, high: high * margin }
    }
}

impl Range {
    /// The smallest scale that covers the range.
    fn scale(self) -> f32 {
        (self.high - self.low).max(S8_TINY) / (2.0 * S8_MAX)
    }
}

/// Candidate quantizations with a zero point per channel. They range from one scale for all
/// channels to the smallest scale of each channel: what the input gains in precision, the weights
/// lose.
fn own_zero_points(ranges: &[Range]) -> Vec<Int8Input> {
    let widest = widest(ranges);
    let candidate = |alpha: f32| {
        // A channel that is nearly always zero gets at least a thousandth of the widest scale.
        let scale = |range: &Range| widest * (range.scale() / widest).max(1e-3).powf(alpha);
        // Adding 0 makes -0 a 0.
        let middle =
            |range: &Range| -((range.low + range.high) / (2.0 * scale(range))).round() + 0.0;
        Int8Input {
            scale: ranges.iter().map(scale).collect(),
            zero_point: ranges.iter().map(middle).collect(),
        }
    };
    [0.0, 0.25, 0.5, 0.75, 1.0].map(candidate).into()
}

/// Candidate quantizations with one zero point for all channels.
fn shared_zero_points(ranges: &[Range]) -> Vec<Int8Input> {
    let mut candidates = Vec::new();
    for zero_point in [0.0f32, -32.0, -64.0, -96.0, -112.0, -120.0] {
        let fits = |range: &Range| {
            (range.high / (S8_MAX - zero_point))
                .max(-range.low / (S8_MAX + zero_point))
                .max(S8_TINY)
        };
        let scales: Array1<f32> = ranges.iter().map(fits).collect();
        let widest = scales.iter().fold(S8_TINY, |max, scale| max.max(*scale));
        for alpha in [0.5f32, 0.75, 1.0] {
            let scale = scales.mapv(|scale| widest * (scale / widest).max(1e-4).powf(alpha));
            let zero_point = Array1::from_elem(scale.len(), zero_point);
            candidates.push(Int8Input { scale, zero_point });
        }
    }
    candidates
}

fn widest(ranges: &[Range]) -> f32 {
    ranges.iter().fold(S8_TINY, |max, range| max.max(range.scale()))
}

/// Quantized values `[out, in]` in float.
fn floats(values: &Array2<f32>, scale: &Array1<f32>) -> Array2<f32> {
    values * &scale.view().insert_axis(Axis(1))
}

fn squares(array: &Array2<f32>) -> f32 {
    sum(array.as_slice().expect("products are contiguous"), |v| v * v)
}

/// Sum of `f` over all values, with several partial sums that the compiler can vectorize.
fn sum(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut partial = [0.0; 16];
    let chunks = values.chunks_exact(partial.len());
    let rest: f32 = chunks.remainder().iter().map(|v| f(*v)).sum();
    for chunk in chunks {
        partial.iter_mut().zip(chunk).for_each(|(partial, v)| *partial += f(*v));
    }
    partial.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::layer::FloatLayer;

    /// A layer whose input channels have very different ranges and mostly one sign, as after a
    /// GELU.
    fn observed(shape: &[usize], channels: usize) -> Observed {
        let noise = |seed: usize| ((seed * 7919 + 13) % 1009) as f32 / 504.5 - 1.0;
        let taps: usize = shape[2..].iter().product();
        let width = channels * taps;
        let value = |i: usize| {
            let channel = i % width / taps;
            noise(i * 31).max(-0.1) * 10f32.powi(channel as i32 % 4 - 2)
        };
        let inner = shape[1..].iter().product();
        let weight = Array2::from_shape_fn((shape[0], inner), |(o, i)| noise(o * 613 + i * 17));
        let mut tails = vec![Tails::default(); channels];
        (0..200 * width).for_each(|i| tails[i % width / taps].see(value(i)));
        let bias = Array1::from_shape_fn(shape[0], noise);
        Observed {
            layer: FloatLayer { weight, bias, shape: shape.to_vec(), channels },
            rows: (0..200 * width).map(value).collect(),
            of_call: 1,
            tails,
            seen: 200 * taps,
        }
    }

    #[test]
    fn quantized_layer_agrees_with_float_layer() {
        for (shape, channels) in
            [(&[24, 32][..], 32), (&[16, 8, 3, 3][..], 8), (&[16, 1, 3, 3][..], 16)]
        {
            let observed = observed(shape, channels);
            let (rows, inner) = (observed.matrix(), observed.layer.weight.ncols());
            let mut moments = Moments::new(&observed);
            moments.add(&observed, &rows);
            let fitted = observed.fit(&moments);
            let quantized = observed.quantized(&rows, &fitted.input);
            let weight = fitted.weight.mapv(f32::from);
            let weight = weight.into_shape_with_order((shape[0], inner)).unwrap();
            let weight = floats(&weight, &fitted.scale);
            let product = |rows: &Array2<f32>, weight: &Array2<f32>| match shape {
                [_, 1, ..] => observed.depthwise_product(rows, weight),
                _ => product(rows, weight),
            };
            let exact = product(&rows, &observed.layer.weight) + &observed.layer.bias;
            let found = product(&quantized, &weight) + &fitted.bias;
            let error = squares(&(&exact - &found)) / squares(&exact);
            assert!(error < 1e-4, "{shape:?}: {error}");
            if shape.len() == 4 {
                let first = fitted.input.zero_point[0];
                assert!(fitted.input.zero_point.iter().all(|zero| *zero == first), "{shape:?}");
            }
        }
    }
}
