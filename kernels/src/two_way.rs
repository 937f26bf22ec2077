//! The mask decoder's two-way transformer: a few tokens attend to the image, and the image to
//! them.

use crate::attention::{NONE, Queries, ROWS};
use crate::block::Output;
use crate::norm::Norm;
use crate::packed::{Packed, padded, tiles, with_rows};
use crate::pool::Pool;
use crate::scratch::{Scratch, total};
use crate::simd::{Isa, LANES, Simd, Task, gelu};

/// Positions of the image that are computed at once, at most.
const POSITIONS: usize = 64;

/// The four projections of an attention; scores are scaled by the queries' weights.
pub struct Projections {
    /// Of queries.
    pub q: Packed,
    /// Of keys.
    pub k: Packed,
    /// Of values.
    pub v: Packed,
    /// Of what was attended to.
    pub out: Packed,
}

impl Projections {
    fn inner(&self) -> usize {
        self.q.outputs()
    }

    /// Whether they fit each other, `channels` and `heads`, and the adapter behind them.
    fn fit(&self, channels: usize, heads: usize, behind: Option<&Behind>) -> bool {
        let Self { q, k, v, out } = self;
        let inner = q.outputs();
        [q, k, v].iter().all(|layer| [layer.inputs(), layer.outputs()] == [channels, inner])
            && out.inputs() == inner
            && match behind {
                Some(behind) => behind.fits(out, channels),
                None => out.outputs() == channels,
            }
            && channels.is_multiple_of(LANES)
            && heads > 0
            && inner.is_multiple_of(heads * LANES)
    }
}

/// A nonlinearity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// The exact form.
    Gelu,
    /// `max(x, 0)`.
    Relu,
}

/// An adapter behind a projection, which gives its bottleneck beside the channels.
pub struct Behind {
    /// What becomes of the bottleneck.
    pub between: Between,
    /// From the bottleneck to channels.
    pub up: Packed,
}

/// What an adapter computes between its projections.
pub enum Between {
    /// A nonlinearity.
    Activation(Activation),
    /// HyP-Adpt: products with matrices that the prompt generates (Med-SA, section 3.3).
    Hyper(HyperMaps),
}

/// The matrices of HyP-Adpt: `e <- ReLU(norm(e W))` for each, `W` made of the mean over
/// prompt tokens of `ReLU(reduce token)`.
pub struct HyperMaps {
    /// From prompt tokens.
    pub reduce: Packed,
    /// To `[L, L]`, and the norm after it.
    pub maps: Vec<(Packed, Norm)>,
}

/// An adapter beside an MLP.
pub struct Beside {
    /// To the bottleneck.
    pub down: Packed,
    /// Between the projections.
    pub activation: Activation,
    /// To channels.
    pub up: Packed,
}

impl Behind {
    /// Whether it is HyP-Adpt.
    pub fn is_hyper(&self) -> bool {
        matches!(self.between, Between::Hyper(_))
    }

    /// Whether it fits a projection to `channels`.
    fn fits(&self, out: &Packed, channels: usize) -> bool {
        let bottleneck = self.up.inputs();
        let between = match &self.between {
            Between::Activation(_) => true,
            Between::Hyper(HyperMaps { reduce, maps }) => {
                reduce.inputs() == channels
                    && reduce.outputs().is_multiple_of(LANES)
                    && maps.iter().all(|(map, norm)| {
                        map.inputs() == reduce.outputs()
                            && map.outputs() == bottleneck * bottleneck
                            && norm.channels() == bottleneck
                    })
            }
        };
        between
            && bottleneck.is_multiple_of(LANES)
            && self.up.outputs() == channels
            && out.outputs() == channels + bottleneck
    }
}

/// What a two-way block is given: tokens `[N, C]` and an image `[M, C]`.
#[derive(Clone, Copy)]
pub struct TwoWayInput<'a> {
    /// `[N, C]`.
    pub tokens: &'a [f32],
    /// `[M, C]`.
    pub image: &'a [f32],
    /// Added to tokens that are queries or keys, `[N, C]`.
    pub token_positions: &'a [f32],
    /// Added to the image where it is queries or keys, `[M, C]`.
    pub image_positions: &'a [f32],
}

