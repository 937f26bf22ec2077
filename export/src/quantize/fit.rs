//! One layer, fitted to what it was given.

use medsa_sam::{Int8Input, Int8Layer, S8_MAX, S8_TINY};
use ndarray::{Array1, Array2, Axis};

use super::moments::Moments;
use super::rounding::{compensated, nearest, steps};
use super::samples::{Observed, Tails, product};

/// So many values of a channel show how far it goes.
const ENOUGH_VALUES: f32 = 1e5;

/// How far the values of a channel go.
#[derive(Clone, Copy)]
struct Range {
    low: f32,
    high: f32,
}

impl Observed {
    /// The way of bringing the input to steps that changes the output on samples least.
    pub(super) fn input(&self) -> Int8Input {
        let rows = self.matrix();
        let ranges: Vec<Range> = (0..self.channels).map(|c| self.range(&rows, c)).collect();
        let ways = if self.shape.len() == 4 { shared_zeros(&ranges) } else { own_zeros(&ranges) };
        let product = |rows: &Array2<f32>, weight: &Array2<f32>| match self.is_depthwise() {
            true => self.each(rows, weight),
            false => product(rows, weight),
        };
        // Of the errors of weights that are each rounded to the nearest, so much is left when
        // they make up for each other.
        let left = if self.is_depthwise() { 1.0 } else { 0.2 };
        let exact = product(&rows, &self.weight);
        let error = |input: &Int8Input| {
            let (rounded, weight) = (self.steps(&rows, input), self.weight_of_steps(input));
            let steps = steps(&weight);
            let off = floats(&nearest(&weight, &steps), &steps) - &weight;
            squares(&(product(&rounded, &weight) - &exact))
                + left * squares(&product(&rounded, &off))
        };
        let errors = ways.iter().map(error).collect::<Vec<_>>();
        let least = (0..ways.len()).min_by(|&a, &b| errors[a].total_cmp(&errors[b]));
        ways[least.expect("there are several ways")].clone()
    }

    /// The layer in 8 bits for inputs of these `moments`.
    pub(super) fn fit(&self, moments: &Moments) -> Int8Layer {
        let weight = self.weight_of_steps(&moments.input);
        let steps = steps(&weight);
        let values = match &moments.gram {
            Some(gram) => compensated(&weight, &steps, gram, moments.rows),
            None => nearest(&weight, &steps),
        };
        // What is off on average belongs to the bias.
        let of_mean = |mean: &Array1<f32>, weight: &Array2<f32>| {
            let mean = mean.view().insert_axis(Axis(0)).to_owned();
            let product =
                if self.is_depthwise() { self.each(&mean, weight) } else { product(&mean, weight) };
            product.index_axis_move(Axis(0), 0)
        };
        let exact = of_mean(&moments.mean(), &self.weight);
        let off = exact - of_mean(&moments.mean_steps(), &floats(&values, &steps));
        let weight = values.mapv(|v| v as i8).into_shape_with_order(self.shape.clone());
        let weight = weight.expect("as many values as before");
        Int8Layer { weight, steps, bias: &self.bias + &off, input: moments.input.clone() }
    }

    /// Rows as numbers of steps from zero.
    pub(super) fn steps(&self, rows: &Array2<f32>, input: &Int8Input) -> Array2<f32> {
        let taps = self.taps();
        Array2::from_shape_fn(rows.dim(), |(n, i)| {
            let (size, zero) = (input.size[i / taps], input.zero[i / taps]);
            let steps = (rows[[n, i]] / size).round_ties_even() + zero;
            steps.clamp(-S8_MAX, S8_MAX) - zero
        })
    }

    /// The weight that meets them.
    fn weight_of_steps(&self, input: &Int8Input) -> Array2<f32> {
        let taps = self.taps();
        if self.is_depthwise() {
            &self.weight * &input.size.view().insert_axis(Axis(1))
        } else {
            &self.weight * &Array1::from_shape_fn(self.width(), |i| input.size[i / taps])
        }
    }

    /// What a depthwise convolution makes of patches.
    fn each(&self, rows: &Array2<f32>, weight: &Array2<f32>) -> Array2<f32> {
        let taps = self.taps();
        Array2::from_shape_fn((rows.nrows(), self.channels), |(n, c)| {
            (0..taps).map(|tap| rows[[n, c * taps + tap]] * weight[[c, tap]]).sum()
        })
    }

