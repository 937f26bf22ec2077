//! 1x1, depthwise 3x3 and 1x1 convolutions: TinyViT's MBConv and its patch merging. They are
//! computed in strips that stay in the second-level cache.

use std::ops::Range;

use crate::block::{Block, Map, Maps, Side};
use crate::depthwise::Depthwise;
use crate::limits;
use crate::misfit::{Misfit, check, check_channels, check_lanes, check_number};
use crate::output::SharedOutput;
use crate::packed::{Operand, Packed};
use crate::pool::Pool;
use crate::scratch::{Scratch, Slices};
use crate::simd::{Isa, LANES, Simd, Task};

/// An expansion, a depthwise convolution and a projection, with GELU after the first two.
pub struct ConvBlock {
    isa: Isa,
    expand: Packed,
    depthwise: Depthwise,
    project: Packed,
    stride: usize,
    residual: bool,
}

/// Layers of a [`ConvBlock`].
pub struct ConvLayers {
    /// 1x1, to the hidden channels.
    pub expand: Packed,
    /// 3x3, with the stride of the block.
    pub depthwise: Depthwise,
    /// 1x1, to the output channels.
    pub project: Packed,
}

/// Largest number of output columns computed at once.
const COLUMNS: usize = 32;

/// Smallest number of output rows in a band, which one thread computes from top to bottom. At the
/// boundary of two bands, two rows of the input are expanded twice.
const ROWS: usize = 16;

impl ConvBlock {
    /// A block with this stride of the depthwise convolution, 1 or 2. A `residual` block adds its
    /// input to its output and applies GELU.
    ///
    /// # Errors
    /// If the layers do not match, or a residual block would change the map's shape.
    pub fn new(
        isa: Isa,
        layers: ConvLayers,
        stride: usize,
        residual: bool,
    ) -> Result<Self, Misfit> {
        let ConvLayers { expand, depthwise, project } = layers;
        let (inputs, hidden) = (expand.inputs(), expand.outputs());
        check_number("stride", stride, limits::STRIDE)?;
        let fits = !residual || stride == 1;
        check(fits, "stride", format_args!("{stride}"), format_args!("1 in a residual block"))?;
        check_lanes("expand", "inputs", inputs)?;
        expand.check_isa("expand", isa)?;
        check_channels("depthwise", depthwise.channels(), hidden)?;
        let outputs = if residual { inputs } else { project.outputs() };
        project.check("project", isa, hidden, outputs)?;
        check_lanes("project", "outputs", outputs)?;
        Ok(Self { isa, expand, depthwise, project, stride, residual })
    }

    /// Columns of the input that this number of output columns needs.
    fn input_columns(&self, columns: usize) -> usize {
        (columns - 1) * self.stride + 3
    }
}

impl Block for ConvBlock {
    fn channels(&self) -> usize {
        self.expand.inputs()
    }

    fn output(&self, input: Map) -> Map {
        Map {
            height: input.height.div_ceil(self.stride),
            width: input.width.div_ceil(self.stride),
            channels: self.project.outputs(),
        }
    }

    fn scratch_bytes(&self) -> usize {
        Slices::bytes(|slices| StripScratch::new(self, slices))
    }

    fn run(&self, pool: &Pool, map: Map, input: &[f32], output: &mut [f32], between: &mut [f32]) {
        let Maps { input, output, .. } = Maps::new(self, map, input, output, between);
        if map.is_empty() {
            return;
        }
        let to = self.output(map);
        let across = to.width.div_ceil(COLUMNS);
        // Enough parts that no thread waits long for the last one.
        let down = (to.height / ROWS).clamp(1, (8 * pool.threads()).div_ceil(across));
        let output = SharedOutput::new(output);
        pool.run(across * down, &|part, scratch| {
            let (column, row) = (part % across * COLUMNS, part / across);
            self.isa.run(Strip {
                block: self,
                input,
                input_side: Side { height: map.height, width: map.width },
                output,
                output_width: to.width,
                rows: row * to.height / down..(row + 1) * to.height / down,
                columns: column..(column + COLUMNS).min(to.width),
                scratch,
            });
        });
    }
}

/// Some columns of a band of output rows.
struct Strip<'a> {
    block: &'a ConvBlock,
    /// `[H, W, C]` of `input_side`.
    input: &'a [f32],
    input_side: Side,
    output: SharedOutput<'a>,
    output_width: usize,
    rows: Range<usize>,
    columns: Range<usize>,
    scratch: &'a mut Scratch,
}

/// Memory for a [`Strip`].
struct StripScratch<'a> {
    /// The input columns of a row, for the expansion.
    operand: Operand<'a>,
    /// Three rows of the depthwise convolution's input, `[3, hidden / LANES, input columns]`.
    ring: &'a mut [[f32; LANES]],
    /// The columns of an output row, for the projection.
    hidden: Operand<'a>,
    gelu_buffer: &'a mut [[i16; LANES]],
}

