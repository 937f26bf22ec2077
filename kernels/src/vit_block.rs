//! The block of SAM's ViT: attention in windows or over the whole map, with decomposed relative
//! positions, and an MLP.

use std::ops::Range;

use crate::attention::Products;
use crate::block::{Block, Map, Output, Side};
use crate::norm::Norm;
use crate::packed::Packed;
use crate::pool::Pool;
use crate::relative_attention::RelativeAttention;
use crate::scratch::{Scratch, total};
use crate::simd::{Isa, LANES, Simd, Task};

/// A block of SAM's ViT, adapters folded in.
///
/// Queries, keys and values of all positions come first; then each head of each window puts
/// what it attends to in the place of its queries; then come projection and MLP.
pub struct VitBlock {
    isa: Isa,
    norm: Norm,
    /// Queries of all heads, scaled, then all keys and all values.
    qkv: Packed,
    /// Those of a position beyond the map.
    qkv_of_padding: Vec<f32>,
    attention: RelativeAttention,
    /// To channels, and to the bottleneck of a Space adapter if there is one.
    projection: Packed,
    space: Option<Packed>,
    mlp_norm: Norm,
    mlp: [Packed; 2],
}

/// The layers of a [`VitBlock`].
pub struct VitLayers<'a> {
    /// Before the attention.
    pub norm: Norm,
    /// Queries of all heads, scaled, then all keys and all values.
    pub qkv: Packed,
    /// Those of a position beyond the map, `[3C]`.
    pub qkv_of_padding: &'a [f32],
    /// Relative positions of rows and of columns, `[window, C / heads, window]` each: position
    /// of the query, channel, position of the key.
    pub relative: [&'a [f32]; 2],
    /// Arithmetic of the attention.
    pub products: Products,
    /// The attention's output projection, and beside it that to the bottleneck of `space`.
    pub projection: Packed,
    /// A Space adapter's second layer, its first being in the projection; GELU between them.
    pub space: Option<Packed>,
    /// Before the MLP.
    pub mlp_norm: Norm,
    /// The MLP; GELU between its layers.
    pub mlp: [Packed; 2],
}

/// Positions that a layer computes at once, at most.
const TOKENS: usize = 64;

impl VitBlock {
    /// A block of windows of `window^2` positions, or of one that is the map, and `heads` heads.
    ///
    /// # Panics
    /// If the layers do not fit each other.
    pub fn new(isa: Isa, window: usize, heads: usize, layers: VitLayers) -> Self {
        let VitLayers { norm, qkv, qkv_of_padding, relative, products, .. } = layers;
        let VitLayers { projection, space, mlp_norm, mlp, .. } = layers;
        let channels = norm.channels();
        assert_eq!([qkv.inputs(), qkv.outputs()], [channels, 3 * channels]);
        assert_eq!(qkv_of_padding.len(), 3 * channels);
        let bottleneck = space.as_ref().map_or(0, Packed::inputs);
        assert_eq!([projection.inputs(), projection.outputs()], [channels, channels + bottleneck]);
        assert!(space.as_ref().is_none_or(|space| space.outputs() == channels));
        assert_eq!([mlp_norm.channels(), mlp[0].inputs(), mlp[1].outputs()], [channels; 3]);
        assert_eq!(mlp[0].outputs(), mlp[1].inputs());
        assert!(channels.is_multiple_of(heads), "{heads} heads of {channels} channels");
        let attention = RelativeAttention::new(window, heads, channels / heads, relative, products);
        let qkv_of_padding = qkv_of_padding.to_vec();
        Self { isa, norm, qkv, qkv_of_padding, attention, projection, space, mlp_norm, mlp }
    }

    fn output_parts(&self) -> [usize; 5] {
        let [expand, reduce] = &self.mlp;
        [
            self.projection.operand_bytes(TOKENS),
            self.space.as_ref().map_or(0, |space| space.operand_bytes(TOKENS)),
            expand.operand_bytes(TOKENS),
            reduce.operand_bytes(TOKENS),
            TOKENS * LANES * size_of::<i16>(),
        ]
    }
}

impl Block for VitBlock {
    fn channels(&self) -> usize {
        self.norm.channels()
    }

    fn output(&self, input: Map) -> Map {
        input
    }

    fn scratch_bytes(&self) -> usize {
        let of_input = total([self.qkv.operand_bytes(TOKENS)]);
        let of_output = total(self.output_parts());
        of_input.max(self.attention.workspace_bytes()).max(of_output)
    }

    fn between(&self, input: Map) -> usize {
        3 * input.len()
    }

    fn run(&self, pool: &Pool, map: Map, input: &[f32], output: &mut [f32], between: &mut [f32]) {
        assert!([input.len(), output.len()].iter().all(|len| *len >= map.len()));
        assert!(between.len() >= self.between(map));
        let Map { height, width, channels } = map;
        assert_eq!(channels, self.channels());
        let tokens = height * width;
        let parts = tokens.div_ceil(TOKENS);
        let tokens = |part: usize| part * tokens / parts..(part + 1) * tokens / parts;
        let (qkv, output) = (Output::new(between), Output::new(output));
        pool.run(parts, &|part, scratch| {
            self.isa.run(Input { block: self, input, qkv, tokens: tokens(part), scratch });
        });
        let RelativeAttention { side, heads, .. } = self.attention;
        let across = width.div_ceil(side);
        pool.run(across * height.div_ceil(side) * heads, &|part, scratch| {
            let (window, head) = (part / heads, part % heads);
            let (top, left) = (window / across * side, window % across * side);
            let map = Side { height, width };
            self.isa.run(Attention { block: self, qkv, map, top, left, head, scratch });
        });
        pool.run(parts, &|part, scratch| {
            let tokens = tokens(part);
            self.isa.run(Tokens { block: self, input, attended: qkv, output, tokens, scratch });
        });
    }
}