/// Attention of tokens to each other, of tokens to the image, an MLP, and attention of the image
/// to the tokens, a norm after each.
pub struct TwoWayBlock {
    /// Instructions.
    pub isa: Isa,
    /// Heads of each attention.
    pub heads: usize,
    /// Whether tokens are added to what they attend to among themselves; in the first block they
    /// are nothing but their positions.
    pub residual: bool,
    /// Tokens among themselves.
    pub self_attention: Projections,
    /// Tokens to the image.
    pub token_to_image: Projections,
    /// An adapter behind it.
    pub after_tokens: Option<Behind>,
    /// ReLU between its layers.
    pub mlp: [Packed; 2],
    /// An adapter beside it.
    pub beside_mlp: Option<Beside>,
    /// Image to tokens.
    pub image_to_token: Projections,
    /// An adapter behind it; not HyP-Adpt.
    pub after_image: Option<Behind>,
    /// After each.
    pub norms: [Norm; 4],
}

/// Attention of tokens to the image, once more, and a norm.
pub struct FinalAttention {
    /// Instructions.
    pub isa: Isa,
    /// Heads of the attention.
    pub heads: usize,
    /// Tokens to the image.
    pub token_to_image: Projections,
    /// After it.
    pub norm: Norm,
}

/// Memory for a block, as large as it is needed once it was used.
#[derive(Default)]
pub struct TwoWayMemory {
    keys: Vec<f32>,
    values: Vec<f32>,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    attended: Vec<f32>,
    hidden: Vec<f32>,
    bias: Vec<f32>,
    tokens: Vec<f32>,
    adapter: [Vec<f32>; 4],
}

impl TwoWayBlock {
    /// Whether its layers fit each other.
    pub fn fits(&self) -> bool {
        let channels = self.norms[0].channels();
        let [first, second] = &self.mlp;
        self.self_attention.fit(channels, self.heads, None)
            && self.token_to_image.fit(channels, self.heads, self.after_tokens.as_ref())
            && self.image_to_token.fit(channels, self.heads, self.after_image.as_ref())
            && self.beside_mlp.as_ref().is_none_or(|Beside { down, up, .. }| {
                [down.inputs(), up.outputs()] == [channels; 2]
                    && down.outputs() == up.inputs()
                    && up.inputs().is_multiple_of(LANES)
            })
            && !self.after_image.as_ref().is_some_and(Behind::is_hyper)
            && self.norms.iter().all(|norm| norm.channels() == channels)
            && [first.inputs(), second.outputs()] == [channels; 2]
            && first.outputs() == second.inputs()
    }

    /// Memory that each thread needs, for so many tokens and positions of the image.
    pub fn scratch_bytes(&self, tokens: usize, positions: usize) -> usize {
        let all = [&self.self_attention, &self.token_to_image, &self.image_to_token];
        let hyper = self.after_tokens.iter().filter_map(|behind| match &behind.between {
            Between::Hyper(HyperMaps { reduce, maps }) => Some((reduce, maps)),
            Between::Activation(_) => None,
        });
        let hyper =
            hyper.flat_map(|(reduce, maps)| maps.iter().map(|(map, _)| map).chain([reduce]));
        let behind = self.after_tokens.iter().map(|behind| &behind.up).chain(hyper);
        let beside = self.beside_mlp.iter().flat_map(|Beside { down, up, .. }| [down, up]);
        let layers = all.iter().flat_map(|p| [&p.q, &p.k, &p.v, &p.out]);
        let layers = layers.chain(&self.mlp).chain(behind).chain(beside);
        let linear = layers.map(|layer| layer.operand_bytes(tokens.max(POSITIONS))).max();
        let depth = self.self_attention.inner() / self.heads;
        linear
            .unwrap_or_default()
            .max(head_bytes(depth, positions.max(tokens)))
            .max(total(self.image_parts(tokens)))
    }

