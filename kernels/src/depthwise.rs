//! Depthwise 3x3 convolutions.

use crate::gelu::{FRACTION, FixedGelu};
use crate::limits;
use crate::misfit::{Misfit, check, check_len};
use crate::packed::{Operand, Packed};
use crate::quantize::S8_MAX;
use crate::simd::{LANES, Simd};

/// A depthwise 3x3 convolution, padded by one on each side.
///
/// It computes in floats. The inputs of an int8 convolution are whole numbers: int8 values minus
/// their zero point.
///
/// A row of its input is `[C / LANES, W, LANES]`, so that neighbours are adjacent. At distances of
/// a power of two they would map to few sets of the cache.
pub struct Depthwise {
    /// `[C / LANES, 9]`.
    weight: Vec<[f32; LANES]>,
    /// `[C / LANES]`.
    bias: Vec<[f32; LANES]>,
    /// Quantization of the input; `None` for a float convolution.
    quantization: Option<Quantization>,
}

/// Quantization of a convolution's input, all fields `[C]`.
struct Quantization {
    inverse_scale: Vec<f32>,
    /// -127 and 127 minus the zero point.
    lowest: Vec<f32>,
    highest: Vec<f32>,
    /// The same bounds in 16 bits.
    fixed_bounds: [Vec<i16>; 2],
    /// GELU before the convolution, where 16 bits suffice for it.
    gelu: Option<FixedGelu>,
}

/// Quantization parameters of a layer's input.
#[derive(Clone, Copy, Debug)]
pub struct InputScales<'a> {
    /// 1 / scale of each channel, `[C]`.
    pub inverse_scale: &'a [f32],
    /// Int8 value of 0.0 in each channel, `[C]`; whole numbers.
    pub zero_point: &'a [f32],
}

impl Depthwise {
    /// A float convolution; `weight` is `[C, 9]`, `bias` `[C]`.
    ///
    /// # Errors
    /// If the lengths do not match, or C is not a multiple of [`LANES`].
    pub fn float(weight: &[f32], bias: &[f32]) -> Result<Self, Misfit> {
        let channels = channels_of(weight.len())?;
        check_len("bias", bias.len(), channels)?;
        let vector = |at: usize| {
            let (group, tap) = (at / 9, at % 9);
            std::array::from_fn(|lane| weight[(group * LANES + lane) * 9 + tap])
        };
        let weight = (0..channels / LANES * 9).map(vector).collect();
        Ok(Self { weight, bias: bias.as_chunks().0.to_vec(), quantization: None })
    }

    /// An int8 convolution; `weight` is `[C, 9]`, `scale` (that of the input times that of the
    /// weight) and `bias` are `[C]`.
    ///
    /// # Errors
    /// If the lengths do not match, or C is not a multiple of [`LANES`].
    pub fn int8(
        weight: &[i8],
        scale: &[f32],
        bias: &[f32],
        input: InputScales,
    ) -> Result<Self, Misfit> {
        let InputScales { inverse_scale, zero_point } = input;
        let channels = channels_of(weight.len())?;
        check_len("scale", scale.len(), channels)?;
        check_len("inverse_scale", inverse_scale.len(), channels)?;
        check_len("zero_point", zero_point.len(), channels)?;
        let scaled = weight.chunks_exact(9).zip(scale);
        let scaled = scaled.flat_map(|(taps, scale)| taps.iter().map(|w| f32::from(*w) * *scale));
        let float = Self::float(&scaled.collect::<Vec<_>>(), bias)?;
        let lowest: Vec<f32> = zero_point.iter().map(|zero| -S8_MAX - zero).collect();
        let highest: Vec<f32> = zero_point.iter().map(|zero| S8_MAX - zero).collect();
        let fixed = |values: &[f32]| values.iter().map(|x| *x as i16).collect();
        let quantization = Quantization {
            inverse_scale: inverse_scale.to_vec(),
            gelu: FixedGelu::new(inverse_scale),
            fixed_bounds: [fixed(&lowest), fixed(&highest)],
            lowest,
            highest,
        };
        Ok(Self { quantization: Some(quantization), ..float })
    }

    /// C.
    pub fn channels(&self) -> usize {
        self.bias.len() * LANES
    }

    /// Values of the input, from `channel` on, as the convolution takes them: of an int8
    /// convolution quantized, minus the zero point.
    ///
    /// # Safety
    /// `channel` is a multiple of [`LANES`] and less than C.
    #[inline(always)]
    pub(crate) unsafe fn quantize<S: Simd>(&self, s: S, channel: usize, x: S::F) -> S::F {
        let Some(quantization) = &self.quantization else { return x };
        let Quantization { inverse_scale, lowest, highest, .. } = quantization;
        // SAFETY: the slices have C values (`int8`), a multiple of `LANES`; `channel` begins one
        // of their vectors by this function's contract.
        unsafe {
            let x = s.round(s.mul(x, s.load_ptr(inverse_scale.as_ptr().add(channel))));
            let x = s.max(x, s.load_ptr(lowest.as_ptr().add(channel)));
            s.min(x, s.load_ptr(highest.as_ptr().add(channel)))
        }
    }

    /// GELU before the convolution in fixed point, where 16 bits suffice for it.
    pub(crate) fn fixed_gelu(&self) -> Option<&FixedGelu> {
        self.quantization.as_ref()?.gelu.as_ref()
    }

