//! 1x1, depthwise 3x3, 1x1: TinyViT's MBConv and its merging of patches, in strips that stay in
//! the second-level cache.

use crate::block::{Block, Map, Output, Side};
use crate::depthwise::Depthwise;
use crate::packed::Packed;
use crate::pool::Pool;
use crate::scratch::{Scratch, total};
use crate::simd::{Isa, LANES, Simd, Task};

/// An expansion, a depthwise convolution and a projection, GELU after the first two.
pub struct ConvBlock {
    pub(crate) isa: Isa,
    /// 1x1.
    pub(crate) expand: Packed,
    /// 3x3.
    pub(crate) depthwise: Depthwise,
    /// 1x1.
    pub(crate) project: Packed,
    /// Of the depthwise convolution.
    pub(crate) stride: usize,
    /// Whether the input is added to the result, and GELU follows.
    pub(crate) residual: bool,
}

/// Columns of the output that are computed at once, at most.
const COLUMNS: usize = 32;

/// Rows of the output that one thread computes from top to bottom, at least: two rows of the
/// input are expanded twice where bands meet.
const ROWS: usize = 16;

/// A part of the output.
struct Strip<'a> {
    block: &'a ConvBlock,
    input: &'a [f32],
    input_side: Side,
    output: Output<'a>,
    output_width: usize,
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
    scratch: &'a mut Scratch,
}

impl ConvBlock {
    /// Its parts.
    ///
    /// # Panics
    /// If they do not fit each other.
    pub fn new(
        isa: Isa,
        [expand, project]: [Packed; 2],
        depthwise: Depthwise,
        stride: usize,
        residual: bool,
    ) -> Self {
        assert_eq!(expand.outputs(), depthwise.channels());
        assert_eq!(project.inputs(), depthwise.channels());
        assert!(!residual || (expand.inputs() == project.outputs() && stride == 1));
        Self { isa, expand, depthwise, project, stride, residual }
    }

    fn parts(&self) -> [usize; 4] {
        let row = self.columns_in(COLUMNS);
        [
            self.expand.operand_bytes(row),
            3 * row * self.depthwise.channels() * size_of::<f32>(),
            self.project.operand_bytes(COLUMNS),
            row * LANES * size_of::<i16>(),
        ]
    }

    /// The first two layers of `count` pixels, as the depthwise convolution takes them: from
    /// column `skipped` on of a row of `across`.
    ///
    /// # Safety
    /// There are so many pixels, and room for them in `operand` and `row`.
    #[inline(always)]
    unsafe fn expand_row<S: Simd>(
        &self,
        s: S,
        pixels: *const f32,
        count: usize,
        operand: *mut u8,
        (row, across, skipped): (*mut f32, usize, usize),
        buffer: *mut i16,
    ) {
        let Self { expand, depthwise, .. } = self;
        let inputs = expand.inputs();
        let at = |pixel: usize, channel: usize| Depthwise::at(across, channel, skipped + pixel);
        // SAFETY: the caller's.
        unsafe {
            for pixel in 0..count {
                for channel in (0..inputs).step_by(LANES) {
                    let x = s.load(pixels.add(pixel * inputs + channel));
                    expand.put(s, operand, pixel, channel, x);
                }
            }
            match depthwise.gelu_steps() {
                Some(gelu) => expand.forward_gelu(
                    s,
                    (operand, count),
                    gelu,
                    buffer,
                    #[inline(always)]
                    |pixel, channel, y| {
                        let y = depthwise.taken_fixed(s, channel, y);
                        s.store(row.add(at(pixel, channel)), y);
                    },
                ),
                None => expand.forward(
                    s,
                    operand,
                    count,
                    #[inline(always)]
                    |pixel, channel, y| {
                        let y = depthwise.taken(s, channel, expand.gelu(s, y));
                        s.store(row.add(at(pixel, channel)), y);
                    },
                ),
            }
        }
    }

    /// Columns of the input that so many columns of the output need.
    fn columns_in(&self, columns: usize) -> usize {
        (columns - 1) * self.stride + 3
    }
}

impl Block for ConvBlock {
    fn channels(&self) -> usize {
        self.expand.inputs()
    }