    fn image_parts(&self, tokens: usize) -> [usize; 6] {
        let Projections { q, out, .. } = &self.image_to_token;
        let float = size_of::<f32>();
        [
            q.operand_bytes(POSITIONS),
            POSITIONS * padded(q.outputs()) * float,
            ROWS * padded(tokens) * float,
            out.operand_bytes(POSITIONS),
            POSITIONS * self.norms[0].channels() * float,
            self.after_image.as_ref().map_or(0, |behind| behind.up.operand_bytes(POSITIONS)),
        ]
    }

    /// Tokens `[N, C]` and image `[M, C]` after it; `token_bias` `[N]` is added to scores where a
    /// token is the key, and the prompt is what HyP-Adpt makes its matrices of.
    ///
    /// # Panics
    /// If slices are shorter than the shapes say, or the pool has less scratch memory.
    pub fn run(
        &self,
        pool: &Pool,
        input: TwoWayInput,
        token_bias: &[f32],
        prompt: Prompt,
        memory: &mut TwoWayMemory,
        [tokens_out, image_out]: [&mut [f32]; 2],
    ) {
        let TwoWayInput { tokens, image, token_positions, image_positions } = input;
        let (isa, channels) = (self.isa, self.norms[0].channels());
        let (count, positions) = (tokens.len() / channels, image.len() / channels);
        let TwoWayMemory { keys, values, q, k, v, attended, hidden, bias, .. } = memory;
        let TwoWayMemory { tokens: kept, adapter, .. } = memory;
        bias.clear();
        bias.extend_from_slice(&token_bias[..count]);
        bias.resize(padded(count), NONE);
        let [norm1, norm2, norm3, norm4] = &self.norms;

        // Among themselves.
        let added = self.residual.then_some(token_positions);
        let Projections { q: of_q, k: of_k, v: of_v, out } = &self.self_attention;
        linear(pool, isa, of_q, (tokens, added), q);
        linear(pool, isa, of_k, (tokens, added), k);
        linear(pool, isa, of_v, (tokens, None), v);
        heads(pool, isa, (self.heads, self.self_attention.inner()), [q, k, v], bias, attended);
        linear(pool, isa, out, (attended, None), kept);
        let residual = self.residual.then_some(tokens);
        norms(isa, norm1, kept, residual, tokens_out);

        // To the image.
        let Projections { q: of_q, k: of_k, v: of_v, out } = &self.token_to_image;
        linear(pool, isa, of_q, (tokens_out, Some(token_positions)), q);
        linear(pool, isa, of_k, (image, Some(image_positions)), keys);
        linear(pool, isa, of_v, (image, None), values);
        bias.clear();
        bias.resize(padded(positions), NONE);
        bias[..positions].fill(0.0);
        heads(
            pool,
            isa,
            (self.heads, self.token_to_image.inner()),
            [q, keys, values],
            bias,
            attended,
        );
        linear(pool, isa, out, (attended, None), kept);
        if let Some(behind) = &self.after_tokens {
            behind.forward(pool, isa, prompt, kept, adapter);
        }
        norm_in_place(isa, norm2, kept, tokens_out);

        let [first, second] = &self.mlp;
        linear(pool, isa, first, (tokens_out, None), hidden);
        hidden.iter_mut().for_each(|x| *x = x.max(0.0));
        linear(pool, isa, second, (hidden, None), kept);
        if let Some(Beside { down, activation, up }) = &self.beside_mlp {
            let [reduced, answer, ..] = adapter;
            linear(pool, isa, down, (tokens_out, None), reduced);
            activate(isa, *activation, reduced);
            linear(pool, isa, up, (reduced, None), answer);
            kept.iter_mut().zip(answer).for_each(|(x, y)| *x += *y);
        }
        norm_in_place(isa, norm3, kept, tokens_out);

        // The image to them.
        let Projections { k: of_k, v: of_v, .. } = &self.image_to_token;
        linear(pool, isa, of_k, (tokens_out, Some(token_positions)), k);
        linear(pool, isa, of_v, (tokens_out, None), v);
        bias.clear();
        bias.extend_from_slice(&token_bias[..count]);
        bias.resize(padded(count), NONE);
        let inner = self.image_to_token.inner();
        // Keys of all heads, `[inner, padded tokens]`.
        keys.clear();
        keys.resize(inner * padded(count), 0.0);
        for (token, row) in k.chunks_exact(inner).enumerate() {
            for (channel, key) in row.iter().enumerate() {
                keys[channel * padded(count) + token] = *key;
            }
        }
        assert!(image_out.len() >= positions * channels && image_positions.len() >= image.len());
        let output = Output::new(image_out);
        pool.run(positions.div_ceil(POSITIONS), &|part, scratch| {
            let first = part * POSITIONS;
            isa.run(ToTokens {
                block: self,
                image: &image[first * channels..],
                positions: &image_positions[first * channels..],
                keys,
                values: v,
                bias,
                tokens: count,
                output,
                norm: norm4,
                first,
                count: POSITIONS.min(positions - first),
                scratch,
            });
        });
    }
}

