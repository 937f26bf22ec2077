//! The depthwise convolution and the MLP of a strip.

use super::layers::TinyVitBlock;
use crate::block::Side;
use crate::output::Strip;
use crate::packed::Operand;
use crate::scratch::{Scratch, Slices};
use crate::simd::{LANES, Simd, Task};

/// Largest number of positions in a strip.
pub(super) const TOKENS: usize = 64;

/// The depthwise convolution and the MLP of a strip.
pub(super) struct Tokens<'a> {
    pub block: &'a TinyVitBlock,
    /// `[H, W, C]` of `side`.
    pub input: &'a [f32],
    pub side: Side,
    pub strip: Strip,
    /// `[tokens, C]`.
    pub output: &'a mut [f32],
    pub scratch: &'a mut Scratch,
}

/// Memory for [`Tokens`].
pub(super) struct TokenScratch<'a> {
    /// Input of the convolution: three rows with a neighbour on each side, `[3, C / LANES,
    /// tokens + 2]`.
    near: &'a mut [[f32; LANES]],
    /// Output of the convolution, `[tokens, C]`.
    convolved: &'a mut [f32],
    /// Normalized `convolved`.
    operand: Operand<'a>,
    hidden: Operand<'a>,
    gelu_buffer: &'a mut [[i16; LANES]],
}

impl<'a> TokenScratch<'a> {
    pub(super) fn new(block: &TinyVitBlock, slices: &mut Slices<'a>) -> Self {
        let channels = block.norm.channels();
        let [expand, reduce] = &block.mlp;
        Self {
            near: slices.take(3 * channels / LANES * (TOKENS + 2)),
            convolved: slices.take(TOKENS * channels),
            operand: expand.operand(slices, TOKENS),
            hidden: reduce.operand(slices, TOKENS),
            gelu_buffer: slices.take(TOKENS),
        }
    }
}

impl Task for Tokens<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { block, input, side, strip, output, scratch } = self;
        let TinyVitBlock { local_conv, mlp_norm, mlp: [expand, reduce], .. } = block;
        let channels = mlp_norm.channels();
        let Strip { row, columns, .. } = strip;
        let (count, across) = (columns.len(), columns.len() + 2);
        let scratch = TokenScratch::new(block, &mut scratch.slices());
        let TokenScratch { near, convolved, mut operand, mut hidden, gelu_buffer } = scratch;
        let row_len = channels / LANES * across;
        for (above, near) in near.chunks_exact_mut(row_len).take(3).enumerate() {
            for column in 0..across {
                // Counted from 1: 0 is the padding.
                let (y, x) = (row + above, columns.start + column);
                let is_inside = (1..=side.height).contains(&y) && (1..=side.width).contains(&x);
                let to = near[column..].as_mut_ptr();
                if is_inside {
                    let position = (y - 1) * side.width + x - 1;
                    let pixel = &input[position * channels..][..channels];
                    for (group, x) in pixel.as_chunks().0.iter().enumerate() {
                        // SAFETY: a row has `C / LANES` groups of `across` vectors, and the
                        // convolution C channels (`new`).
                        unsafe {
                            let x = local_conv.quantize(s, group * LANES, s.load(x));
                            s.store(&mut *to.add(group * across), x);
                        }
                    }
                } else {
                    near[column..].iter_mut().step_by(across).for_each(|to| *to = [0.0; LANES]);
                }
            }
        }
        let convolved = &mut convolved[..count * channels];
        for group in 0..channels / LANES {
            let rows = [0, 1, 2].map(|row| &near[row * row_len + group * across..][..across]);
            let to = convolved.as_mut_ptr();
            local_conv.forward(
                s,
                rows,
                group * LANES,
                (count, 1),
                // SAFETY: `convolved` has C values for each column, and `group` is less than
                // `C / LANES`.
                #[inline(always)]
                |column, y| unsafe { s.store_ptr(to.add(column * channels + group * LANES), y) },
            );
        }
        expand.put_normed(s, (&mut operand, 0), mlp_norm, convolved);
        expand.forward_into(s, (&operand, count), (reduce, &mut hidden), gelu_buffer);
        reduce.forward_zip(
            s,
            &hidden,
            count,
            (convolved, output),
            #[inline(always)]
            |y, x| s.add(y, x),
        );
    }
}
