//! Depthwise 3x3 convolutions.

use crate::block::Side;
use crate::quantize::S8_MAX;
use crate::simd::{LANES, Simd};

/// A depthwise 3x3 convolution, padded by one on each side.
///
/// It computes in float lanes. In 8 bits the values are whole numbers of steps, whose products
/// and sums are exact there too.
pub struct Depthwise {
    /// `[9, C]`.
    weight: Vec<f32>,
    bias: Vec<f32>,
    /// How its input becomes steps, if it does.
    input: Option<Steps>,
}

struct Steps {
    inverse: Vec<f32>,
    lowest: Vec<f32>,
    highest: Vec<f32>,
}

/// How values become steps.
#[derive(Clone, Copy, Debug)]
pub struct StepsOf<'a> {
    /// One by the step size of each channel.
    pub inverse: &'a [f32],
    /// Which step stands for zero in each channel.
    pub zero: &'a [f32],
}

impl Depthwise {
    /// In float; `weight` is `[C, 9]`.
    ///
    /// # Panics
    /// If there are not nine weights for each channel, or channels are not in whole
    /// [`LANES`].
    pub fn float(weight: &[f32], bias: &[f32]) -> Self {
        let channels = bias.len();
        assert_eq!(weight.len(), 9 * channels, "weights of {channels} channels");
        assert!(channels.is_multiple_of(LANES), "{channels} channels");
        let by_tap = |at: usize| weight[at % channels * 9 + at / channels];
        Self { weight: (0..9 * channels).map(by_tap).collect(), bias: bias.to_vec(), input: None }
    }

    /// In 8 bits; `steps` are what one of the input times one of the weight is.
    ///
    /// # Panics
    /// As [`Depthwise::float`].
    pub fn int8(weight: &[i8], steps: &[f32], bias: &[f32], input: StepsOf) -> Self {
        let whole = weight.chunks_exact(9).zip(steps);
        let weight: Vec<f32> =
            whole.flat_map(|(nine, step)| nine.iter().map(move |w| f32::from(*w) * step)).collect();
        let input = Steps {
            inverse: input.inverse.to_vec(),
            lowest: input.zero.iter().map(|zero| -S8_MAX - zero).collect(),
            highest: input.zero.iter().map(|zero| S8_MAX - zero).collect(),
        };
        Self { input: Some(input), ..Self::float(&weight, bias) }
    }

    /// Channels.
    pub fn channels(&self) -> usize {
        self.bias.len()
    }

    /// What becomes of [`LANES`] values of its input, from `channel` on.
    ///
    /// # Safety
    /// It has those channels.
    #[inline(always)]
    pub(crate) unsafe fn taken<S: Simd>(&self, s: S, channel: usize, x: S::F) -> S::F {
        let Some(Steps { inverse, lowest, highest }) = &self.input else { return x };
        // SAFETY: the caller's.
        unsafe {
            let x = s.round(s.mul(x, s.load(inverse.as_ptr().add(channel))));
            let x = s.max(x, s.load(lowest.as_ptr().add(channel)));
            s.min(x, s.load(highest.as_ptr().add(channel)))
        }
    }

    /// [`LANES`] outputs from `channel` on at `columns` neighbouring positions, `stride` apart
    /// in the input, given as `(column, values)`.
    ///
    /// # Safety
    /// `rows` point to the leftmost of the inputs of the first output, which are followed by all
    /// others, `C` values each.
    #[inline(always)]
    pub(crate) unsafe fn forward<S: Simd>(
        &self,
        s: S,
        rows: [*const f32; 3],
        channel: usize,
        columns: usize,
        stride: usize,
        mut each: impl FnMut(usize, S::F),
    ) {
        let channels = self.channels();
        // SAFETY: the caller's.
        unsafe {
            let bias = s.load(self.bias.as_ptr().add(channel));
            for column in 0..columns {
                let mut sum = bias;
                for (y, row) in rows.iter().enumerate() {
                    for x in 0..3 {
                        let at = (column * stride + x) * channels + channel;
                        let weight = self.weight.as_ptr().add((3 * y + x) * channels + channel);
                        sum = s.mul_add(s.load(row.add(at)), s.load(weight), sum);
                    }
                }
                each(column, sum);
            }
        }
    }

    /// All outputs at one position of a whole map, given as `(channel, values)`.
    ///
    /// # Safety
    /// `map` has that side, and C channels; the position is on it.
    #[inline(always)]
    pub(crate) unsafe fn at<S: Simd>(
        &self,
        s: S,
        map: *const f32,
        Side { height, width }: Side,
        [row, column]: [usize; 2],
        mut each: impl FnMut(usize, S::F),
    ) {
        let channels = self.channels();
        let near = |at: usize, end: usize| at.max(1) - 1..(at + 2).min(end);
        for channel in (0..channels).step_by(LANES) {
            // SAFETY: the caller's; taps beyond the map are left out.
            unsafe {
                let mut sum = s.load(self.bias.as_ptr().add(channel));
                for y in near(row, height) {
                    for x in near(column, width) {
                        let tap = 3 * (y + 1 - row) + x + 1 - column;
                        let weight = s.load(self.weight.as_ptr().add(tap * channels + channel));
                        let value = s.load(map.add((y * width + x) * channels + channel));
                        sum = s.mul_add(self.taken(s, channel, value), weight, sum);
                    }
                }
                each(channel, sum);
            }
        }
    }
}
