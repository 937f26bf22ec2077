//! An earlier mask as a prompt: its logits shrunk by four, to the channels of the embedding.

use std::ops::Range;

use crate::block::Output;
use crate::norm::Norm;
use crate::packed::{Packed, padded};
use crate::pool::Pool;
use crate::scratch::{Scratch, total};
use crate::simd::{Isa, LANES, Simd, Task};

/// Positions of the embedding that are computed at once, at most.
const POSITIONS: usize = 64;

/// Two 2x2 convolutions of stride 2, a norm and GELU after each, and a 1x1.
pub struct MaskPrompt {
    /// Instructions.
    pub isa: Isa,
    /// Of 2x2 pixels.
    pub first: Packed,
    /// Gamma and beta of the norm after it, and its epsilon.
    pub first_norm: ([Vec<f32>; 2], f32),
    /// Of 2x2 of what the first gives.
    pub second: Packed,
    /// After it.
    pub second_norm: Norm,
    /// To channels.
    pub last: Packed,
    /// What stands for no mask, `[C]`.
    pub no_mask: Vec<f32>,
}

impl MaskPrompt {
    /// Whether its layers fit each other.
    pub fn fits(&self) -> bool {
        let Self { first, first_norm: ([gamma, beta], _), second, second_norm, last, .. } = self;
        let few = first.outputs();
        first.inputs() == 4
            && few <= LANES
            && [gamma.len(), beta.len()] == [few; 2]
            && second.inputs() == 4 * few
            && second.inputs().is_multiple_of(LANES)
            && second.outputs() == second_norm.channels()
            && second.outputs() == last.inputs()
            && last.outputs().is_multiple_of(LANES)
            && self.no_mask.len() == last.outputs()
    }

    /// Channels of what it gives.
    pub fn channels(&self) -> usize {
        self.last.outputs()
    }

    fn parts(&self) -> [usize; 5] {
        let float = size_of::<f32>();
        [
            self.first.operand_bytes(4 * POSITIONS),
            // One vector more: the last row's is read whole.
            (POSITIONS * self.second.inputs() + LANES) * float,
            self.second.operand_bytes(POSITIONS),
            POSITIONS * self.second.outputs() * float,
            self.last.operand_bytes(POSITIONS),
        ]
    }

    /// Memory that each thread needs.
    pub fn scratch_bytes(&self) -> usize {
        total(self.parts())
    }

    /// The embedding `[h, w, C]` of a mask `[4h, 4w]`, or of none.
    ///
    /// # Panics
    /// If slices are shorter than the shapes say, or the pool has less scratch memory.
    pub fn run(
        &self,
        pool: &Pool,
        mask: Option<&[f32]>,
        [height, width]: [usize; 2],
        output: &mut [f32],
    ) {
        let channels = self.channels();
        let output = &mut output[..height * width * channels];
        let Some(mask) = mask else {
            output.chunks_exact_mut(channels).for_each(|row| row.copy_from_slice(&self.no_mask));
            return;
        };
        assert!(mask.len() >= 16 * height * width);
        let output = Output::new(output);
        let across = width.div_ceil(POSITIONS);
        pool.run(across * height, &|part, scratch| {
            let (row, column) = (part / across, part % across);
            let columns = column * width / across..(column + 1) * width / across;
            self.isa.run(Row { prompt: self, mask, width, output, row, columns, scratch });
        });
    }
}

/// A part of a row.
struct Row<'a> {
    prompt: &'a MaskPrompt,
    mask: &'a [f32],
    /// Of the embedding.
    width: usize,
    output: Output<'a>,
    row: usize,
    columns: Range<usize>,
    scratch: &'a mut Scratch,
}

impl Task for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { prompt, mask, width, output, row, columns, scratch } = self;
        let MaskPrompt { first, first_norm: ([gamma, beta], epsilon), second, .. } = prompt;
        let MaskPrompt { second_norm, last, .. } = prompt;
        let (few, between, channels) = (first.outputs(), second.outputs(), last.outputs());
        let [pixels, once, operand, twice, last_operand] = scratch.parts(prompt.parts());
        let [once, twice]: [*mut f32; 2] = [once.cast(), twice.cast()];
        let count = columns.len();
        // SAFETY: all is as long as its shape says; no other part has these positions.
        unsafe {
            // The four parts of a position are rows of their own, of 2x2 pixels each.
            for part in 0..4 * count {
                let (column, part) = (columns.start + part / 4, part % 4);
                let top = 4 * row + part / 2 * 2;
                let left = 4 * column + part % 2 * 2;
                let mut values = [0.0; LANES];
                for (pixel, value) in values[..4].iter_mut().enumerate() {
                    let at = (top + pixel / 2) * 4 * width + left + pixel % 2;
                    *value = *mask.get_unchecked(at);
                }
                let at = (column - columns.start) * 4 + part;
                first.put(s, pixels, at, 0, s.load(values.as_ptr()));
            }
            let mut lanes = [0.0; LANES];
            first.forward(
                s,
                pixels,
                4 * count,
                #[inline(always)]
                |part, _, y| {
                    s.store(lanes.as_mut_ptr(), y);
                    let lanes = &lanes[..few];
                    let mean = lanes.iter().sum::<f32>() / few as f32;
                    let square = lanes.iter().map(|x| (x - mean).powi(2)).sum::<f32>();
                    let inverse = 1.0 / (square / few as f32 + epsilon).sqrt();
                    for (i, x) in lanes.iter().enumerate() {
                        // The parts of a position lie together, channel by channel.
                        let at = part / 4 * 4 * few + 4 * i + part % 4;
                        *once.add(at) = (x - mean) * inverse * gamma[i] + beta[i];
                    }
                },
            );
            for position in 0..count {
                for channel in (0..4 * few).step_by(LANES) {
                    let x = s.load(once.add(position * 4 * few + channel));
                    second.put(s, operand, position, channel, second.gelu(s, x));
                }
            }
            second.forward(
                s,
                operand,
                count,
                #[inline(always)]
                |position, channel, y| s.store(twice.add(position * padded(between) + channel), y),
            );
            for position in 0..count {
                second_norm.forward(
                    s,
                    twice.add(position * padded(between)),
                    #[inline(always)]
                    |channel, x| last.put(s, last_operand, position, channel, last.gelu(s, x)),
                );
            }
            let to = output.at((row * width + columns.start) * channels);
            last.forward(
                s,
                last_operand,
                count,
                #[inline(always)]
                |position, channel, y| s.store(to.add(position * channels + channel), y),
            );
        }
    }
}
