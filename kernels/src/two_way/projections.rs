//! Attention of tokens to each other or to the image: a head for each part.

use super::memory::{AttentionMemory, TwoWayInput};
use crate::attention::Queries;
use crate::misfit::{Misfit, check_heads};
use crate::output::SharedOutput;
use crate::packed::{Packed, ROWS, tiles};
use crate::pool::Pool;
use crate::rows::linear;
use crate::scratch::{Scratch, Slices};
use crate::simd::{Isa, Simd, Task, padded};

/// The four projections of an attention. The weights of the queries contain the scale of the
/// scores.
pub struct Projections {
    /// To queries.
    pub q: Packed,
    /// To keys.
    pub k: Packed,
    /// To values.
    pub v: Packed,
    /// From the values of all heads to channels, followed by the bottleneck of a serial adapter.
    pub out: Packed,
}

impl Projections {
    /// Checks the layers of the field `field` of a block.
    pub(super) fn check(
        &self,
        field: &str,
        isa: Isa,
        heads: usize,
        channels: usize,
        bottleneck: usize,
    ) -> Result<(), Misfit> {
        let Self { q, k, v, out } = self;
        // Two of them decide, so that the third is named if it differs.
        let inner = if k.outputs() == v.outputs() { k.outputs() } else { q.outputs() };
        for (name, layer) in [("q", q), ("k", k), ("v", v)] {
            layer.check(&format!("{field}.{name}"), isa, channels, inner)?;
        }
        out.check(&format!("{field}.out"), isa, inner, channels + bottleneck)?;
        check_heads(heads, inner)
    }

    pub(super) fn layers(&self) -> [&Packed; 4] {
        let Self { q, k, v, out } = self;
        [q, k, v, out]
    }

    /// Channels of all heads together.
    pub(super) fn inner(&self) -> usize {
        self.q.outputs()
    }

    /// Attention of the tokens to the image, to `output`.
    pub(super) fn attend_to_image(
        &self,
        pool: &Pool,
        isa: Isa,
        heads: usize,
        input: TwoWayInput,
        memory: &mut AttentionMemory,
        output: &mut Vec<f32>,
    ) {
        let TwoWayInput { tokens, image, token_positions, image_positions } = input;
        linear(pool, isa, &self.q, (tokens, Some(&token_positions[..tokens.len()])), &mut memory.q);
        linear(pool, isa, &self.k, (image, Some(&image_positions[..image.len()])), &mut memory.k);
        linear(pool, isa, &self.v, (image, None), &mut memory.v);
        let positions = image.len() / self.k.inputs();
        memory.set_bias(std::iter::repeat_n(0.0, positions));
        self.attend(pool, isa, heads, memory, output);
    }

    /// Attention of all heads of the queries `[N, inner]` to keys and values `[M, inner]` in
    /// `memory`, and the output projection to `output`.
    pub(super) fn attend(
        &self,
        pool: &Pool,
        isa: Isa,
        heads: usize,
        memory: &mut AttentionMemory,
        output: &mut Vec<f32>,
    ) {
        let AttentionMemory { q, k, v, bias, attended, .. } = memory;
        let inner = self.inner();
        attended.resize(q.len(), 0.0);
        let shared = SharedOutput::new(attended);
        pool.run(heads, &|head, scratch| {
            let depth = inner / heads;
            isa.run(Head { q, k, v, bias, output: shared, inner, depth, head, scratch });
        });
        linear(pool, isa, &self.out, (attended, None), output);
    }
}

/// The attention of one head.
struct Head<'a> {
    /// `[N, inner]`.
    q: &'a [f32],
    /// `[M, inner]`.
    k: &'a [f32],
    /// `[M, inner]`.
    v: &'a [f32],
    /// Added to scores, `[padded M]`.
    bias: &'a [f32],
    /// `[N, inner]`.
    output: SharedOutput<'a>,
    /// Channels of all heads together.
    inner: usize,
    /// Channels of the head.
    depth: usize,
    head: usize,
    scratch: &'a mut Scratch,
}

/// Memory for a [`Head`].
pub(super) struct HeadScratch<'a> {
    /// `[depth, padded M]`.
    keys: &'a mut [f32],
    /// `[ROWS, padded M]`.
    scores: &'a mut [f32],
}

impl<'a> HeadScratch<'a> {
    /// Memory for an attention to `keys` keys.
    pub(super) fn new(depth: usize, keys: usize, slices: &mut Slices<'a>) -> Self {
        let columns = padded(keys);
        Self { keys: slices.take(depth * columns), scores: slices.take(ROWS * columns) }
    }
}

impl Task for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { q, k, v, bias, output, inner, depth, head, scratch } = self;
        let (tokens, first_channel) = (k.len() / inner, head * depth);
        let HeadScratch { keys, scores } = HeadScratch::new(depth, tokens, &mut scratch.slices());
        for (channel, row) in keys.chunks_exact_mut(padded(tokens)).enumerate() {
            let of_tokens = k[first_channel + channel..].iter().step_by(inner);
            let (keys, padding) = row.split_at_mut(tokens);
            keys.iter_mut().zip(of_tokens).for_each(|(key, x)| *key = *x);
            padding.fill(0.0);
        }
        tiles!(q.len() / inner, first, R => {
            let queries = Queries {
                q: &q[first * inner + first_channel..],
                q_stride: inner,
                keys,
                v: &v[first_channel..],
                v_stride: inner,
                tokens,
                depth,
                bias,
                bias_stride: 0,
                scores,
            };
            queries.attend::<S, R>(
                s,
                // SAFETY: `first + row` is a query, and the head's channels are among `inner`. So
                // the output, as long as the queries, has the vector. No other part has this head.
                #[inline(always)]
                |row, channel, y| unsafe {
                    let at = (first + row) * inner + first_channel + channel;
                    s.store_ptr(output.at(at), y);
                },
            );
        });
    }
}