    /// The range of a channel, of which a few far values are cut off where that rounds the others
    /// better.
    fn range(&self, rows: &Array2<f32>, channel: usize) -> Range {
        let taps = self.taps();
        let values = || (0..taps).flat_map(move |tap| rows.column(channel * taps + tap));
        let Tails { low, high } = &self.tails[channel];
        let part = |i: usize| {
            let part = 1.0 - 0.05 * i as f32;
            Range { low: low[0].min(0.0) * part, high: high[0].max(0.0) * part }
        };
        // The samples stand for all values but the furthest, which are all known.
        let share = self.seen as f32 / (rows.nrows() * taps) as f32;
        let error = |range: Range| -> f32 {
            let size = range.size();
            let off = |v: f32| {
                let steps = (v.clamp(range.low, range.high) - range.low) / size;
                (v - (steps.round_ties_even() * size + range.low)).powi(2)
            };
            let sampled: f32 = values().map(|v| off(*v)).sum();
            share * sampled + low.iter().chain(high).map(|v| off(*v)).sum::<f32>()
        };
        let best = (0..12).map(part).min_by(|&a, &b| error(a).total_cmp(&error(b)));
        let Range { low, high } = best.expect("there are candidates");
        // Few values have not gone as far as many will: the furthest of n from a normal
        // distribution is about sqrt(2 ln n) deviations off.
        let margin = (ENOUGH_VALUES.ln() / (self.seen.max(2) as f32).ln()).sqrt().max(1.0);
        Range { low: low * margin, high: high * margin }
    }

    /// Values of a channel in a row.
    fn taps(&self) -> usize {
        self.width() / self.channels
    }
}

impl Range {
    /// The step size that just resolves it.
    fn size(self) -> f32 {
        (self.high - self.low).max(S8_TINY) / (2.0 * S8_MAX)
    }
}

/// Ways to bring an input to steps in which each channel has a zero of its own. Between one step
/// size for all channels and one that just fits each: what the input gains the weights lose.
fn own_zeros(ranges: &[Range]) -> Vec<Int8Input> {
    let widest = widest(ranges);
    let way = |alpha: f32| {
        // Channels that are always nearly zero count as a thousandth of the widest.
        let size = |range: &Range| widest * (range.size() / widest).max(1e-3).powf(alpha);
        let middle = |range: &Range| -((range.low + range.high) / (2.0 * size(range))).round();
        Int8Input {
            size: ranges.iter().map(size).collect(),
            zero: ranges.iter().map(middle).collect(),
        }
    };
    [0.0, 0.25, 0.5, 0.75, 1.0].map(way).into()
}

/// Ways in which all channels have the same zero.
fn shared_zeros(ranges: &[Range]) -> Vec<Int8Input> {
    let mut ways = Vec::new();
    for zero in [0.0f32, -32.0, -64.0, -96.0, -112.0, -120.0] {
        let fits = |range: &Range| {
            (range.high / (S8_MAX - zero)).max(-range.low / (S8_MAX + zero)).max(S8_TINY)
        };
        let sizes: Array1<f32> = ranges.iter().map(fits).collect();
        let widest = sizes.iter().fold(S8_TINY, |max, size| max.max(*size));
        for alpha in [0.5f32, 0.75, 1.0] {
            let size = sizes.mapv(|size| widest * (size / widest).max(1e-4).powf(alpha));
            ways.push(Int8Input { zero: Array1::from_elem(size.len(), zero), size });
        }
    }
    ways
}

fn widest(ranges: &[Range]) -> f32 {
    ranges.iter().fold(S8_TINY, |max, range| max.max(range.size()))
}

/// Steps as values.
fn floats(values: &Array2<f32>, steps: &Array1<f32>) -> Array2<f32> {
    values * &steps.view().insert_axis(Axis(1))
}

fn squares(array: &Array2<f32>) -> f32 {
    array.iter().map(|v| v * v).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Channels of very different ranges, most of them of one sign, as behind a GELU.
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
        Observed {
            weight,
            bias: Array1::from_shape_fn(shape[0], noise),
            shape: shape.to_vec(),
            channels,
            rows: (0..200 * width).map(value).collect(),
            of_call: 1,
            tails,
            seen: 200 * taps,
        }
    }

    #[test]
    fn a_fitted_layer_answers_as_before() {
        for (shape, channels) in
            [(&[24, 32][..], 32), (&[16, 8, 3, 3][..], 8), (&[16, 1, 3, 3][..], 16)]
        {
            let observed = observed(shape, channels);
            let (rows, inner) = (observed.matrix(), observed.weight.ncols());
            let mut moments = Moments::new(&observed);
            moments.add(&observed, &rows);
            let fitted = observed.fit(&moments);
            let steps = observed.steps(&rows, &fitted.input);
            let weight = fitted.weight.mapv(f32::from);
            let weight = weight.into_shape_with_order((shape[0], inner)).unwrap();
            let weight = floats(&weight, &fitted.steps);
            let product = |rows: &Array2<f32>, weight: &Array2<f32>| match shape {
                [_, 1, ..] => observed.each(rows, weight),
                _ => product(rows, weight),
            };
            let exact = product(&rows, &observed.weight) + &observed.bias;
            let found = product(&steps, &weight) + &fitted.bias;
            let error = squares(&(&exact - &found)) / squares(&exact);
            assert!(error < 1e-4, "{shape:?}: {error}");
            if shape.len() == 4 {
                let first = fitted.input.zero[0];
                assert!(fitted.input.zero.iter().all(|zero| *zero == first), "{shape:?}");
            }
        }
    }
}