impl FinalAttention {
    /// Whether its layers fit each other.
    pub fn fits(&self) -> bool {
        self.token_to_image.fit(self.norm.channels(), self.heads, None)
    }

    /// Memory that each thread needs, for so many tokens and positions of the image.
    pub fn scratch_bytes(&self, tokens: usize, positions: usize) -> usize {
        let Projections { q, k, v, out } = &self.token_to_image;
        let layers = [q, k, v, out].map(|layer| layer.operand_bytes(tokens.max(POSITIONS)));
        let linear = layers.into_iter().max();
        let depth = self.token_to_image.inner() / self.heads;
        linear.unwrap_or_default().max(head_bytes(depth, positions))
    }

    /// Tokens `[N, C]` after it.
    ///
    /// # Panics
    /// If slices are shorter than the shapes say, or the pool has less scratch memory.
    pub fn run(
        &self,
        pool: &Pool,
        input: TwoWayInput,
        memory: &mut TwoWayMemory,
        tokens_out: &mut [f32],
    ) {
        let TwoWayInput { tokens, image, token_positions, image_positions } = input;
        let (isa, positions) = (self.isa, image.len() / self.norm.channels());
        let TwoWayMemory { keys, values, q, attended, bias, tokens: kept, .. } = memory;
        let Projections { q: of_q, k: of_k, v: of_v, out } = &self.token_to_image;
        linear(pool, isa, of_q, (tokens, Some(token_positions)), q);
        linear(pool, isa, of_k, (image, Some(image_positions)), keys);
        linear(pool, isa, of_v, (image, None), values);
        bias.clear();
        bias.resize(padded(positions), NONE);
        bias[..positions].fill(0.0);
        heads(
            pool,
            isa,
            (self.heads, self.token_to_image.inner()),
            [q, keys, values],
            bias,
            attended,
        );
        linear(pool, isa, out, (attended, None), kept);
        norms(isa, &self.norm, kept, Some(tokens), tokens_out);
    }
}

/// What HyP-Adpt is told about the prompt.
#[derive(Clone, Copy)]
pub struct Prompt<'a> {
    /// `[P, C]`.
    pub tokens: &'a [f32],
    /// For each, whether it stands for a place; empty slots do not.
    pub is_place: &'a [bool],
}

impl Activation {
    #[inline(always)]
    fn of<S: Simd>(self, s: S, x: S::F) -> S::F {
        match self {
            Self::Gelu => gelu(s, x),
            Self::Relu => s.max(x, s.splat(0.0)),
        }
    }
}

