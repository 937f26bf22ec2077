//! Products of operands with packed weights.

use std::ops::Range;

use super::{Arithmetic, Operand, Packed, tile, tiles};
use crate::gelu::FixedGelu;
use crate::simd::{LANES, Simd, padded};

impl Packed {
    /// Calls `each` with all outputs of the operand's first rows, a vector at a time, as `(row,
    /// channel, values)`. Rows are less than `rows`, channels ascend in steps of [`LANES`] up to
    /// the padded outputs.
    ///
    /// # Panics
    /// If the operand has fewer rows.
    #[inline(always)]
    pub(crate) fn forward<S: Simd>(
        &self,
        s: S,
        operand: &Operand,
        rows: usize,
        each: impl FnMut(usize, usize, S::F),
    ) {
        self.forward_channels(s, operand, rows, 0..self.padded_outputs(), each);
    }

    /// [`Packed::forward`] of some channels, in whole [`LANES`].
    ///
    /// # Panics
    /// If the operand has fewer rows, or the layer fewer outputs.
    #[inline(always)]
    pub(crate) fn forward_channels<S: Simd>(
        &self,
        s: S,
        operand: &Operand,
        rows: usize,
        channels: Range<usize>,
        each: impl FnMut(usize, usize, S::F),
    ) {
        self.check_rows(operand, rows);
        let is_whole = channels.start.is_multiple_of(LANES) && channels.end.is_multiple_of(LANES);
        assert!(is_whole && channels.end <= self.padded_outputs(), "outputs {channels:?}");
        let stride = padded(self.inputs);
        // SAFETY: the operand has the rows, `stride` apart, and the layer the channels.
        unsafe { self.forward_parts(s, ([operand.as_ptr()], stride), rows, channels, each) }
    }

    /// Writes all outputs of the operand's first rows to `to`, `[rows, padded outputs]`.
    ///
    /// # Panics
    /// If the operand or `to` has fewer rows.
    #[inline(always)]
    pub(crate) fn forward_rows<S: Simd>(
        &self,
        s: S,
        operand: &Operand,
        rows: usize,
        to: &mut [f32],
    ) {
        let to = &mut to[..rows * self.padded_outputs()];
        self.forward_map(
            s,
            operand,
            rows,
            to,
            #[inline(always)]
            |y| y,
        );
    }

    /// Writes `f` of the first C outputs to `to`, `[rows, C]`.
    ///
    /// # Panics
    /// If the operand has fewer rows, or the layer no C outputs in whole [`LANES`].
    #[inline(always)]
    pub(crate) fn forward_map<S: Simd>(
        &self,
        s: S,
        operand: &Operand,
        rows: usize,
        to: &mut [f32],
        f: impl Fn(S::F) -> S::F,
    ) {
        let channels = to.len() / rows;
        let to = to[..rows * channels].as_mut_ptr();
        self.forward_channels(
            s,
            operand,
            rows,
            0..channels,
            // SAFETY: `to` has C values for each row, and channels are less, in whole `LANES`.
            #[inline(always)]
            |row, channel, y| unsafe { s.store_ptr(to.add(row * channels + channel), f(y)) },
        );
    }

    /// Writes `f` of the first C outputs and of `from` to `to`; both are `[rows, C]`.
    ///
    /// # Panics
    /// If the operand has fewer rows, the layer no C outputs in whole [`LANES`], or `from` and `to`
    /// differ in their lengths.
    #[inline(always)]
    pub(crate) fn forward_zip<S: Simd>(
        &self,
        s: S,
        operand: &Operand,
        rows: usize,
        (from, to): (&[f32], &mut [f32]),
        f: impl Fn(S::F, S::F) -> S::F,
    ) {
        assert_eq!(from.len(), to.len(), "values of two maps");
        let channels = to.len() / rows;
        let (from, to) = (from.as_ptr(), to.as_mut_ptr());
        self.forward_channels(
            s,
            operand,
            rows,
            0..channels,
            // SAFETY: `from` and `to` have C values for each row, and channels are less, in whole
            // `LANES`.
            #[inline(always)]
            |row, channel, y| unsafe {
                let at = row * channels + channel;
                s.store_ptr(to.add(at), f(y, s.load_ptr(from.add(at))));
            },
        );
    }

