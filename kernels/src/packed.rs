//! Linear layers whose weights lie in the order in which they are read.

use std::ops::Range;

use crate::gelu::{FRACTION, GeluSteps};
use crate::linear::LinearS8;
use crate::scratch::Scratch;
use crate::simd::{Isa, LANES, Simd, Task, gelu, quick_gelu};

/// Runs `$body` for tiles of `$rows` rows, with the first row of each and, as a constant, how many
/// it has: [`ROWS`], or few that are left. Each number of rows is compiled anew.
macro_rules! tiles {
    ($rows:expr, $first:ident, $R:ident => $body:expr) => {{
        let rows = $rows;
        let mut next = 0;
        tiles!(@ next rows $first $R $crate::packed::ROWS, $body);
        tiles!(@ next rows $first $R 2, $body);
        tiles!(@ next rows $first $R 1, $body);
    }};
    (@ $next:ident $all:ident $first:ident $R:ident $count:expr, $body:expr) => {{
        const $R: usize = $count;
        while $next + $R <= $all {
            let $first = $next;
            $body;
            $next += $R;
        }
    }};
}
pub(crate) use tiles;

/// Rows of a tile, at most: their sums stay in registers.
pub(crate) const ROWS: usize = 6;

/// A linear layer, in 8 bits or in float.
///
/// Its input is an *operand*: rows of steps if it computes in 8 bits, of floats otherwise, in
/// scratch memory, each followed by zeros up to a whole number of [`LANES`].
pub struct Packed {
    inputs: usize,
    outputs: usize,
    /// With zeros after the last output, as in all that has a value for each output.
    bias: Vec<f32>,
    arithmetic: Arithmetic,
}

enum Arithmetic {
    Int8 {
        /// `[out / LANES, in / GROUP, LANES, GROUP]`.
        weight: Vec<i8>,
        /// What sums of products start with, `[out]`.
        start: Vec<i32>,
        steps: Vec<f32>,
        inverse: Vec<f32>,
        zero: Vec<f32>,
        /// How GELU before it becomes steps, and zeros with [`FRACTION`]; none where 16 bits do
        /// not do.
        gelu: Option<Box<(GeluSteps, Vec<i16>)>>,
    },
    Float {
        /// `[out / LANES, in, LANES]`.
        weight: Vec<f32>,
    },
}

impl Packed {
    /// A layer in 8 bits.
    pub fn int8(isa: Isa, layer: &LinearS8) -> Self {
        let (inputs, outputs) = (layer.inverse.len(), layer.steps.len());
        let (group, offset) = isa.run(LayoutOf);
        let mut start = vec![0; padded(outputs)];
        for (start, weight) in start.iter_mut().zip(layer.weight.chunks_exact(inputs)) {
            *start = -offset * weight.iter().map(|w| i32::from(*w)).sum::<i32>();
        }
        let each = |at: usize| {
            let (within, at) = (at % group, at / group);
            let (lane, at) = (at % LANES, at / LANES);
            let groups = padded(inputs) / group;
            let (input, output) = (at % groups * group + within, at / groups * LANES + lane);
            let is_padding = input >= inputs || output >= outputs;
            if is_padding { 0 } else { layer.weight[output * inputs + input] }
        };
        Self {
            inputs,
            outputs,
            bias: with_zeros(layer.bias),
            arithmetic: Arithmetic::Int8 {
                weight: (0..padded(inputs) * padded(outputs)).map(each).collect(),
                start,
                steps: with_zeros(layer.steps),
                inverse: with_zeros(layer.inverse),
                zero: with_zeros(layer.zero),
                gelu: GeluSteps::new(layer.inverse).map(|gelu| {
                    let zero = with_zeros(layer.zero);
                    let zero = zero.iter().map(|zero| (*zero as i16) << FRACTION);
                    Box::new((gelu, zero.collect()))
                }),
            },
        }
    }

    /// A layer in float; `weight` is `[out, in]`, row-major.
    ///
    /// # Panics
    /// If `weight` is not that long.
    pub fn float(weight: &[f32], bias: &[f32]) -> Self {
        let outputs = bias.len();
        let inputs = weight.len() / outputs;
        assert_eq!(weight.len(), inputs * outputs, "weights of {outputs} outputs");
        let each = |at: usize| {
            let (lane, at) = (at % LANES, at / LANES);
            let (input, output) = (at % padded(inputs), at / padded(inputs) * LANES + lane);
            let is_padding = input >= inputs || output >= outputs;
            if is_padding { 0.0 } else { weight[output * inputs + input] }
        };
        let weight = (0..padded(inputs) * padded(outputs)).map(each).collect();
        Self { inputs, outputs, bias: with_zeros(bias), arithmetic: Arithmetic::Float { weight } }
    }

