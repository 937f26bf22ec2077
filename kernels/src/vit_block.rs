//! The block of SAM's ViT: attention in windows or over the whole map, with decomposed relative
//! positions, and an MLP.

use crate::attention::{Products, RelativeAttention};
use crate::block::{Block, Map, Maps, Side};
use crate::limits;
use crate::misfit::{Misfit, check_channels, check_heads, check_len, check_number};
use crate::norm::Norm;
use crate::output::{SharedOutput, Strips};
use crate::packed::{Operand, Packed};
use crate::pool::Pool;
use crate::scratch::{Scratch, Slices};
use crate::simd::{Isa, LANES, Simd, Task};

/// A block of SAM's ViT, with its adapters folded in.
///
/// Between its parts it keeps queries, keys and values of all positions. Each head of each window
/// writes its output over its queries.
pub struct VitBlock {
    isa: Isa,
    norm: Norm,
    qkv: Packed,
    qkv_of_padding: Vec<f32>,
    attention: RelativeAttention,
    projection: Packed,
    space: Option<Packed>,
    mlp_norm: Norm,
    mlp: [Packed; 2],
}

/// Layers of a [`VitBlock`] of C channels.
pub struct VitLayers<'a> {
    /// Norm before the attention.
    pub norm: Norm,
    /// To queries (scaled) of all heads, then all keys and all values, `[3, heads, C / heads]`.
    pub qkv: Packed,
    /// Output of `qkv` for positions beyond the map, `[3C]`.
    pub qkv_of_padding: &'a [f32],
    /// Relative positions of rows and of columns, `[window, C / heads, window]` each: position of
    /// the query, channel, position of the key.
    pub relative: [&'a [f32]; 2],
    /// Arithmetic of the attention.
    pub products: Products,
    /// Output projection of the attention: to C channels, followed by the bottleneck of `space`.
    pub projection: Packed,
    /// Second layer of a Space adapter, from the bottleneck to C channels. Its first layer is part
    /// of `projection`; GELU between them.
    pub space: Option<Packed>,
    /// Norm before the MLP.
    pub mlp_norm: Norm,
    /// Layers of the MLP, GELU between them.
    pub mlp: [Packed; 2],
}

/// Largest number of positions that a layer computes at once.
const TOKENS: usize = 64;

impl VitBlock {
    /// A block with windows of `window^2` positions and this number of heads. A global block has
    /// one window, at least as large as the map.
    ///
    /// # Errors
    /// If the layers do not match, or `window` or `heads` is out of its range.
    pub fn new(isa: Isa, window: usize, heads: usize, layers: VitLayers) -> Result<Self, Misfit> {
        let VitLayers { norm, qkv, qkv_of_padding, relative, products, .. } = layers;
        let VitLayers { projection, space, mlp_norm, mlp, .. } = layers;
        let channels = norm.channels();
        check_number("window", window, limits::VIT_WINDOW)?;
        check_heads(heads, channels)?;
        qkv.check("qkv", isa, channels, 3 * channels)?;
        check_len("qkv_of_padding", qkv_of_padding.len(), 3 * channels)?;
        let depth = channels / heads;
        check_len("relative.rows", relative[0].len(), window * depth * window)?;
        check_len("relative.columns", relative[1].len(), window * depth * window)?;
        let bottleneck = space.as_ref().map_or(0, Packed::inputs);
        projection.check("projection", isa, channels, channels + bottleneck)?;
        if let Some(space) = &space {
            space.check("space", isa, bottleneck, channels)?;
        }
        check_channels("mlp_norm", mlp_norm.channels(), channels)?;
        let hidden = mlp[0].outputs();
        mlp[0].check("mlp.layer1", isa, channels, hidden)?;
        mlp[1].check("mlp.layer2", isa, hidden, channels)?;
        let attention = RelativeAttention::new(window, heads, depth, relative, products);
        let qkv_of_padding = qkv_of_padding.to_vec();
        Ok(Self { isa, norm, qkv, qkv_of_padding, attention, projection, space, mlp_norm, mlp })
    }

    /// Takes the operand of [`QkvRows`].
    fn input_operand<'a>(&self, slices: &mut Slices<'a>) -> Operand<'a> {
        self.qkv.operand(slices, TOKENS)
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
        let input = Slices::bytes(|slices| self.input_operand(slices));
        let attention = Slices::bytes(|slices| self.attention.workspace(slices));
        let output = Slices::bytes(|slices| OutputScratch::new(self, slices));
        input.max(attention).max(output)
    }

    fn between_len(&self, input: Map) -> usize {
        input.len().saturating_mul(3)
    }

    fn run(&self, pool: &Pool, map: Map, input: &[f32], output: &mut [f32], between: &mut [f32]) {
        let Maps { input, output, between } = Maps::new(self, map, input, output, between);
        if map.is_empty() {
            return;
        }
        let Map { height, width, channels } = map;
        let strips = Strips::new(1, height * width, TOKENS);
        strips.run(pool, between, 3 * channels, |strip, qkv, scratch| {
            let input = &input[strip.first * channels..][..strip.columns.len() * channels];
            self.isa.run(QkvRows { block: self, input, qkv, scratch });
        });
        let (side, heads) = (self.attention.side(), self.attention.heads());
        let across = width.div_ceil(side);
        let qkv = SharedOutput::new(between);
        pool.run(across * height.div_ceil(side) * heads, &|part, scratch| {
            let (window, head) = (part / heads, part % heads);
            let (top, left) = (window / across * side, window % across * side);
            let map = Side { height, width };
            self.isa.run(Head { block: self, qkv, map, top, left, head, scratch });
        });
        let attended = &*between;
        strips.run(pool, output, channels, |strip, output, scratch| {
            let (first, count) = (strip.first, strip.columns.len());
            let input = &input[first * channels..][..count * channels];
            let attended = &attended[3 * first * channels..][..3 * count * channels];
            self.isa.run(OutputRows { block: self, input, attended, output, scratch });
        });
    }
}

