//! The attention of a window.

use std::ops::Range;

use super::layers::TinyVitBlock;
use crate::attention::WindowWorkspace;
use crate::output::SharedOutput;
use crate::packed::Operand;
use crate::scratch::{Scratch, Slices};
use crate::simd::{Simd, Task};

/// The attention of a window, its projection and the Space adapter.
pub(super) struct Window<'a> {
    pub block: &'a TinyVitBlock,
    /// `[H, W, C]`.
    pub input: &'a [f32],
    /// `[H, W, C]`.
    pub output: SharedOutput<'a>,
    /// W.
    pub width: usize,
    /// Rows of the map in the window.
    pub rows: Range<usize>,
    /// Columns of the map in the window.
    pub columns: Range<usize>,
    pub scratch: &'a mut Scratch,
}

/// Memory for a [`Window`]. "Tokens" are the positions of a whole window.
pub(super) struct WindowScratch<'a> {
    /// Normalized input, a row for each token.
    operand: Operand<'a>,
    /// Queries, keys and values of one head, `[tokens, 3, depth]`. One head at a time stays in the
    /// second-level cache.
    qkv: &'a mut [f32],
    attention: WindowWorkspace<'a>,
    /// Output of the attention, a row for each token.
    attended: Operand<'a>,
    adapter: Option<SpaceScratch<'a>>,
}

/// Memory for the Space adapter.
struct SpaceScratch<'a> {
    /// `[tokens, C]`.
    projected: &'a mut [f32],
    bottleneck: Operand<'a>,
}

impl<'a> WindowScratch<'a> {
    pub(super) fn new(block: &TinyVitBlock, slices: &mut Slices<'a>) -> Self {
        let tokens = block.window * block.window;
        Self {
            operand: block.qkv.operand(slices, tokens),
            qkv: slices.take(tokens * 3 * block.attention.depth()),
            attention: block.attention.workspace(slices),
            attended: block.projection.operand(slices, tokens),
            adapter: block.space.as_ref().map(|space| SpaceScratch {
                projected: slices.take(tokens * block.norm.channels()),
                bottleneck: space.operand(slices, tokens),
            }),
        }
    }
}

impl Task for Window<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { block, input, output, width, rows, columns, scratch } = self;
        let TinyVitBlock { window, norm, qkv, attention, projection, .. } = block;
        let (window, channels) = (*window, norm.channels());
        let (depth, stride) = (attention.depth(), 3 * attention.depth());
        let scratch = WindowScratch::new(block, &mut scratch.slices());
        let WindowScratch { mut operand, qkv: of_head, attention: mut workspace, .. } = scratch;
        let WindowScratch { mut attended, adapter, .. } = scratch;
        // Positions of the window that are on the map, and for the n-th of them: its index in the
        // map, in the window, and from the window to n.
        let real = rows.len() * columns.len();
        let in_map =
            |n: usize| (rows.start + n / columns.len()) * width + columns.start + n % columns.len();
        let in_window = |n: usize| n / columns.len() * window + n % columns.len();
        let from_window = |token: usize| token / window * columns.len() + token % window;
        assert!(rows.len() <= window && columns.len() <= window, "{rows:?} {columns:?}");
        for row in 0..rows.len() {
            let first = row * columns.len();
            let rows = &input[in_map(first) * channels..][..columns.len() * channels];
            qkv.put_normed(s, (&mut operand, first), norm, rows);
        }
        let is_whole = real == window * window;
        let runs = if is_whole { 1 } else { rows.len() };
        let run = if is_whole { real } else { columns.len() };
        let of_head = &mut of_head[..window * window * stride];
        projection.check_rows(&attended, real);
        for head in 0..attention.heads() {
            let first = head * stride;
            let to = of_head.as_mut_ptr();
            qkv.forward_channels(
                s,
                &operand,
                real,
                first..first + stride,
                // SAFETY: `in_window(n)` is less than `window^2`, and `channel - first` than
                // `stride`, in whole `LANES`; `of_head` has `stride` values for each position.
                #[inline(always)]
                |n, channel, y| unsafe {
                    s.store_ptr(to.add(in_window(n) * stride + channel - first), y);
                },
            );
            if !is_whole {
                for (token, to) in of_head.chunks_exact_mut(stride).enumerate() {
                    if token / window >= rows.len() || token % window >= columns.len() {
                        to.copy_from_slice(&block.qkv_of_padding[first..first + stride]);
                    }
                }
            }
            attention.forward(
                s,
                head,
                of_head,
                (0..runs).map(|i| i * window..i * window + run),
                &mut workspace,
                // SAFETY: rows are those of positions on the map, so `from_window` is less than
                // `real`, for which the operand has rows. Channels of all heads are those of the
                // projection (`new`).
                #[inline(always)]
                |row, channel, y| unsafe {
                    let (row, channel) = (from_window(row), head * depth + channel);
                    projection.put(s, &mut attended, row, channel, y);
                },
            );
        }
        let input = input.as_ptr();
        let Some((space, SpaceScratch { projected, mut bottleneck })) =
            block.space.as_ref().zip(adapter)
        else {
            projection.forward(
                s,
                &attended,
                real,
                // SAFETY: `in_map(n)` is a position of the map, and input and output have all its
                // channels. No other window has this position.
                #[inline(always)]
                |n, channel, y| unsafe {
                    let at = in_map(n) * channels + channel;
                    s.store_ptr(output.at(at), s.add(y, s.load_ptr(input.add(at))));
                },
            );
            return;
        };
        let projected = &mut projected[..real * channels];
        projection.forward_map(
            s,
            &attended,
            real,
            projected,
            #[inline(always)]
            |y| y,
        );
        projection.forward_tail(
            s,
            (&attended, real),
            channels,
            (space, &mut bottleneck),
            #[inline(always)]
            |y| space.gelu(s, y),
        );
        let projected = projected.as_ptr();
        space.forward(
            s,
            &bottleneck,
            real,
            // SAFETY: `projected` has C values for each n. `in_map(n)` is a position of the map,
            // and input and output have all its channels. No other window has this position.
            #[inline(always)]
            |n, channel, y| unsafe {
                let at = in_map(n) * channels + channel;
                let y = s.add(y, s.load_ptr(projected.add(n * channels + channel)));
                s.store_ptr(output.at(at), s.add(y, s.load_ptr(input.add(at))));
            },
        );
    }
}
