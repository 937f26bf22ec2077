//! TinyViT's block: attention in windows, a depthwise convolution over the map, an MLP.

use std::ops::Range;

use crate::attention::{Attention, Products};
use crate::block::{Block, Map, Output, Side};
use crate::depthwise::Depthwise;
use crate::norm::Norm;
use crate::packed::Packed;
use crate::pool::Pool;
use crate::scratch::{Scratch, total};
use crate::simd::{Isa, LANES, Simd, Task};

/// A block of TinyViT's attention stages, adapters folded in.
pub struct TinyVitBlock {
    isa: Isa,
    window: usize,
    norm: Norm,
    /// For each head its queries, scaled, then keys and values.
    qkv: Packed,
    /// Those of a position beyond the map, whose values before the norm are zeros.
    qkv_of_padding: Vec<f32>,
    attention: Attention,
    /// To channels, and to the bottleneck of a Space adapter if there is one.
    projection: Packed,
    space: Option<Packed>,
    local_conv: Depthwise,
    mlp_norm: Norm,
    mlp: [Packed; 2],
}

/// The layers of a [`TinyVitBlock`].
pub struct TinyVitLayers<'a> {
    /// Before the attention.
    pub norm: Norm,
    /// For each head its queries, scaled, then keys and values.
    pub qkv: Packed,
    /// Those of zeros that were normed: with gamma and beta they are not zeros any more.
    pub qkv_of_padding: &'a [f32],
    /// Added to scores, `[heads, window^2, window^2]`.
    pub bias: &'a [f32],
    /// Arithmetic of the attention.
    pub products: Products,
    /// The attention's output projection, and beside it that to the bottleneck of `space`.
    pub projection: Packed,
    /// A Space adapter's second layer, its first being in the projection; GELU between them.
    pub space: Option<Packed>,
    /// The depthwise convolution after the attention.
    pub local_conv: Depthwise,
    /// Before the MLP.
    pub mlp_norm: Norm,
    /// The MLP; GELU between its layers.
    pub mlp: [Packed; 2],
}

/// Positions that an MLP computes at once, at most.
const TOKENS: usize = 64;

impl TinyVitBlock {
    /// A block of windows of `window^2` positions and `heads` heads.
    ///
    /// # Panics
    /// If the layers do not fit each other.
    pub fn new(isa: Isa, window: usize, heads: usize, layers: TinyVitLayers) -> Self {
        let TinyVitLayers { norm, qkv, qkv_of_padding, bias, products, projection, .. } = layers;
        let TinyVitLayers { space, local_conv, mlp_norm, mlp, .. } = layers;
        let channels = norm.channels();
        let tokens = window * window;
        assert_eq!([qkv.inputs(), qkv.outputs()], [channels, 3 * channels]);
        assert_eq!(qkv_of_padding.len(), 3 * channels);
        assert_eq!(bias.len(), heads * tokens * tokens);
        let bottleneck = space.as_ref().map_or(0, Packed::inputs);
        assert_eq!([projection.inputs(), projection.outputs()], [channels, channels + bottleneck]);
        assert!(space.as_ref().is_none_or(|space| space.outputs() == channels));
        assert_eq!([local_conv.channels(), mlp_norm.channels()], [channels; 2]);
        assert_eq!([mlp[0].inputs(), mlp[1].outputs()], [channels; 2]);
        assert_eq!(mlp[0].outputs(), mlp[1].inputs());
        let attention = Attention::new(tokens, heads, channels / heads, bias, products);
        let qkv_of_padding = qkv_of_padding.to_vec();
        Self {
            isa,
            window,
            norm,
            qkv,
            qkv_of_padding,
            attention,
            projection,
            space,
            local_conv,
            mlp_norm,
            mlp,
        }
    }

    fn window_parts(&self) -> [usize; 6] {
        let tokens = self.window * self.window;
        let floats = |channels: usize| tokens * channels * size_of::<f32>();
        let bottleneck = self.space.as_ref().map_or(0, |space| space.operand_bytes(tokens));
        let attended = if self.space.is_some() { floats(self.channels()) } else { 0 };
        [
            self.qkv.operand_bytes(tokens),
            floats(3 * self.attention.depth),
            self.attention.workspace_bytes(),
            self.projection.operand_bytes(tokens),
            attended,
            bottleneck,
        ]
    }