/// Queries, keys and values of some positions.
struct Input<'a> {
    block: &'a VitBlock,
    input: &'a [f32],
    qkv: Output<'a>,
    tokens: Range<usize>,
    scratch: &'a mut Scratch,
}

impl Task for Input<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { block: VitBlock { norm, qkv: layer, .. }, input, qkv, tokens, scratch } = self;
        let channels = norm.channels();
        let [operand] = scratch.parts([layer.operand_bytes(TOKENS)]);
        // SAFETY: all positions are on the map, and all memory is as long as its shape says. No
        // other part has these positions.
        unsafe {
            let input = input.as_ptr().add(tokens.start * channels);
            for token in 0..tokens.len() {
                norm.forward(
                    s,
                    input.add(token * channels),
                    #[inline(always)]
                    |channel, x| layer.put(s, operand, token, channel, x),
                );
            }
            let to = qkv.at(tokens.start * 3 * channels);
            layer.forward(
                s,
                operand,
                tokens.len(),
                #[inline(always)]
                |token, channel, y| s.store(to.add(token * 3 * channels + channel), y),
            );
        }
    }
}

/// A head of a window.
struct Attention<'a> {
    block: &'a VitBlock,
    qkv: Output<'a>,
    map: Side,
    top: usize,
    left: usize,
    head: usize,
    scratch: &'a mut Scratch,
}

impl Task for Attention<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { block, qkv, map, top, left, head, scratch } = self;
        let VitBlock { attention, qkv_of_padding, .. } = block;
        let (side, depth, stride) = (attention.side, attention.depth, 3 * block.channels());
        let on_map = Side { height: side.min(map.height - top), width: side.min(map.width - left) };
        let position =
            |row: usize, column: usize| ((top + row) * map.width + left + column) * stride;
        let workspace = attention.workspace(scratch);
        // SAFETY: positions on the map have queries, keys and values, and so has padding. No
        // other part has this head of these positions, and of a position this one reads nothing
        // but keys and values any more when it writes over the queries.
        unsafe {
            let of_position = |row: usize, column: usize| {
                if row < on_map.height && column < on_map.width {
                    qkv.at(position(row, column)).cast_const()
                } else {
                    qkv_of_padding.as_ptr()
                }
            };
            attention.forward(
                s,
                head,
                of_position,
                on_map,
                workspace,
                #[inline(always)]
                |row, column, channel, y| {
                    s.store(qkv.at(position(row, column) + head * depth + channel), y);
                },
            );
        }
    }
}

/// Projection, Space adapter and MLP of some positions.
struct Tokens<'a> {
    block: &'a VitBlock,
    input: &'a [f32],
    /// In the place of queries.
    attended: Output<'a>,
    output: Output<'a>,
    tokens: Range<usize>,
    scratch: &'a mut Scratch,
}

impl Task for Tokens<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { block, input, attended, output, tokens, scratch } = self;
        let VitBlock { projection, space, mlp_norm, mlp: [expand, reduce], .. } = block;
        let (channels, count) = (block.channels(), tokens.len());
        let [operand, bottleneck, normed, hidden, buffer] = scratch.parts(block.output_parts());
        // SAFETY: all positions are on the map, and all memory is as long as its shape says. No
        // other part has these positions.
        unsafe {
            let attended = attended.at(tokens.start * 3 * channels);
            for token in 0..count {
                for channel in (0..channels).step_by(LANES) {
                    let x = s.load(attended.add(token * 3 * channels + channel));
                    projection.put(s, operand, token, channel, x);
                }
            }
            let input = input.as_ptr().add(tokens.start * channels);
            let output = output.at(tokens.start * channels);
            projection.forward(
                s,
                operand,
                count,
                #[inline(always)]
                |token, channel, y| {
                    if channel < channels {
                        let at = token * channels + channel;
                        s.store(output.add(at), s.add(y, s.load(input.add(at))));
                    } else if let Some(space) = space {
                        space.put(s, bottleneck, token, channel - channels, space.gelu(s, y));
                    }
                },
            );
            if let Some(space) = space {
                space.forward(
                    s,
                    bottleneck,
                    count,
                    #[inline(always)]
                    |token, channel, y| {
                        let to = output.add(token * channels + channel);
                        s.store(to, s.add(y, s.load(to)));
                    },
                );
            }
            for token in 0..count {
                mlp_norm.forward(
                    s,
                    output.add(token * channels),
                    #[inline(always)]
                    |channel, x| expand.put(s, normed, token, channel, x),
                );
            }
            expand.forward_into(s, (normed, count), (reduce, hidden), buffer.cast());
            reduce.forward(
                s,
                hidden,
                count,
                #[inline(always)]
                |token, channel, y| {
                    let to = output.add(token * channels + channel);
                    s.store(to, s.add(y, s.load(to)));
                },
            );
        }
    }
}