impl Behind {
    /// Adds its answer to the channels of `rows` `[N, C + L]`, which become `[N, C]`.
    fn forward(
        &self,
        pool: &Pool,
        isa: Isa,
        prompt: Prompt,
        rows: &mut Vec<f32>,
        [reduced, next, weights, mean]: &mut [Vec<f32>; 4],
    ) {
        let (channels, length) = (self.up.outputs(), self.up.inputs());
        let count = rows.len() / (channels + length);
        reduced.clear();
        for row in rows.chunks_exact(channels + length) {
            reduced.extend_from_slice(&row[channels..]);
        }
        for row in 1..count {
            let start = row * (channels + length);
            rows.copy_within(start..start + channels, row * channels);
        }
        rows.truncate(count * channels);
        match &self.between {
            Between::Activation(activation) => activate(isa, *activation, reduced),
            Between::Hyper(HyperMaps { reduce, maps }) => {
                linear(pool, isa, reduce, (prompt.tokens, None), next);
                prompt_mean(next, prompt.is_place, reduce.outputs(), mean);
                for (map, norm) in maps {
                    linear(pool, isa, map, (mean, None), weights);
                    next.clear();
                    next.resize(reduced.len(), 0.0);
                    for (x, y) in reduced.chunks_exact(length).zip(next.chunks_exact_mut(length)) {
                        for (x, weights) in x.iter().zip(weights.chunks_exact(length)) {
                            y.iter_mut().zip(weights).for_each(|(y, weight)| *y += x * weight);
                        }
                    }
                    norms(isa, norm, next, None, reduced);
                    activate(isa, Activation::Relu, reduced);
                }
            }
        }
        linear(pool, isa, &self.up, (reduced, None), next);
        rows.iter_mut().zip(next).for_each(|(x, y)| *x += *y);
    }
}

/// The mean of `ReLU(rows)` over those that stand for a place, over all if none does.
fn prompt_mean(rows: &[f32], is_place: &[bool], channels: usize, mean: &mut Vec<f32>) {
    let all = !is_place.contains(&true);
    let chosen = || rows.chunks_exact(channels).zip(is_place).filter(|(_, place)| all || **place);
    mean.clear();
    mean.resize(channels, 0.0);
    let share = 1.0 / chosen().count().max(1) as f32;
    for (row, _) in chosen() {
        mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += share * x.max(0.0));
    }
}

/// A nonlinearity of values, in whole [`LANES`].
fn activate(isa: Isa, activation: Activation, values: &mut [f32]) {
    assert!(values.len().is_multiple_of(LANES));
    isa.run(Activate { activation, values });
}

struct Activate<'a> {
    activation: Activation,
    values: &'a mut [f32],
}

impl Task for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for x in self.values.chunks_exact_mut(LANES) {
            // SAFETY: chunks are that long.
            unsafe { s.store(x.as_mut_ptr(), self.activation.of(s, s.load(x.as_ptr()))) };
        }
    }
}

/// A layer of rows, to which others may be added first.
pub(crate) fn linear(
    pool: &Pool,
    isa: Isa,
    layer: &Packed,
    (input, added): (&[f32], Option<&[f32]>),
    output: &mut Vec<f32>,
) {
    let (inputs, outputs) = (layer.inputs(), layer.outputs());
    let rows = input.len() / inputs;
    assert!(inputs.is_multiple_of(LANES) && outputs.is_multiple_of(LANES));
    assert!(added.is_none_or(|added| added.len() >= rows * inputs));
    output.resize(rows * outputs, 0.0);
    let output = Output::new(output);
    pool.run(rows.div_ceil(POSITIONS), &|part, scratch| {
        let first = part * POSITIONS;
        let count = POSITIONS.min(rows - first);
        isa.run(LinearRows { layer, input, added, output, first, count, scratch });
    });
}

struct LinearRows<'a> {
    layer: &'a Packed,
    input: &'a [f32],
    added: Option<&'a [f32]>,
    output: Output<'a>,
    first: usize,
    count: usize,
    scratch: &'a mut Scratch,
}