    /// Inputs.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Outputs.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// GELU, as exact as its arithmetic.
    #[inline(always)]
    pub(crate) fn gelu<S: Simd>(&self, s: S, x: S::F) -> S::F {
        match self.arithmetic {
            Arithmetic::Int8 { .. } => quick_gelu(s, x),
            Arithmetic::Float { .. } => gelu(s, x),
        }
    }

    /// The outputs of one row.
    ///
    /// # Panics
    /// If the row is shorter than its inputs.
    pub fn row(&self, isa: Isa, row: &[f32]) -> Vec<f32> {
        assert!(row.len() >= self.inputs, "{} inputs, {} expected", row.len(), self.inputs);
        let mut scratch = Scratch::default();
        scratch.reserve(self.operand_bytes(1));
        let mut output = vec![0.0; self.padded_outputs()];
        isa.run(Row { layer: self, row: with_zeros(row), output: &mut output, scratch });
        output.truncate(self.outputs);
        output
    }

    /// Outputs, and zeros up to a whole number of [`LANES`].
    pub(crate) fn padded_outputs(&self) -> usize {
        padded(self.outputs)
    }

    /// Where a value of its operand is.
    ///
    /// # Safety
    /// The operand has so many.
    #[inline(always)]
    pub(crate) unsafe fn value<S: Simd>(&self, operand: *const u8, at: usize) -> *const u8 {
        let size = match self.arithmetic {
            Arithmetic::Int8 { .. } => size_of::<S::Step>(),
            Arithmetic::Float { .. } => size_of::<f32>(),
        };
        // SAFETY: the caller's.
        unsafe { operand.add(at * size) }
    }

    /// Bytes of a value of its operand, at most.
    pub(crate) fn operand_size(&self) -> usize {
        if let Arithmetic::Int8 { .. } = self.arithmetic { 2 } else { 4 }
    }

    /// Bytes of `rows` rows of its operand.
    pub(crate) fn operand_bytes(&self, rows: usize) -> usize {
        rows * padded(self.inputs) * self.operand_size()
    }

    /// Writes [`LANES`] values, from `channel` on, into a row of the operand.
    ///
    /// # Safety
    /// The operand has that row, and the layer that channel.
    #[inline(always)]
    pub(crate) unsafe fn put<S: Simd>(
        &self,
        s: S,
        operand: *mut u8,
        row: usize,
        channel: usize,
        x: S::F,
    ) {
        // SAFETY: the caller's.
        unsafe { self.put_at(s, operand, row * padded(self.inputs) + channel, channel, x) }
    }

    /// The same for values that lie elsewhere than in rows: `at` counts them.
    ///
    /// # Safety
    /// There is room for them, and the layer has that channel.
    #[inline(always)]
    pub(crate) unsafe fn put_at<S: Simd>(
        &self,
        s: S,
        operand: *mut u8,
        at: usize,
        channel: usize,
        x: S::F,
    ) {
        // SAFETY: the caller's; vectors of one value per input are as long as rows.
        unsafe {
            match &self.arithmetic {
                Arithmetic::Int8 { inverse, zero, .. } => {
                    let inverse = s.load(inverse.as_ptr().add(channel));
                    let zero = s.load(zero.as_ptr().add(channel));
                    let x = s.mul_add(x, inverse, zero);
                    s.store_steps(operand.cast::<S::Step>().add(at), x);
                }
                Arithmetic::Float { .. } => s.store(operand.cast::<f32>().add(at), x),
            }
        }
    }

    /// Of `rows` rows of the operand, gives each [`LANES`] outputs as `(row, channel, values)`.
    ///
    /// # Safety
    /// The operand has so many rows.
    #[inline(always)]
    pub(crate) unsafe fn forward<S: Simd>(
        &self,
        s: S,
        operand: *const u8,
        rows: usize,
        each: impl FnMut(usize, usize, S::F),
    ) {
        // SAFETY: the caller's.
        unsafe { self.forward_channels(s, (operand, rows), 0..self.padded_outputs(), each) }
    }

