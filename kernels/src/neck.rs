//! The neck of SAM's encoder: to the embedding's channels, norm, dense 3x3 convolution, norm.

use crate::block::{Block, Map, Maps, Side};
use crate::misfit::{Misfit, check_channels, check_lanes};
use crate::norm::Norm;
use crate::output::{SharedOutput, Strip, Strips};
use crate::packed::{Operand, Packed};
use crate::pool::Pool;
use crate::scratch::{Scratch, Slices};
use crate::simd::{Isa, LANES, Simd, Task};

/// A 1x1 convolution, a norm, a 3x3 convolution padded by one, and a norm.
///
/// Between its halves it keeps the operand of the 3x3 convolution, `[H + 2, W + 2, C]`, with zeros
/// around the map.
pub struct Neck {
    isa: Isa,
    reduce: Packed,
    norm1: Norm,
    conv: Packed,
    norm2: Norm,
}

/// Layers of a [`Neck`].
pub struct NeckLayers {
    /// 1x1, to the embedding's channels.
    pub reduce: Packed,
    /// Norm after `reduce`.
    pub norm1: Norm,
    /// 3x3, as a linear layer of the nine neighbours, row by row, channels last.
    pub conv: Packed,
    /// Norm after `conv`.
    pub norm2: Norm,
}

/// Largest number of positions computed at once.
const POSITIONS: usize = 64;

impl Neck {
    /// A neck of these layers.
    ///
    /// # Errors
    /// If their shapes do not match.
    pub fn new(isa: Isa, layers: NeckLayers) -> Result<Self, Misfit> {
        let NeckLayers { reduce, norm1, conv, norm2 } = layers;
        check_lanes("reduce", "inputs", reduce.inputs())?;
        reduce.check_isa("reduce", isa)?;
        check_channels("norm1", norm1.channels(), reduce.outputs())?;
        conv.check("conv", isa, 9 * norm1.channels(), conv.outputs())?;
        check_channels("norm2", norm2.channels(), conv.outputs())?;
        Ok(Self { isa, reduce, norm1, conv, norm2 })
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
        Slices::bytes(|slices| ReduceScratch::new(self, slices))
    }

    fn between_len(&self, input: Map) -> usize {
        let [height, width] = [input.height, input.width].map(|side| side.saturating_add(2));
        Map { height, width, channels: self.norm1.channels() }.len()
    }

    fn run(&self, pool: &Pool, map: Map, input: &[f32], output: &mut [f32], between: &mut [f32]) {
        let Maps { input, output, between } = Maps::new(self, map, input, output, between);
        if map.is_empty() {
            return;
        }
        let side = Side { height: map.height, width: map.width };
        let operand = SharedOutput::new(between);
        pool.run(map.height + 2, &|row, scratch| {
            self.isa.run(Reduce { block: self, input, operand, side, row, scratch });
        });
        let operand = &*between;
        let strips = Strips::new(map.height, map.width, POSITIONS);
        strips.run(pool, output, self.conv.outputs(), |strip, output, _| {
            self.isa.run(Convolve { block: self, operand, width: map.width, strip, output });
        });
    }
}

/// A row of the convolution's operand.
struct Reduce<'a> {
    block: &'a Neck,
    input: &'a [f32],
    /// `[H + 2, W + 2, C]`, with room for floats.
    operand: SharedOutput<'a>,
    side: Side,
    /// Row of the operand: the first and the last are padding.
    row: usize,
    scratch: &'a mut Scratch,
}

/// Memory for [`Reduce`].
struct ReduceScratch<'a> {
    operand: Operand<'a>,
    /// `[POSITIONS, C]`.
    reduced: &'a mut [f32],
}

impl<'a> ReduceScratch<'a> {
    fn new(block: &Neck, slices: &mut Slices<'a>) -> Self {
        Self {
            operand: block.reduce.operand(slices, POSITIONS),
            reduced: slices.take(POSITIONS * block.norm1.channels()),
        }
    }
}

impl Task for Reduce<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { block, input, operand: to, side: Side { height, width }, row, scratch } = self;
        let Neck { reduce, norm1, conv, .. } = block;
        let (inputs, channels) = (reduce.inputs(), norm1.channels());
        let ReduceScratch { mut operand, reduced } =
            ReduceScratch::new(block, &mut scratch.slices());
        let at = |column: usize| (row * (width + 2) + column) * channels;
        let is_padding = row == 0 || row > height;
        for column in (0..width + 2).step_by(if is_padding { 1 } else { width + 1 }) {
            for channel in (0..channels).step_by(LANES) {
                let zeros = s.splat(0.0);
                // SAFETY: the operand has the row and the column, with room for floats, and the
                // convolution the channel. No other part writes to this row.
                unsafe { conv.put_at(s, to.at(0), at(column) + channel, channel, zeros) };
            }
        }
        if is_padding {
            return;
        }
        let pixels = &input[(row - 1) * width * inputs..][..width * inputs];
        for (part, pixels) in pixels.chunks(POSITIONS * inputs).enumerate() {
            let count = pixels.len() / inputs;
            reduce.put_rows(s, &mut operand, pixels);
            reduce.forward_rows(s, &operand, count, reduced);
            for (position, reduced) in reduced.chunks_exact(channels).take(count).enumerate() {
                let at = at(1 + part * POSITIONS + position);
                norm1.forward(
                    s,
                    reduced,
                    // SAFETY: as above.
                    #[inline(always)]
                    |channel, x| unsafe { conv.put_at(s, to.at(0), at + channel, channel, x) },
                );
            }
        }
    }
}

/// The convolution of a strip.
struct Convolve<'a> {
    block: &'a Neck,
    /// `[H + 2, W + 2, C]`.
    operand: &'a [f32],
    /// W.
    width: usize,
    strip: Strip,
    output: &'a mut [f32],
}

impl Task for Convolve<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { block, operand, width, strip: Strip { row, columns, .. }, output } = self;
        let Neck { norm1, conv, norm2, .. } = block;
        let (channels, outputs) = (norm1.channels(), norm2.channels());
        let row_len = (width + 2) * channels;
        assert!((row + 3) * row_len <= operand.len() && columns.end <= width, "{row} {columns:?}");
        let to = output[..columns.len() * outputs].as_mut_ptr();
        // SAFETY: the operand has the rows `row` to `row + 2` and the columns from
        // `columns.start` to `columns.end + 1`. The neighbours of a position in a row are
        // `3 * channels` values, a third of the convolution's inputs in whole `LANES` (`new`), and
        // those of the next position begin `channels` later. `to` has `outputs` values for each
        // position.
        unsafe {
            let start = |below: usize| (row + below) * row_len + columns.start * channels;
            let rows = [
                conv.value_at::<S>(operand.as_ptr(), start(0)),
                conv.value_at::<S>(operand.as_ptr(), start(1)),
                conv.value_at::<S>(operand.as_ptr(), start(2)),
            ];
            conv.forward_parts(
                s,
                (rows, channels),
                columns.len(),
                0..conv.padded_outputs(),
                #[inline(always)]
                |position, channel, y| s.store_ptr(to.add(position * outputs + channel), y),
            );
        }
        for row in output.chunks_exact_mut(outputs) {
            norm2.in_place(s, row);
        }
    }
}