    fn token_parts(&self) -> [usize; 5] {
        let [expand, reduce] = &self.mlp;
        [
            TOKENS * self.channels() * size_of::<f32>(),
            expand.operand_bytes(TOKENS),
            reduce.operand_bytes(TOKENS),
            TOKENS * LANES * size_of::<i16>(),
            3 * (TOKENS + 2) * self.channels() * size_of::<f32>(),
        ]
    }
}

impl Block for TinyVitBlock {
    fn channels(&self) -> usize {
        self.norm.channels()
    }

    fn output(&self, input: Map) -> Map {
        input
    }

    fn scratch_bytes(&self) -> usize {
        total(self.window_parts()).max(total(self.token_parts()))
    }

    fn between(&self, input: Map) -> usize {
        input.len()
    }

    fn run(&self, pool: &Pool, map: Map, input: &[f32], output: &mut [f32], between: &mut [f32]) {
        assert!([input.len(), output.len(), between.len()].iter().all(|len| *len >= map.len()));
        let Map { height, width, channels } = map;
        assert_eq!(channels, self.channels());
        let side = Side { height, width };
        let across = width.div_ceil(self.window);
        let attended = Output::new(between);
        pool.run(across * height.div_ceil(self.window), &|part, scratch| {
            let (top, left) = (part / across * self.window, part % across * self.window);
            let until = |start: usize, end: usize| start..(start + self.window).min(end);
            self.isa.run(Window {
                block: self,
                input,
                output: attended,
                width,
                rows: until(top, height),
                columns: until(left, width),
                scratch,
            });
        });
        let attended = &*between;
        let across = width.div_ceil(TOKENS);
        let output = Output::new(output);
        pool.run(across * height, &|part, scratch| {
            let (row, column) = (part / across, part % across);
            let columns = column * width / across..(column + 1) * width / across;
            self.isa.run(Tokens {
                block: self,
                input: attended,
                output,
                side,
                row,
                columns,
                scratch,
            });
        });
    }
}

/// The attention of a window.
struct Window<'a> {
    block: &'a TinyVitBlock,
    input: &'a [f32],
    output: Output<'a>,
    /// Of the map.
    width: usize,
    rows: Range<usize>,
    columns: Range<usize>,
    scratch: &'a mut Scratch,
}

impl Task for Window<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { block, input, output, width, rows, columns, scratch } = self;
        let TinyVitBlock { window, norm, qkv, attention, projection, .. } = block;
        let (window, channels) = (*window, block.channels());
        let [operand, packed, workspace, attended, projected, bottleneck] =
            scratch.parts(block.window_parts());
        let (packed, projected): (*mut f32, *mut f32) = (packed.cast(), projected.cast());
        // Of one head at a time, so that it stays in the second-level cache.
        let stride = 3 * attention.depth;
        let real = rows.len() * columns.len();
        // Of the n-th position that is on the map: where it is in the map, and in the window.
        let in_map =
            |n: usize| (rows.start + n / columns.len()) * width + columns.start + n % columns.len();
        let in_window = |n: usize| n / columns.len() * window + n % columns.len();
        let in_rows = |position: usize| {
            let (row, column) = (position / window, position % window);
            row * columns.len() + column
        };
        // SAFETY: all positions are on the map or in the window, and all memory is as long as
        // its shape says. No other window writes to the positions of this one.
        unsafe {
            for n in 0..real {
                norm.forward(
                    s,
                    input.as_ptr().add(in_map(n) * channels),
                    #[inline(always)]
                    |channel, x| {
                        qkv.put(s, operand, n, channel, x);
                    },
                );
            }
            let whole = real == window * window;
            let runs = if whole { 1 } else { rows.len() };
            let run = if whole { real } else { columns.len() };
            let depth = attention.depth;
            let workspace = attention.workspace(workspace);
            for head in 0..attention.heads {
                let first = head * stride;
                qkv.forward_channels(
                    s,
                    (operand, real),
                    first..first + stride,
                    #[inline(always)]
                    |n, channel, y| {
                        s.store(packed.add(in_window(n) * stride + channel - first), y);
                    },
                );
                if !whole {
                    for position in 0..window * window {
                        let (row, column) = (position / window, position % window);
                        if row >= rows.len() || column >= columns.len() {
                            let from = block.qkv_of_padding.as_ptr().add(first);
                            packed.add(position * stride).copy_from_nonoverlapping(from, stride);
                        }
                    }
                }
                let parts = [0, 1, 2].map(|i| packed.add(i * depth).cast_const());
                let queries = (0..runs).map(|i| i * window..i * window + run);
                attention.forward(
                    s,
                    head,
                    (parts, stride),
                    queries,
                    workspace,
                    #[inline(always)]
                    |row, channel, y| {
                        projection.put(s, attended, in_rows(row), head * depth + channel, y);
                    },
                );
            }
            let Some(space) = &block.space else {
                projection.forward(
                    s,
                    attended,
                    real,
                    #[inline(always)]
                    |n, channel, y| {
                        let at = in_map(n) * channels + channel;
                        s.store(output.at(at), s.add(y, s.load(input.as_ptr().add(at))));
                    },
                );
                return;
            };
            projection.forward(
                s,
                attended,
                real,
                #[inline(always)]
                |n, channel, y| {
                    if channel < channels {
                        s.store(projected.add(n * channels + channel), y);
                    } else {
                        space.put(s, bottleneck, n, channel - channels, space.gelu(s, y));
                    }
                },
            );
            space.forward(
                s,
                bottleneck,
                real,
                #[inline(always)]
                |n, channel, y| {
                    let at = in_map(n) * channels + channel;
                    let y = s.add(y, s.load(projected.add(n * channels + channel)));
                    s.store(output.at(at), s.add(y, s.load(input.as_ptr().add(at))));
                },
            );
        }
    }
}