    /// The same of some channels: whole [`LANES`] of them.
    ///
    /// # Safety
    /// The operand has so many rows, and the layer those outputs.
    #[inline(always)]
    pub(crate) unsafe fn forward_channels<S: Simd>(
        &self,
        s: S,
        (operand, rows): (*const u8, usize),
        channels: Range<usize>,
        each: impl FnMut(usize, usize, S::F),
    ) {
        let stride = padded(self.inputs);
        // SAFETY: the caller's.
        unsafe { self.forward_parts(s, ([operand], stride), rows, channels, each) }
    }

    /// The same for rows in `N` parts of equal length, each part of the next row `stride` values
    /// after that of the last.
    ///
    /// # Safety
    /// All parts have so many rows, and the layer those outputs.
    #[inline(always)]
    pub(crate) unsafe fn forward_parts<S: Simd, const N: usize>(
        &self,
        s: S,
        (operands, stride): ([*const u8; N], usize),
        rows: usize,
        channels: Range<usize>,
        mut each: impl FnMut(usize, usize, S::F),
    ) {
        for channel in channels.step_by(LANES) {
            // SAFETY: the caller's.
            unsafe {
                self.lanes(
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

    /// [`LANES`] outputs from `channel` on, times `scale`, given as `(row, values)`.
    ///
    /// # Safety
    /// All parts have so many rows, and the layer that channel.
    #[inline(always)]
    unsafe fn lanes<S: Simd, const N: usize>(
        &self,
        s: S,
        operands: [*const u8; N],
        stride: usize,
        rows: usize,
        (channel, scale): (usize, S::F),
        mut each: impl FnMut(usize, S::F),
    ) {
        let inputs = padded(self.inputs);
        let part = inputs / N;
        // SAFETY: the caller's; weights, steps and bias were packed for so many channels.
        unsafe {
            let bias = s.load(self.bias.as_ptr().add(channel));
            match &self.arithmetic {
                Arithmetic::Int8 { weight, start, steps, .. } => {
                    let weight = weight.as_ptr().add(channel * inputs);
                    let start = s.sums(start.as_ptr().add(channel));
                    let steps = s.mul(s.load(steps.as_ptr().add(channel)), scale);
                    let bias = s.mul(bias, scale);
                    tiles!(rows, row, R => {
                        let mut sums = [start; R];
                        for (i, operand) in operands.iter().enumerate() {
                            let x = operand.cast::<S::Step>().add(row * stride);
                            let weight = weight.add(i * part * LANES);
                            sums = s.tile::<R>(sums, x, stride, weight, part);
                        }
                        for (i, sum) in sums.into_iter().enumerate() {
                            each(row + i, s.mul_add(s.to_float(sum), steps, bias));
                        }
                    });
                }
                Arithmetic::Float { weight } => {
                    let weight = weight.as_ptr().add(channel * inputs);
                    tiles!(rows, row, R => {
                        let mut sums = [bias; R];
                        for (i, operand) in operands.iter().enumerate() {
                            let x = operand.cast::<f32>().add(row * stride);
                            let weight = weight.add(i * part * LANES);
                            sums = tile(s, sums, x, stride, weight, LANES, part);
                        }
                        for (i, sum) in sums.into_iter().enumerate() {
                            each(row + i, s.mul(sum, scale));
                        }
                    });
                }
            }
        }
    }

    /// [`Packed::forward`] and GELU, in steps that `gelu` says, given as `(row, channel, values)`.
    ///
    /// # Safety
    /// The operand has so many rows, `buffer` room for [`LANES`] values of each, and `gelu` as
    /// many channels as the layer has outputs.
    #[inline(always)]
    pub(crate) unsafe fn forward_gelu<S: Simd>(
        &self,
        s: S,
        (operand, rows): (*const u8, usize),
        gelu: &GeluSteps,
        buffer: *mut i16,
        mut each: impl FnMut(usize, usize, S::H),
    ) {
        let stride = padded(self.inputs);
        for channel in (0..self.padded_outputs()).step_by(LANES) {
            // SAFETY: the caller's.
            unsafe {
                let scale = gelu.scale(s, channel);
                self.lanes(
                    s,
                    [operand],
                    stride,
                    rows,
                    (channel, scale),
                    #[inline(always)]
                    |row, y| s.fixed_store(buffer.add(row * LANES), s.to_fixed(y)),
                );
                gelu.forward(
                    s,
                    channel,
                    buffer,
                    rows,
                    #[inline(always)]
                    |row, y| each(row, channel, y),
                );
            }
        }
    }

    /// [`Packed::forward`] and GELU into the operand of the layer after it.
    ///
    /// # Safety
    /// Both operands have so many rows, `buffer` room for [`LANES`] values of each, and `next` as
    /// many inputs as the layer has outputs.
    #[inline(always)]
    pub(crate) unsafe fn forward_into<S: Simd>(
        &self,
        s: S,
        (operand, rows): (*const u8, usize),
        (next, next_operand): (&Self, *mut u8),
        buffer: *mut i16,
    ) {
        // SAFETY: the caller's.
        unsafe {
            match next.gelu_steps() {
                Some(gelu) => self.forward_gelu(
                    s,
                    (operand, rows),
                    gelu,
                    buffer,
                    #[inline(always)]
                    |row, channel, y| next.put_fixed(s, next_operand, row, channel, y),
                ),
                None => self.forward(
                    s,
                    operand,
                    rows,
                    #[inline(always)]
                    |row, channel, y| next.put(s, next_operand, row, channel, next.gelu(s, y)),
                ),
            }
        }
    }

    /// How GELU comes into its operand, if it does in 16 bits.
    pub(crate) fn gelu_steps(&self) -> Option<&GeluSteps> {
        match &self.arithmetic {
            Arithmetic::Int8 { gelu, .. } => gelu.as_deref().map(|(gelu, _)| gelu),
            Arithmetic::Float { .. } => None,
        }
    }

    /// Writes [`LANES`] values, in steps with [`FRACTION`] and from `channel` on, into a row of
    /// the operand.
    ///
    /// # Safety
    /// The operand has that row, and the layer, which has [`Packed::gelu_steps`], that channel.
    #[inline(always)]
    pub(crate) unsafe fn put_fixed<S: Simd>(
        &self,
        s: S,
        operand: *mut u8,
        row: usize,
        channel: usize,
        x: S::H,
    ) {
        let Arithmetic::Int8 { gelu: Some(gelu), .. } = &self.arithmetic else { return };
        // SAFETY: the caller's.
        unsafe {
            let zero = s.fixed_load(gelu.1.as_ptr().add(channel));
            let to = operand.cast::<S::Step>().add(row * padded(self.inputs) + channel);
            s.fixed_store_steps::<FRACTION>(to, s.fixed_add(x, zero));
        }
    }
}

/// Adds to `sums` the products of `R` rows of floats, `stride` apart, with the rows of `weight`,
/// `weight_stride` apart: [`LANES`] columns of it.
///
/// # Safety
/// Each row has `inputs` values, and there are `inputs` rows of weights.
#[inline(always)]
pub(crate) unsafe fn tile<S: Simd, const R: usize>(
    s: S,
    mut sums: [S::F; R],
    rows: *const f32,
    stride: usize,
    weight: *const f32,
    weight_stride: usize,
    inputs: usize,
) -> [S::F; R] {
    for input in 0..inputs {
        // SAFETY: the caller's.
        unsafe {
            let weight = s.load(weight.add(input * weight_stride));
            for (row, sum) in sums.iter_mut().enumerate() {
                *sum = s.mul_add(s.splat(*rows.add(row * stride + input)), weight, *sum);
            }
        }
    }
    sums
}

/// The next whole number of [`LANES`].
pub(crate) fn padded(channels: usize) -> usize {
    channels.next_multiple_of(LANES)
}

pub(crate) fn with_zeros(values: &[f32]) -> Vec<f32> {
    let mut values = values.to_vec();
    values.resize(padded(values.len()), 0.0);
    values
}

struct Row<'a> {
    layer: &'a Packed,
    row: Vec<f32>,
    output: &'a mut [f32],
    scratch: Scratch,
}

impl Task for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let [operand] = self.scratch.parts([self.layer.operand_bytes(1)]);
        let output = self.output.as_mut_ptr();
        // SAFETY: row, operand and output are padded.
        unsafe {
            for channel in (0..padded(self.layer.inputs)).step_by(LANES) {
                self.layer.put(s, operand, 0, channel, s.load(self.row.as_ptr().add(channel)));
            }
            self.layer.forward(
                s,
                operand,
                1,
                #[inline(always)]
                |_, channel, y| s.store(output.add(channel), y),
            );
        }
    }
}

/// [`Simd::GROUP`] and [`Simd::OFFSET`].
struct LayoutOf;

impl Task for LayoutOf {
    type Output = (usize, i32);

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Self::Output {
        (S::GROUP, S::OFFSET)
    }
}