    fn output(&self, input: Map) -> Map {
        let side = |side: usize| (side - 1) / self.stride + 1;
        Map {
            height: side(input.height),
            width: side(input.width),
            channels: self.project.outputs(),
        }
    }

    fn scratch_bytes(&self) -> usize {
        total(self.parts())
    }

    fn run(&self, pool: &Pool, map: Map, input: &[f32], output: &mut [f32], _: &mut [f32]) {
        let to = self.output(map);
        let across = to.width.div_ceil(COLUMNS);
        // Enough parts that none has to wait long for the last.
        let down = (to.height / ROWS).clamp(1, (8 * pool.threads()).div_ceil(across));
        let output = Output::new(output);
        let input_side = Side { height: map.height, width: map.width };
        pool.run(across * down, &|part, scratch| {
            let (column, row) = (part % across * COLUMNS, part / across);
            self.isa.run(Strip {
                block: self,
                input,
                input_side,
                output,
                output_width: to.width,
                rows: row * to.height / down..(row + 1) * to.height / down,
                columns: column..(column + COLUMNS).min(to.width),
                scratch,
            });
        });
    }
}

impl Task for Strip<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self {
            block,
            input,
            input_side: Side { height, width },
            output,
            output_width,
            rows,
            columns,
            scratch,
        } = self;
        let ConvBlock { expand, depthwise, project, stride, residual, .. } = block;
        let (stride, residual) = (*stride, *residual);
        let hidden = depthwise.channels();
        let (inputs, outputs) = (expand.inputs(), project.outputs());
        let [operand, ring, hidden_operand, buffer] = scratch.parts(block.parts());
        let (ring, buffer): (*mut f32, *mut i16) = (ring.cast(), buffer.cast());
        let across = block.columns_in(columns.len());
        // The first column of a row in the ring; the map's own begin and end within it.
        let left = (columns.start * stride) as isize - 1;
        let begin = left.max(0) as usize;
        let end = (left + across as isize).min(width as isize) as usize;
        let skipped = (begin as isize - left) as usize;
        let slot = |row: isize| {
            // SAFETY: the ring has three rows.
            unsafe { ring.add((row + 3) as usize % 3 * across * hidden) }
        };
        let first = (rows.start * stride) as isize - 1;
        let mut filled = first;
        for row in rows {
            let top = (row * stride) as isize - 1;
            while filled < top + 3 {
                let slot = slot(filled);
                // SAFETY: slots, operands and rows of the map are as long as their shapes say.
                unsafe {
                    if filled < 0 || filled >= height as isize {
                        slot.write_bytes(0, across * hidden);
                    } else {
                        for channel in (0..hidden).step_by(LANES) {
                            let of_column = |x| slot.add(Depthwise::at(across, channel, x));
                            let after = skipped + end - begin;
                            of_column(0).write_bytes(0, skipped * LANES);
                            of_column(after).write_bytes(0, (across - after) * LANES);
                        }
                        let pixels = input.as_ptr().add((filled as usize * width + begin) * inputs);
                        let to = (slot, across, skipped);
                        block.expand_row(s, pixels, end - begin, operand, to, buffer);
                    }
                }
                filled += 1;
            }
            let three = [slot(top), slot(top + 1), slot(top + 2)];
            for channel in (0..hidden).step_by(LANES) {
                // SAFETY: the three rows hold all columns, the operand has a row for each.
                unsafe {
                    let three =
                        three.map(|row| row.add(Depthwise::at(across, channel, 0)).cast_const());
                    let (size, next) = ((columns.len(), stride), (project, hidden_operand));
                    depthwise.forward_into(s, three, channel, size, next, buffer);
                }
            }
            let at = row * output_width + columns.start;
            // SAFETY: no other part has these rows and columns.
            unsafe {
                let to = output.at(at * outputs);
                let from = input.as_ptr().add(if residual { at * outputs } else { 0 });
                project.forward(
                    s,
                    hidden_operand,
                    columns.len(),
                    #[inline(always)]
                    |column, channel, y| {
                        let at = column * outputs + channel;
                        let y = if residual {
                            project.gelu(s, s.add(y, s.load(from.add(at))))
                        } else {
                            y
                        };
                        s.store(to.add(at), y);
                    },
                );
            }
        }
    }
}