impl Task for LinearRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { layer, input, added, output, first, count, scratch } = self;
        let (inputs, outputs) = (layer.inputs(), layer.outputs());
        let [operand] = scratch.parts([layer.operand_bytes(count)]);
        // SAFETY: all is as long as its shape says; no other part has these rows.
        unsafe {
            for row in 0..count {
                for channel in (0..inputs).step_by(LANES) {
                    let at = (first + row) * inputs + channel;
                    let mut x = s.load(input.as_ptr().add(at));
                    if let Some(added) = added {
                        x = s.add(x, s.load(added.as_ptr().add(at)));
                    }
                    layer.put(s, operand, row, channel, x);
                }
            }
            let to = output.at(first * outputs);
            layer.forward(
                s,
                operand,
                count,
                #[inline(always)]
                |row, channel, y| s.store(to.add(row * outputs + channel), y),
            );
        }
    }
}

/// Memory that one head of [`heads`] needs.
fn head_bytes(depth: usize, keys: usize) -> usize {
    (depth + ROWS) * padded(keys) * size_of::<f32>()
}

/// Attention of all heads: queries `[N, inner]`, keys and values `[M, inner]` to `[N, inner]`;
/// `bias` is padded.
fn heads(
    pool: &Pool,
    isa: Isa,
    (heads, inner): (usize, usize),
    [q, k, v]: [&[f32]; 3],
    bias: &[f32],
    attended: &mut Vec<f32>,
) {
    attended.resize(q.len(), 0.0);
    let tokens = k.len() / inner;
    assert!(q.len().is_multiple_of(inner) && v.len() == k.len() && bias.len() >= padded(tokens));
    let output = Output::new(attended);
    pool.run(heads, &|head, scratch| {
        isa.run(Head { q, k, v, bias, output, tokens, inner, depth: inner / heads, head, scratch });
    });
}

struct Head<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    bias: &'a [f32],
    output: Output<'a>,
    tokens: usize,
    inner: usize,
    depth: usize,
    head: usize,
    scratch: &'a mut Scratch,
}

impl Task for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { q, k, v, bias, output, tokens, inner, depth, head, scratch } = self;
        let columns = padded(tokens);
        let float = size_of::<f32>();
        let [keys, scores] = scratch.parts([depth * columns * float, ROWS * columns * float]);
        let keys: *mut f32 = keys.cast();
        // SAFETY: all is as long as its shape says; no other part has these channels.
        unsafe {
            for token in 0..columns {
                for channel in 0..depth {
                    let at = token * inner + head * depth + channel;
                    let key = if token < tokens { *k.get_unchecked(at) } else { 0.0 };
                    *keys.add(channel * columns + token) = key;
                }
            }
            tiles::<S>(
                q.len() / inner,
                #[inline(always)]
                |first, count| {
                    let queries = Queries {
                        q: q.as_ptr().add(first * inner + head * depth),
                        q_stride: inner,
                        keys,
                        v: v.as_ptr().add(head * depth),
                        v_stride: inner,
                        tokens,
                        depth,
                        bias: bias.as_ptr(),
                        bias_stride: 0,
                        scores: scores.cast(),
                    };
                    with_rows!(count, R => queries.attend::<S, R>(
                        s,
                        #[inline(always)]
                        |row, channel, y| {
                            let at = (first + row) * inner + head * depth + channel;
                            s.store(output.at(at), y);
                        },
                    ));
                },
            );
        }
    }
}

/// `norm(rows + added)`.
fn norms(isa: Isa, norm: &Norm, rows: &[f32], added: Option<&[f32]>, output: &mut [f32]) {
    assert!(output.len() >= rows.len() && added.is_none_or(|added| added.len() >= rows.len()));
    let added = added.map(<[f32]>::as_ptr);
    let (from, to, len) = (rows.as_ptr(), output.as_mut_ptr(), rows.len());
    isa.run(NormRows { norm, rows: from, added, output: to, len });
}

/// `rows = norm(rows + added)`.
fn norm_in_place(isa: Isa, norm: &Norm, added: &[f32], rows: &mut [f32]) {
    assert!(rows.len() >= added.len());
    let (to, len) = (rows.as_mut_ptr(), added.len());
    isa.run(NormRows { norm, rows: added.as_ptr(), added: Some(to.cast_const()), output: to, len });
}