impl<'a> StripScratch<'a> {
    fn new(block: &ConvBlock, slices: &mut Slices<'a>) -> Self {
        let across = block.input_columns(COLUMNS);
        Self {
            operand: block.expand.operand(slices, across),
            ring: slices.take(3 * block.depthwise.channels() / LANES * across),
            hidden: block.project.operand(slices, COLUMNS),
            gelu_buffer: slices.take(across),
        }
    }
}

impl Task for Strip<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { block, input, input_side, output, output_width, rows, columns, scratch } = self;
        let Side { height, width } = input_side;
        let ConvBlock { expand, depthwise, project, stride, residual, .. } = block;
        let (stride, residual) = (*stride, *residual);
        let (inputs, outputs) = (expand.inputs(), project.outputs());
        let scratch = StripScratch::new(block, &mut scratch.slices());
        let StripScratch { mut operand, ring, mut hidden, gelu_buffer } = scratch;
        let across = block.input_columns(columns.len());
        // Column of the map where a row of the ring begins, plus one: the padding on the left
        // makes it 0.
        let left = columns.start * stride;
        // The part of the map that a row of the ring covers.
        let covered = left.saturating_sub(1)..(left + across - 1).min(width);
        let row_len = depthwise.channels() / LANES * across;
        let slot = |row: usize| row % 3 * row_len..(row % 3 + 1) * row_len;
        // Rows of the map are counted from 1 here; row 0 is the padding above.
        let mut next = rows.start * stride;
        for row in rows {
            let top = row * stride;
            while next < top + 3 {
                let ring_row = &mut ring[slot(next)];
                if (1..=height).contains(&next) {
                    let start = ((next - 1) * width + covered.start) * inputs;
                    let pixels = &input[start..start + covered.len() * inputs];
                    let to = RingRow { row: ring_row, across, first: covered.start + 1 - left };
                    to.expand(s, block, pixels, &mut operand, gelu_buffer);
                } else {
                    ring_row.fill([0.0; LANES]);
                }
                next += 1;
            }
            let three = [0, 1, 2].map(|below| &ring[slot(top + below)]);
            for group in 0..depthwise.channels() / LANES {
                let vectors = group * across..(group + 1) * across;
                let three =
                    [&three[0][vectors.clone()], &three[1][vectors.clone()], &three[2][vectors]];
                let size = (columns.len(), stride);
                let next = (project, &mut hidden);
                depthwise.forward_into(s, three, group * LANES, size, next, gelu_buffer);
            }
            let start = (row * output_width + columns.start) * outputs;
            let end = start + columns.len() * outputs;
            // SAFETY: no other part has these rows and columns of the output.
            let to = unsafe { output.part(start..end) };
            if residual {
                project.forward_zip(
                    s,
                    &hidden,
                    columns.len(),
                    (&input[start..end], to),
                    #[inline(always)]
                    |y, x| project.gelu(s, s.add(y, x)),
                );
            } else {
                project.forward_rows(s, &hidden, columns.len(), to);
            }
        }
    }
}

/// A row of the depthwise convolution's input, `[hidden / LANES, across]`.
struct RingRow<'a> {
    row: &'a mut [[f32; LANES]],
    across: usize,
    /// Column of the first pixel; those before it are padding.
    first: usize,
}

impl RingRow<'_> {
    /// Fills the row: expansion and GELU of `pixels` `[W, inputs]`, and zeros on both sides.
    ///
    /// # Panics
    /// If the row has fewer columns, or `operand` or `buffer` is too short for the pixels.
    #[inline(always)]
    fn expand<S: Simd>(
        self,
        s: S,
        block: &ConvBlock,
        pixels: &[f32],
        operand: &mut Operand,
        buffer: &mut [[i16; LANES]],
    ) {
        let ConvBlock { expand, depthwise, .. } = block;
        let Self { row, across, first } = self;
        let count = pixels.len() / expand.inputs();
        assert!(first + count <= across, "{count} pixels from {first} on of {across}");
        assert_eq!(row.len(), depthwise.channels() / LANES * across, "vectors of a ring row");
        for vectors in row.chunks_exact_mut(across) {
            vectors[..first].fill([0.0; LANES]);
            vectors[first + count..].fill([0.0; LANES]);
        }
        expand.put_rows(s, operand, pixels);
        let at = |pixel: usize, channel: usize| channel / LANES * across + first + pixel;
        match depthwise.fixed_gelu() {
            Some(gelu) => expand.forward_gelu(
                s,
                (operand, count),
                gelu,
                buffer,
                // SAFETY: channels are less than the expansion's outputs, which are those of the
                // convolution and in whole `LANES` (`new`); `pixel` is less than `count`. So the
                // row has the vector.
                #[inline(always)]
                |pixel, channel, y| unsafe {
                    let y = depthwise.quantize_fixed(s, channel, y);
                    s.store(row.get_unchecked_mut(at(pixel, channel)), y);
                },
            ),
            None => expand.forward(
                s,
                operand,
                count,
                // SAFETY: as above.
                #[inline(always)]
                |pixel, channel, y| unsafe {
                    let y = depthwise.quantize(s, channel, expand.gelu(s, y));
                    s.store(row.get_unchecked_mut(at(pixel, channel)), y);
                },
            ),
        }
    }
}