    /// Adds the first C outputs to `to`, `[rows, C]`.
    ///
    /// # Panics
    /// If the operand has fewer rows, or the layer no C outputs in whole [`LANES`].
    #[inline(always)]
    pub(crate) fn forward_add<S: Simd>(
        &self,
        s: S,
        operand: &Operand,
        rows: usize,
        to: &mut [f32],
    ) {
        let channels = to.len() / rows;
        let to = to.as_mut_ptr();
        self.forward_channels(
            s,
            operand,
            rows,
            0..channels,
            // SAFETY: `to` has C values for each row, and channels are less, in whole `LANES`.
            #[inline(always)]
            |row, channel, y| unsafe {
                let to = to.add(row * channels + channel);
                s.store_ptr(to, s.add(y, s.load_ptr(to)));
            },
        );
    }

    /// Writes `f` of the outputs from `first` on to the operand of the next layer.
    ///
    /// # Panics
    /// If an operand has fewer rows, or `next` has not as many inputs as the layer outputs from
    /// `first` on.
    #[inline(always)]
    pub(crate) fn forward_tail<S: Simd>(
        &self,
        s: S,
        (operand, rows): (&Operand, usize),
        first: usize,
        (next, next_operand): (&Self, &mut Operand),
        f: impl Fn(S::F) -> S::F,
    ) {
        assert_eq!(first + next.inputs, self.outputs, "inputs of the next layer");
        next.check_rows(next_operand, rows);
        self.forward_channels(
            s,
            operand,
            rows,
            first..self.padded_outputs(),
            // SAFETY: `first` is in whole `LANES`, and so `next` has as many padded inputs as this
            // layer has padded outputs from there on. The operand has the rows.
            #[inline(always)]
            |row, channel, y| unsafe { next.put(s, next_operand, row, channel - first, f(y)) },
        );
    }

    /// [`Packed::forward`] of an operand in shared memory, each row of which consists of `N`
    /// parts of equal length. A part's rows are `stride` values apart.
    ///
    /// # Safety
    /// Each of `operands` points to `rows` rows of `padded inputs / N` values of an operand of
    /// this layer, which no thread writes to. `padded inputs / N` is a multiple of [`LANES`].
    /// Channels come in whole [`LANES`] and end at most at the padded outputs.
    #[inline(always)]
    pub(crate) unsafe fn forward_parts<S: Simd, const N: usize>(
        &self,
        s: S,
        (operands, stride): ([*const f32; N], usize),
        rows: usize,
        channels: Range<usize>,
        mut each: impl FnMut(usize, usize, S::F),
    ) {
        for channel in channels.step_by(LANES) {
            // SAFETY: by this function's contract.
            unsafe {
                self.vector(
                    s,
                    operands,
                    stride,
                    rows,
                    (channel, s.splat(1.0)),
                    #[inline(always)]
                    |row, y| each(row, channel, y),
                );
            }
        }
    }