/// Each row is read before it is written, so that it may be the same memory.
struct NormRows<'a> {
    norm: &'a Norm,
    rows: *const f32,
    added: Option<*const f32>,
    output: *mut f32,
    len: usize,
}

impl Task for NormRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { norm, rows, added, output, len } = self;
        // SAFETY: whoever makes this has made sure of the lengths.
        unsafe {
            for start in (0..len).step_by(norm.channels()) {
                for at in (start..start + norm.channels()).step_by(LANES) {
                    let mut x = s.load(rows.add(at));
                    if let Some(added) = added {
                        x = s.add(x, s.load(added.add(at)));
                    }
                    s.store(output.add(at), x);
                }
                norm.in_place(s, output.add(start));
            }
        }
    }
}

/// Attention of a part of the image to the tokens.
struct ToTokens<'a> {
    block: &'a TwoWayBlock,
    image: &'a [f32],
    positions: &'a [f32],
    /// `[inner, padded tokens]`.
    keys: &'a [f32],
    /// `[tokens, inner]`.
    values: &'a [f32],
    bias: &'a [f32],
    tokens: usize,
    output: Output<'a>,
    norm: &'a Norm,
    first: usize,
    count: usize,
    scratch: &'a mut Scratch,
}

impl Task for ToTokens<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { block, image, positions, keys, values, bias, tokens, output, .. } = self;
        let Self { norm, first: start, count, scratch, .. } = self;
        let Projections { q, out, .. } = &block.image_to_token;
        let (channels, inner) = (q.inputs(), q.outputs());
        let depth = inner / block.heads;
        let [operand, queries, scores, attended, projected, bottleneck] =
            scratch.parts(block.image_parts(tokens));
        let queries: *mut f32 = queries.cast();
        // SAFETY: all is as long as its shape says; no other part has these positions.
        unsafe {
            for position in 0..count {
                for channel in (0..channels).step_by(LANES) {
                    let at = position * channels + channel;
                    let x = s.load(image.as_ptr().add(at));
                    let x = s.add(x, s.load(positions.as_ptr().add(at)));
                    q.put(s, operand, position, channel, x);
                }
            }
            q.forward(
                s,
                operand,
                count,
                #[inline(always)]
                |position, channel, y| s.store(queries.add(position * inner + channel), y),
            );
            for head in 0..block.heads {
                tiles::<S>(
                    count,
                    #[inline(always)]
                    |first, rows| {
                        let some = Queries {
                            q: queries.add(first * inner + head * depth),
                            q_stride: inner,
                            keys: keys.as_ptr().add(head * depth * padded(tokens)),
                            v: values.as_ptr().add(head * depth),
                            v_stride: inner,
                            tokens,
                            depth,
                            bias: bias.as_ptr(),
                            bias_stride: 0,
                            scores: scores.cast(),
                        };
                        with_rows!(rows, R => some.attend::<S, R>(
                            s,
                            #[inline(always)]
                            |row, channel, y| {
                                out.put(s, attended, first + row, head * depth + channel, y);
                            },
                        ));
                    },
                );
            }
            let to = output.at(start * channels);
            let projected: *mut f32 = projected.cast();
            out.forward(
                s,
                attended,
                count,
                #[inline(always)]
                |position, channel, y| {
                    if channel < channels {
                        let at = position * channels + channel;
                        s.store(projected.add(at), s.add(y, s.load(image.as_ptr().add(at))));
                    } else if let Some(Behind { between: Between::Activation(act), up }) =
                        &block.after_image
                    {
                        up.put(s, bottleneck, position, channel - channels, act.of(s, y));
                    }
                },
            );
            if let Some(Behind { up, .. }) = &block.after_image {
                up.forward(
                    s,
                    bottleneck,
                    count,
                    #[inline(always)]
                    |position, channel, y| {
                        let at = position * channels + channel;
                        s.store(to.add(at), s.add(y, s.load(projected.add(at))));
                    },
                );
            } else {
                to.copy_from_nonoverlapping(projected, count * channels);
            }
            for position in 0..count {
                norm.in_place(s, to.add(position * channels));
            }
        }
    }
}
