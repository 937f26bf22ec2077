//! Depthwise 3x3 convolutions.

use crate::gelu::{FRACTION, GeluSteps};
use crate::packed::Packed;
use crate::quantize::S8_MAX;
use crate::simd::{LANES, Simd};

/// A depthwise 3x3 convolution, padded by one on each side.
///
/// It computes in float lanes. In 8 bits the values are whole numbers of steps, whose products
/// and sums are exact there too.
///
/// Rows of its input are `[C / LANES, W, LANES]`: neighbours of one group of channels lie side by
/// side. Were they a power of two apart, they would compete for few places in the cache.
pub struct Depthwise {
    /// `[C / LANES, 9, LANES]`.
    weight: Vec<f32>,
    bias: Vec<f32>,
    /// How its input becomes steps, if it does.
    input: Option<Steps>,
}

struct Steps {
    inverse: Vec<f32>,
    lowest: Vec<f32>,
    highest: Vec<f32>,
    /// Of what comes before it; none where 16 bits do not do.
    gelu: Option<GeluSteps>,
    /// The bounds again.
    fixed: [Vec<i16>; 2],
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
        let each = |at: usize| {
            let (lane, at) = (at % LANES, at / LANES);
            weight[(at / 9 * LANES + lane) * 9 + at % 9]
        };
        Self { weight: (0..9 * channels).map(each).collect(), bias: bias.to_vec(), input: None }
    }

    /// In 8 bits; `steps` are what one of the input times one of the weight is.
    ///
    /// # Panics
    /// As [`Depthwise::float`].
    pub fn int8(weight: &[i8], steps: &[f32], bias: &[f32], input: StepsOf) -> Self {
        let whole = weight.chunks_exact(9).zip(steps);
        let weight: Vec<f32> =
            whole.flat_map(|(nine, step)| nine.iter().map(move |w| f32::from(*w) * step)).collect();
        let lowest: Vec<f32> = input.zero.iter().map(|zero| -S8_MAX - zero).collect();
        let highest: Vec<f32> = input.zero.iter().map(|zero| S8_MAX - zero).collect();
        let whole = |values: &[f32]| values.iter().map(|x| *x as i16).collect();
        let input = Steps {
            inverse: input.inverse.to_vec(),
            gelu: GeluSteps::new(input.inverse),
            fixed: [whole(&lowest), whole(&highest)],
            lowest,
            highest,
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
        let Some(Steps { inverse, lowest, highest, .. }) = &self.input else { return x };
        // SAFETY: the caller's.
        unsafe {
            let x = s.round(s.mul(x, s.load(inverse.as_ptr().add(channel))));
            let x = s.max(x, s.load(lowest.as_ptr().add(channel)));
            s.min(x, s.load(highest.as_ptr().add(channel)))
        }
    }

    /// How GELU comes into its input, if it does in 16 bits.
    pub(crate) fn gelu_steps(&self) -> Option<&GeluSteps> {
        self.input.as_ref()?.gelu.as_ref()
    }

    /// What becomes of [`LANES`] values in steps with [`FRACTION`].
    ///
    /// # Safety
    /// It has those channels, and [`Depthwise::gelu_steps`].
    #[inline(always)]
    pub(crate) unsafe fn taken_fixed<S: Simd>(&self, s: S, channel: usize, x: S::H) -> S::F {
        let x = s.fixed_shift::<FRACTION>(x);
        let Some(Steps { fixed: [lowest, highest], .. }) = &self.input else {
            return s.fixed_to_float(x);
        };
        // SAFETY: the caller's.
        unsafe {
            let x = s.fixed_max(x, s.fixed_load(lowest.as_ptr().add(channel)));
            s.fixed_to_float(s.fixed_min(x, s.fixed_load(highest.as_ptr().add(channel))))
        }
    }

    /// Where [`LANES`] values, from `channel` on, are in a row of the input of so many columns.
    pub(crate) fn at(columns: usize, channel: usize, column: usize) -> usize {
        channel * columns + column * LANES
    }

    /// [`LANES`] outputs from `channel` on at `columns` neighbouring positions, `stride` apart
    /// in the input, given as `(column, values)`.
    ///
    /// # Safety
    /// `rows` point to the leftmost of the inputs of the first output, of those channels, which
    /// is followed by the others, and the convolution has the channels.
    #[inline(always)]
    pub(crate) unsafe fn forward<S: Simd>(
        &self,
        s: S,
        rows: [*const f32; 3],
        channel: usize,
        (columns, stride): (usize, usize),
        mut each: impl FnMut(usize, S::F),
    ) {
        /// Outputs at once: they share weights.
        const TILE: usize = 4;
        let mut column = 0;
        // SAFETY: the caller's.
        unsafe {
            while column + TILE <= columns {
                let sums = self.tile::<S, TILE>(s, rows, channel, column, stride);
                for (i, sum) in sums.into_iter().enumerate() {
                    each(column + i, sum);
                }
                column += TILE;
            }
            for column in column..columns {
                let [sum] = self.tile(s, rows, channel, column, stride);
                each(column, sum);
            }
        }
    }

    /// # Safety
    /// As [`Depthwise::forward`].
    #[inline(always)]
    unsafe fn tile<S: Simd, const N: usize>(
        &self,
        s: S,
        rows: [*const f32; 3],
        channel: usize,
        column: usize,
        stride: usize,
    ) -> [S::F; N] {
        // SAFETY: the caller's.
        unsafe {
            let mut sums = [s.load(self.bias.as_ptr().add(channel)); N];
            let weight = self.weight.as_ptr().add(9 * channel);
            for (y, row) in rows.iter().enumerate() {
                for x in 0..3 {
                    let weight = s.load(weight.add((3 * y + x) * LANES));
                    for (i, sum) in sums.iter_mut().enumerate() {
                        let from = row.add(((column + i) * stride + x) * LANES);
                        *sum = s.mul_add(s.load(from), weight, *sum);
                    }
                }
            }
            sums
        }
    }

    /// [`Depthwise::forward`] and GELU into the operand of the layer after it.
    ///
    /// # Safety
    /// Likewise; the operand has a row for each column, `buffer` room for [`LANES`] values of
    /// each, and `next` has those channels.
    #[inline(always)]
    pub(crate) unsafe fn forward_into<S: Simd>(
        &self,
        s: S,
        rows: [*const f32; 3],
        channel: usize,
        (columns, stride): (usize, usize),
        (next, operand): (&Packed, *mut u8),
        buffer: *mut i16,
    ) {
        // SAFETY: the caller's.
        unsafe {
            let Some(gelu) = next.gelu_steps() else {
                return self.forward(
                    s,
                    rows,
                    channel,
                    (columns, stride),
                    #[inline(always)]
                    |column, y| next.put(s, operand, column, channel, next.gelu(s, y)),
                );
            };
            let scale = gelu.scale(s, channel);
            self.forward(
                s,
                rows,
                channel,
                (columns, stride),
                #[inline(always)]
                |column, y| {
                    s.fixed_store(buffer.add(column * LANES), s.to_fixed(s.mul(y, scale)));
                },
            );
            gelu.forward(
                s,
                channel,
                buffer,
                columns,
                #[inline(always)]
                |column, y| next.put_fixed(s, operand, column, channel, y),
            );
        }
    }
}
