//! SAM's neck: to the embedding's width, norm, a dense 3x3 convolution, norm.

use crate::block::{Block, Map, Output, Side};
use crate::norm::Norm;
use crate::packed::Packed;
use crate::pool::Pool;
use crate::scratch::{Scratch, total};
use crate::simd::{Isa, LANES, Simd, Task};

/// A 1x1 convolution, a norm, a 3x3 convolution padded by one, a norm.
pub struct Neck {
    isa: Isa,
    reduce: Packed,
    norm1: Norm,
    /// A linear layer of the nine neighbours, row by row, channels last.
    conv: Packed,
    norm2: Norm,
}

/// Positions that are computed at once, at most.
const POSITIONS: usize = 64;

impl Neck {
    /// Its layers; `conv` is a linear layer of the nine neighbours, row by row, channels last.
    ///
    /// # Panics
    /// If they do not fit each other.
    pub fn new(isa: Isa, reduce: Packed, norm1: Norm, conv: Packed, norm2: Norm) -> Self {
        assert_eq!(reduce.outputs(), norm1.channels());
        assert_eq!(conv.inputs(), 9 * norm1.channels());
        assert_eq!(conv.outputs(), norm2.channels());
        assert!(reduce.inputs().is_multiple_of(LANES), "{} inputs", reduce.inputs());
        Self { isa, reduce, norm1, conv, norm2 }
    }

    fn parts(&self) -> [usize; 2] {
        let channels = self.norm1.channels().max(self.norm2.channels());
        [self.reduce.operand_bytes(POSITIONS), POSITIONS * channels * size_of::<f32>()]
    }
}

impl Block for Neck {
    fn channels(&self) -> usize {
        self.reduce.inputs()
    }

    fn output(&self, input: Map) -> Map {
        Map { channels: self.conv.outputs(), ..input }
    }

    fn scratch_bytes(&self) -> usize {
        total(self.parts())
    }

    /// The convolution's operand, padded.
    fn between(&self, input: Map) -> usize {
        (input.height + 2) * (input.width + 2) * self.norm1.channels()
    }

    fn run(&self, pool: &Pool, map: Map, input: &[f32], output: &mut [f32], between: &mut [f32]) {
        assert!(input.len() >= map.len() && output.len() >= self.output(map).len());
        assert!(between.len() >= self.between(map) && self.conv.operand_size() <= size_of::<f32>());
        let side = Side { height: map.height, width: map.width };
        let operand = Output::new(between);
        pool.run(map.height + 2, &|row, scratch| {
            self.isa.run(Reduce { block: self, input, operand, side, row, scratch });
        });
        let output = Output::new(output);
        let across = map.width.div_ceil(POSITIONS);
        pool.run(across * map.height, &|part, scratch| {
            let (row, column) = (part / across, part % across);
            let columns = column * map.width / across..(column + 1) * map.width / across;
            self.isa.run(Convolve { block: self, operand, output, side, row, columns, scratch });
        });
    }
}

/// A row of the convolution's padded operand.
struct Reduce<'a> {
    block: &'a Neck,
    input: &'a [f32],
    operand: Output<'a>,
    side: Side,
    /// The first is padding.
    row: usize,
    scratch: &'a mut Scratch,
}

impl Task for Reduce<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { block, input, operand, side: Side { height, width }, row, scratch } = self;
        let Neck { reduce, norm1, conv, .. } = block;
        let (inputs, channels) = (reduce.inputs(), norm1.channels());
        let [steps, reduced] = scratch.parts(block.parts());
        let reduced: *mut f32 = reduced.cast();
        // SAFETY: all memory is as long as its shape says; no other part has this row.
        unsafe {
            let operand: *mut u8 = operand.at(0).cast();
            let is_padding = row == 0 || row > height;
            let step = if is_padding { 1 } else { width + 1 };
            for column in (0..width + 2).step_by(step) {
                for channel in (0..channels).step_by(LANES) {
                    let at = (row * (width + 2) + column) * channels + channel;
                    conv.put_at(s, operand, at, channel, s.splat(0.0));
                }
            }
            if is_padding {
                return;
            }
            for first in (0..width).step_by(POSITIONS) {
                let count = POSITIONS.min(width - first);
                let from = input.as_ptr().add(((row - 1) * width + first) * inputs);
                for position in 0..count {
                    for channel in (0..inputs).step_by(LANES) {
                        let x = s.load(from.add(position * inputs + channel));
                        reduce.put(s, steps, position, channel, x);
                    }
                }
                reduce.forward(
                    s,
                    steps,
                    count,
                    #[inline(always)]
                    |position, channel, y| s.store(reduced.add(position * channels + channel), y),
                );
                for position in 0..count {
                    let at = (row * (width + 2) + 1 + first + position) * channels;
                    norm1.forward(
                        s,
                        reduced.add(position * channels),
                        #[inline(always)]
                        |channel, x| conv.put_at(s, operand, at + channel, channel, x),
                    );
                }
            }
        }
    }
}

/// The convolution of a part of a row.
struct Convolve<'a> {
    block: &'a Neck,
    operand: Output<'a>,
    output: Output<'a>,
    side: Side,
    row: usize,
    columns: std::ops::Range<usize>,
    scratch: &'a mut Scratch,
}

impl Task for Convolve<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { block, operand, output, side: Side { width, .. }, row, columns, scratch } = self;
        let Neck { norm1, conv, norm2, .. } = block;
        let (channels, outputs) = (norm1.channels(), norm2.channels());
        let [_, convolved] = scratch.parts(block.parts());
        let convolved: *mut f32 = convolved.cast();
        // SAFETY: all memory is as long as its shape says; no other part has these positions.
        unsafe {
            let operand = operand.at(0).cast::<u8>().cast_const();
            let at = |above: usize| ((row + above) * (width + 2) + columns.start) * channels;
            let rows = [
                conv.value::<S>(operand, at(0)),
                conv.value::<S>(operand, at(1)),
                conv.value::<S>(operand, at(2)),
            ];
            conv.forward_parts(
                s,
                (rows, channels),
                columns.len(),
                0..conv.padded_outputs(),
                #[inline(always)]
                |position, channel, y| s.store(convolved.add(position * outputs + channel), y),
            );
            for position in 0..columns.len() {
                let to = output.at((row * width + columns.start + position) * outputs);
                norm2.forward(
                    s,
                    convolved.add(position * outputs),
                    #[inline(always)]
                    |channel, x| s.store(to.add(channel), x),
                );
            }
        }
    }
}