    /// [`Depthwise::quantize`] of values in the fixed point of [`Depthwise::fixed_gelu`].
    ///
    /// # Safety
    /// `channel` is a multiple of [`LANES`] and less than C.
    #[inline(always)]
    pub(crate) unsafe fn quantize_fixed<S: Simd>(&self, s: S, channel: usize, x: S::H) -> S::F {
        let x = s.fixed_shift::<FRACTION>(x);
        let Some(Quantization { fixed_bounds: [lowest, highest], .. }) = &self.quantization else {
            return s.fixed_to_float(x);
        };
        // SAFETY: the slices have C values (`int8`), a multiple of `LANES`; `channel` begins one
        // of their vectors by this function's contract.
        let [lowest, highest] = unsafe {
            [lowest, highest].map(
                #[inline(always)]
                |bound| s.fixed_load(&*bound.as_ptr().add(channel).cast()),
            )
        };
        s.fixed_to_float(s.fixed_min(s.fixed_max(x, lowest), highest))
    }

    /// [`LANES`] outputs from `channel` on, at `columns` neighbouring positions that are `stride`
    /// apart in the input. Calls `each` with `(column, values)`.
    ///
    /// `rows` are the channels' vectors of three rows, from the left neighbour of the first
    /// position on.
    ///
    /// # Panics
    /// If there are fewer channels, or rows are too short.
    #[inline(always)]
    pub(crate) fn forward<S: Simd>(
        &self,
        s: S,
        rows: [&[[f32; LANES]]; 3],
        channel: usize,
        (columns, stride): (usize, usize),
        mut each: impl FnMut(usize, S::F),
    ) {
        /// Number of outputs computed at once; they share loads of the weights.
        const TILE: usize = 4;
        assert!(channel < self.channels(), "channel {channel} of {}", self.channels());
        let needed = columns.saturating_sub(1) * stride + 3;
        assert!(rows.iter().all(|row| row.len() >= needed), "rows of {needed} columns");
        let mut column = 0;
        // SAFETY: the last column reads the vectors `(columns - 1) * stride` to `... + 2`, and
        // each row has `needed` ones.
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

    /// Outputs at the `N` columns from `column` on.
    ///
    /// # Safety
    /// `channel` is less than C, and rows have at least `(column + N - 1) * stride + 3` vectors.
    #[inline(always)]
    unsafe fn tile<S: Simd, const N: usize>(
        &self,
        s: S,
        rows: [&[[f32; LANES]]; 3],
        channel: usize,
        column: usize,
        stride: usize,
    ) -> [S::F; N] {
        let group = channel / LANES;
        // SAFETY: there are C / LANES groups of nine weights and of one bias (`float`). `x` is at
        // most 2, so vectors are within rows by this function's contract.
        unsafe {
            let mut sums = [s.load(self.bias.get_unchecked(group)); N];
            let weight = self.weight.as_ptr().add(9 * group);
            for (y, row) in rows.iter().enumerate() {
                for x in 0..3 {
                    let weight = s.load(&*weight.add(3 * y + x));
                    for (i, sum) in sums.iter_mut().enumerate() {
                        let input = s.load(row.get_unchecked((column + i) * stride + x));
                        *sum = s.mul_add(input, weight, *sum);
                    }
                }
            }
            sums
        }
    }

    /// [`Depthwise::forward`] and GELU into the operand of the next layer, a row for each column.
    /// `buffer` has room for as many vectors as there are columns.
    ///
    /// # Panics
    /// As [`Depthwise::forward`]; if `buffer` or `operand` is too short, or `next` has other
    /// channels.
    #[inline(always)]
    pub(crate) fn forward_into<S: Simd>(
        &self,
        s: S,
        rows: [&[[f32; LANES]]; 3],
        channel: usize,
        (columns, stride): (usize, usize),
        (next, operand): (&Packed, &mut Operand),
        buffer: &mut [[i16; LANES]],
    ) {
        assert_eq!(next.inputs(), self.channels(), "inputs of the next layer");
        assert!(channel.is_multiple_of(LANES), "channel {channel}");
        next.check_rows(operand, columns);
        let Some(gelu) = next.fixed_gelu() else {
            return self.forward(
                s,
                rows,
                channel,
                (columns, stride),
                // SAFETY: `next` has the channels of this convolution, and its operand a row for
                // each column.
                #[inline(always)]
                |column, y| unsafe { next.put(s, operand, column, channel, next.gelu(s, y)) },
            );
        };
        let scale = gelu.scale(s, channel);
        let buffer = &mut buffer[..columns];
        self.forward(
            s,
            rows,
            channel,
            (columns, stride),
            // SAFETY: the buffer has a vector for each column.
            #[inline(always)]
            |column, y| unsafe {
                s.fixed_store(buffer.get_unchecked_mut(column), s.to_fixed(s.mul(y, scale)));
            },
        );
        gelu.forward(
            s,
            channel,
            buffer,
            // SAFETY: `next` has `fixed_gelu` and the channels of this convolution, and its operand
            // has a row for each column.
            #[inline(always)]
            |column, y| unsafe { next.put_fixed(s, operand, column, channel, y) },
        );
    }
}

/// Channels of a convolution with this number of weights.
fn channels_of(weights: usize) -> Result<usize, Misfit> {
    let (channels, most) = (weights / 9, limits::CHANNELS);
    check(
        weights.is_multiple_of(9 * LANES) && (1..=most).contains(&channels),
        "weight",
        format_args!("{weights} values"),
        format_args!("9 for each channel, 1 to {most} in multiples of {LANES}"),
    )?;
    Ok(channels)
}