    /// The vector of outputs from `channel` on, times `factor`. Calls `each` with `(row, values)`.
    ///
    /// # Safety
    /// As [`Packed::forward_parts`]; `channel` is a multiple of [`LANES`] and less than the padded
    /// outputs.
    #[inline(always)]
    unsafe fn vector<S: Simd, const N: usize>(
        &self,
        s: S,
        operands: [*const f32; N],
        stride: usize,
        rows: usize,
        (channel, factor): (usize, S::F),
        mut each: impl FnMut(usize, S::F),
    ) {
        let inputs = padded(self.inputs);
        let part = inputs / N;
        // SAFETY: operands have the rows by this function's contract. Vectors of one value for
        // each output have the padded length, and weights `inputs * LANES` values for each vector
        // of outputs (`int8`, `float`).
        unsafe {
            let bias = s.load_ptr(self.bias.as_ptr().add(channel));
            match &self.arithmetic {
                Arithmetic::Int8 { weight, start, scale, .. } => {
                    let weight = weight.as_ptr().add(channel * inputs);
                    let start = s.load_i32(&*start.as_ptr().add(channel).cast());
                    let scale = s.mul(s.load_ptr(scale.as_ptr().add(channel)), factor);
                    let bias = s.mul(bias, factor);
                    tiles!(rows, row, R => {
                        let mut sums = [start; R];
                        for (i, operand) in operands.iter().enumerate() {
                            let x = operand.cast::<S::Int8>().add(row * stride);
                            let weight = weight.add(i * part * LANES);
                            sums = s.tile::<R>(sums, x, stride, weight, part);
                        }
                        for (i, sum) in sums.into_iter().enumerate() {
                            each(row + i, s.mul_add(s.to_float(sum), scale, bias));
                        }
                    });
                }
                Arithmetic::Float { weight } => {
                    let weight = weight.as_ptr().add(channel * inputs);
                    tiles!(rows, row, R => {
                        let mut sums = [bias; R];
                        for (i, operand) in operands.iter().enumerate() {
                            let x = operand.add(row * stride);
                            let weight = weight.add(i * part * LANES);
                            sums = tile(s, sums, x, stride, weight, LANES, part);
                        }
                        for (i, sum) in sums.into_iter().enumerate() {
                            each(row + i, s.mul(sum, factor));
                        }
                    });
                }
            }
        }
    }

    /// [`Packed::forward`] and GELU, in the fixed point of `gelu`. `buffer` has room for a vector
    /// of each row.
    ///
    /// # Panics
    /// If the operand or `buffer` has fewer rows, or `gelu` fewer channels than the layer outputs.
    #[inline(always)]
    pub(crate) fn forward_gelu<S: Simd>(
        &self,
        s: S,
        (operand, rows): (&Operand, usize),
        gelu: &FixedGelu,
        buffer: &mut [[i16; LANES]],
        mut each: impl FnMut(usize, usize, S::H),
    ) {
        self.check_rows(operand, rows);
        let stride = padded(self.inputs);
        let buffer = &mut buffer[..rows];
        for channel in (0..self.padded_outputs()).step_by(LANES) {
            let scale = gelu.scale(s, channel);
            // SAFETY: the operand has the rows, `stride` apart; the channel is less than the
            // padded outputs, and `row` than `rows`.
            unsafe {
                self.vector(
                    s,
                    [operand.as_ptr()],
                    stride,
                    rows,
                    (channel, scale),
                    #[inline(always)]
                    |row, y| s.fixed_store(buffer.get_unchecked_mut(row), s.to_fixed(y)),
                );
            }
            gelu.forward(
                s,
                channel,
                buffer,
                #[inline(always)]
                |row, y| each(row, channel, y),
            );
        }
    }

    /// [`Packed::forward`] and GELU into the operand of the next layer. `buffer` has room for a
    /// vector of each row.
    ///
    /// # Panics
    /// If an operand or `buffer` has fewer rows, or `next` has not as many inputs as this layer
    /// has outputs.
    #[inline(always)]
    pub(crate) fn forward_into<S: Simd>(
        &self,
        s: S,
        (operand, rows): (&Operand, usize),
        (next, next_operand): (&Self, &mut Operand),
        buffer: &mut [[i16; LANES]],
    ) {
        assert_eq!(next.inputs, self.outputs, "inputs of the next layer");
        next.check_rows(next_operand, rows);
        match next.fixed_gelu() {
            Some(gelu) => self.forward_gelu(
                s,
                (operand, rows),
                gelu,
                buffer,
                // SAFETY: `next` has `fixed_gelu` and as many inputs as this layer outputs, and
                // its operand the rows.
                #[inline(always)]
                |row, channel, y| unsafe { next.put_fixed(s, next_operand, row, channel, y) },
            ),
            None => self.forward(
                s,
                operand,
                rows,
                // SAFETY: `next` has as many inputs as this layer outputs, and its operand the
                // rows.
                #[inline(always)]
                |row, channel, y| unsafe {
                    next.put(s, next_operand, row, channel, next.gelu(s, y));
                },
            ),
        }
    }
}
