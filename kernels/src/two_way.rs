//! The mask decoder's two-way transformer: a few tokens attend to the image, and the image to
//! them.

use crate::attention::{NONE, Queries};
use crate::block::Output;
use crate::decoder_adapter::{Behind, Beside, Between, HyperMaps, Prompt, activate};
use crate::norm::Norm;
use crate::packed::{Packed, ROWS, padded, tiles};
use crate::pool::Pool;
use crate::rows::{ROWS as POSITIONS, linear, norm_in_place, norms};
use crate::scratch::{Scratch, total};
use crate::simd::{Isa, LANES, Simd, Task};

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

impl Projections {
    /// What tokens attend to in the image, in `memory.tokens`.
    fn attend_to_image(
        &self,
        pool: &Pool,
        isa: Isa,
        heads: usize,
        input: TwoWayInput,
        memory: &mut TwoWayMemory,
    ) {
        let TwoWayInput { tokens, image, token_positions, image_positions } = input;
        let TwoWayMemory { keys, values, q, attended, bias, tokens: found, .. } = memory;
        let positions = image.len() / self.k.inputs();
        linear(pool, isa, &self.q, (tokens, Some(token_positions)), q);
        linear(pool, isa, &self.k, (image, Some(image_positions)), keys);
        linear(pool, isa, &self.v, (image, None), values);
        bias.clear();
        bias.resize(padded(positions), NONE);
        bias[..positions].fill(0.0);
        attend(pool, isa, (heads, self.inner()), [q, keys, values], bias, attended);
        linear(pool, isa, &self.out, (attended, None), found);
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
        let TwoWayMemory { q, k, v, attended, bias, tokens: kept, .. } = memory;
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
        attend(pool, isa, (self.heads, self.self_attention.inner()), [q, k, v], bias, attended);
        linear(pool, isa, out, (attended, None), kept);
        let residual = self.residual.then_some(tokens);
        norms(isa, norm1, kept, residual, tokens_out);

        // To the image.
        let to_image = TwoWayInput { tokens: tokens_out, ..input };
        self.token_to_image.attend_to_image(pool, isa, self.heads, to_image, memory);
        let TwoWayMemory { keys, k, v, hidden, bias, tokens: kept, adapter, .. } = memory;
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
        self.token_to_image.attend_to_image(pool, self.isa, self.heads, input, memory);
        norms(self.isa, &self.norm, &memory.tokens, Some(input.tokens), tokens_out);
    }
}

/// Memory that one head of [`attend`] needs.
fn head_bytes(depth: usize, keys: usize) -> usize {
    (depth + ROWS) * padded(keys) * size_of::<f32>()
}

/// Attention of all heads: queries `[N, inner]`, keys and values `[M, inner]` to `[N, inner]`;
/// `bias` is padded.
fn attend(
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
            tiles!(q.len() / inner, first, R => {
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
                    queries.attend::<S, R>(
                        s,
                        #[inline(always)]
                        |row, channel, y| {
                            let at = (first + row) * inner + head * depth + channel;
                            s.store(output.at(at), y);
                        },
                    );
            });
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
                tiles!(count, first, R => {
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
                        some.attend::<S, R>(
                            s,
                            #[inline(always)]
                            |row, channel, y| {
                                out.put(s, attended, first + row, head * depth + channel, y);
                            },
                        );
                });
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