/// The convolution and the MLP of a part of a row.
struct Tokens<'a> {
    block: &'a TinyVitBlock,
    input: &'a [f32],
    output: Output<'a>,
    side: Side,
    row: usize,
    columns: Range<usize>,
    scratch: &'a mut Scratch,
}

impl Task for Tokens<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { block, input, output, side, row, columns, scratch } = self;
        let TinyVitBlock { local_conv, mlp_norm, mlp: [expand, reduce], .. } = block;
        let channels = block.channels();
        let [convolved, operand, hidden, buffer, near] = scratch.parts(block.token_parts());
        let (convolved, near): (*mut f32, *mut f32) = (convolved.cast(), near.cast());
        let count = columns.len();
        // SAFETY: all positions are on the map, and all memory is as long as its shape says. No
        // other part has these columns of this row.
        unsafe {
            // The convolution's input, padded.
            let across = count + 2;
            for above in 0..3 {
                for column in 0..across {
                    let (y, x) = (row + above, columns.start + column);
                    let is_inside = (1..=side.height).contains(&y) && (1..=side.width).contains(&x);
                    for channel in (0..channels).step_by(LANES) {
                        let to = near.add(above * across * channels);
                        let to = to.add(Depthwise::at(across, channel, column));
                        if is_inside {
                            let at = ((y - 1) * side.width + x - 1) * channels + channel;
                            let x = s.load(input.as_ptr().add(at));
                            s.store(to, local_conv.taken(s, channel, x));
                        } else {
                            s.store(to, s.splat(0.0));
                        }
                    }
                }
            }
            for channel in (0..channels).step_by(LANES) {
                let rows = [0, 1, 2].map(|above| {
                    near.add(above * across * channels + Depthwise::at(across, channel, 0))
                        .cast_const()
                });
                local_conv.forward(
                    s,
                    rows,
                    channel,
                    (count, 1),
                    #[inline(always)]
                    |column, y| s.store(convolved.add(column * channels + channel), y),
                );
            }
            for token in 0..count {
                mlp_norm.forward(
                    s,
                    convolved.add(token * channels),
                    #[inline(always)]
                    |channel, x| {
                        expand.put(s, operand, token, channel, x);
                    },
                );
            }
            expand.forward_into(s, (operand, count), (reduce, hidden), buffer.cast());
            let to = output.at((row * side.width + columns.start) * channels);
            reduce.forward(
                s,
                hidden,
                count,
                #[inline(always)]
                |token, channel, y| {
                    let at = token * channels + channel;
                    s.store(to.add(at), s.add(y, s.load(convolved.add(at))));
                },
            );
        }
    }
}