/// Queries, keys and values of some positions.
struct QkvRows<'a> {
    block: &'a VitBlock,
    /// `[N, C]`.
    input: &'a [f32],
    /// `[N, 3C]`.
    qkv: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl Task for QkvRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { block, input, qkv: output, scratch } = self;
        let VitBlock { norm, qkv, .. } = block;
        let mut operand = block.input_operand(&mut scratch.slices());
        let count = input.len() / norm.channels();
        qkv.put_normed(s, (&mut operand, 0), norm, input);
        qkv.forward_rows(s, &operand, count, output);
    }
}

/// The attention of one head in a window.
struct Head<'a> {
    block: &'a VitBlock,
    /// Queries, keys and values, `[H, W, 3, heads, C / heads]`. The output takes the place of the
    /// queries.
    qkv: SharedOutput<'a>,
    /// H and W.
    map: Side,
    /// First row of the window.
    top: usize,
    /// First column of the window.
    left: usize,
    head: usize,
    scratch: &'a mut Scratch,
}

impl Task for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { block, qkv, map, top, left, head, scratch } = self;
        let VitBlock { attention, qkv_of_padding, .. } = block;
        let (side, depth, stride) = (attention.side(), attention.depth(), qkv_of_padding.len());
        let on_map = Side { height: side.min(map.height - top), width: side.min(map.width - left) };
        let position =
            |row: usize, column: usize| ((top + row) * map.width + left + column) * stride;
        let mut workspace = attention.workspace(&mut scratch.slices());
        let of_position = |row: usize, column: usize| {
            if row < on_map.height && column < on_map.width {
                // SAFETY: this is a position of the map.
                unsafe { qkv.at(position(row, column)).cast_const() }
            } else {
                qkv_of_padding.as_ptr()
            }
        };
        // SAFETY: positions of the map and padding have queries, keys and values of all heads
        // (`new`). No other part accesses this head of the window; `each` writes to the queries
        // of the position that it is called with, which is one of the map.
        unsafe {
            attention.forward(
                s,
                head,
                of_position,
                on_map,
                &mut workspace,
                #[inline(always)]
                |row, column, channel, y| {
                    let at = position(row, column) + head * depth + channel;
                    s.store_ptr(qkv.at(at), y);
                },
            );
        }
    }
}

/// Projection, Space adapter and MLP of some positions.
struct OutputRows<'a> {
    block: &'a VitBlock,
    /// `[N, C]`.
    input: &'a [f32],
    /// Output of the attention in the place of queries, `[N, 3, C]`.
    attended: &'a [f32],
    /// `[N, C]`.
    output: &'a mut [f32],
    scratch: &'a mut Scratch,
}

/// Memory for [`OutputRows`].
struct OutputScratch<'a> {
    attended: Operand<'a>,
    bottleneck: Option<Operand<'a>>,
    normed: Operand<'a>,
    hidden: Operand<'a>,
    gelu_buffer: &'a mut [[i16; LANES]],
}

impl<'a> OutputScratch<'a> {
    fn new(block: &VitBlock, slices: &mut Slices<'a>) -> Self {
        let [expand, reduce] = &block.mlp;
        Self {
            attended: block.projection.operand(slices, TOKENS),
            bottleneck: block.space.as_ref().map(|space| space.operand(slices, TOKENS)),
            normed: expand.operand(slices, TOKENS),
            hidden: reduce.operand(slices, TOKENS),
            gelu_buffer: slices.take(TOKENS),
        }
    }
}

impl Task for OutputRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { block, input, attended, output, scratch } = self;
        let VitBlock { projection, space, mlp_norm, mlp: [expand, reduce], .. } = block;
        let channels = mlp_norm.channels();
        let scratch = OutputScratch::new(block, &mut scratch.slices());
        let OutputScratch { attended: mut operand, bottleneck, .. } = scratch;
        let OutputScratch { mut normed, mut hidden, gelu_buffer, .. } = scratch;
        let count = input.len() / channels;
        projection.put_strided(s, &mut operand, (attended, 3 * channels));
        projection.forward_zip(
            s,
            &operand,
            count,
            (input, output),
            #[inline(always)]
            |y, x| s.add(y, x),
        );
        if let Some((space, mut bottleneck)) = space.as_ref().zip(bottleneck) {
            projection.forward_tail(
                s,
                (&operand, count),
                channels,
                (space, &mut bottleneck),
                #[inline(always)]
                |y| space.gelu(s, y),
            );
            space.forward_add(s, &bottleneck, count, output);
        }
        expand.put_normed(s, (&mut normed, 0), mlp_norm, output);
        expand.forward_into(s, (&normed, count), (reduce, &mut hidden), gelu_buffer);
        reduce.forward_add(s, &hidden, count, output);
    }
}
