//! Attention of a part of the image to the tokens, its projection, adapter and norm.

use super::layers::TwoWayBlock;
use crate::attention::Queries;
use crate::decoder_adapter::{Bottleneck, SerialAdapter};
use crate::packed::{Operand, ROWS, tiles};
use crate::rows;
use crate::scratch::{Scratch, Slices};
use crate::simd::{Simd, Task, padded};

/// Largest number of image positions computed at once.
pub(super) const POSITIONS: usize = rows::ROWS;

/// Attention of a part of the image to the tokens.
pub(super) struct ToTokens<'a> {
    pub block: &'a TwoWayBlock,
    /// `[positions, C]`.
    pub image: &'a [f32],
    /// Added to the image, `[positions, C]`.
    pub positions: &'a [f32],
    /// Keys of all heads, `[inner, padded tokens]`.
    pub keys: &'a [f32],
    /// `[tokens, inner]`.
    pub values: &'a [f32],
    /// Added to scores, `[padded tokens]`.
    pub bias: &'a [f32],
    /// `[positions, C]`.
    pub output: &'a mut [f32],
    pub scratch: &'a mut Scratch,
}

/// Memory for [`ToTokens`].
pub(super) struct ToTokensScratch<'a> {
    operand: Operand<'a>,
    /// `[positions, inner]`.
    queries: &'a mut [f32],
    /// `[ROWS, padded tokens]`.
    scores: &'a mut [f32],
    attended: Operand<'a>,
    bottleneck: Option<Operand<'a>>,
}

impl<'a> ToTokensScratch<'a> {
    pub(super) fn new(block: &TwoWayBlock, tokens: usize, slices: &mut Slices<'a>) -> Self {
        let attention = &block.image_to_token;
        let adapter = block.after_image.as_ref();
        Self {
            operand: attention.q.operand(slices, POSITIONS),
            queries: slices.take(POSITIONS * attention.inner()),
            scores: slices.take(ROWS * padded(tokens)),
            attended: attention.out.operand(slices, POSITIONS),
            bottleneck: adapter.map(|adapter| adapter.up.operand(slices, POSITIONS)),
        }
    }
}

impl Task for ToTokens<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { block, image, positions, keys, values, bias, output, scratch } = self;
        let (q, out) = (&block.image_to_token.q, &block.image_to_token.out);
        let (channels, inner) = (block.channels(), block.image_to_token.inner());
        let (count, tokens) = (image.len() / channels, values.len() / inner);
        let (depth, columns) = (inner / block.heads, padded(tokens));
        let scratch = ToTokensScratch::new(block, tokens, &mut scratch.slices());
        let ToTokensScratch { mut operand, queries, scores, .. } = scratch;
        let ToTokensScratch { mut attended, bottleneck, .. } = scratch;
        q.put_sums(s, &mut operand, (image, positions));
        q.forward_rows(s, &operand, count, queries);
        out.check_rows(&attended, count);
        for head in 0..block.heads {
            let first_channel = head * depth;
            tiles!(count, first, R => {
                let some = Queries {
                    q: &queries[first * inner + first_channel..],
                    q_stride: inner,
                    keys: &keys[first_channel * columns..],
                    v: &values[first_channel..],
                    v_stride: inner,
                    tokens,
                    depth,
                    bias,
                    bias_stride: 0,
                    scores,
                };
                some.attend::<S, R>(
                    s,
                    // SAFETY: the operand has a row for each position, and the projection as many
                    // inputs as all heads have channels (`Projections::check`).
                    #[inline(always)]
                    |row, channel, y| unsafe {
                        out.put(s, &mut attended, first + row, first_channel + channel, y);
                    },
                );
            });
        }
        out.forward_zip(
            s,
            &attended,
            count,
            (image, output),
            #[inline(always)]
            |y, x| s.add(y, x),
        );
        if let Some((SerialAdapter { bottleneck, up }, mut operand)) =
            block.after_image.as_ref().zip(bottleneck)
            && let Bottleneck::Activation(activation) = bottleneck
        {
            out.forward_tail(
                s,
                (&attended, count),
                channels,
                (up, &mut operand),
                #[inline(always)]
                |y| activation.apply(s, y),
            );
            up.forward_add(s, &operand, count, output);
        }
        for row in output.chunks_exact_mut(channels) {
            block.norms[3].in_place(s, row);
        }
    }
}
