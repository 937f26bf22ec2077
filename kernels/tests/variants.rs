//! Every variant of every block gives what plain loops give.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::num::NonZeroUsize;

use medsa_kernels::{
    Activation, Behind, Beside, Between, Block, ConvBlock, Depthwise, FinalAttention, HyperMaps,
    Isa, LinearS8, Map, MaskHead, MaskMemory, MaskPrompt, Neck, Norm, Packed, Pointwise, Pool,
    Products, Projections, Prompt, StepsOf, TinyVitBlock, TinyVitLayers, TwoWayBlock, TwoWayInput,
    TwoWayMemory, VitBlock, VitLayers,
};

/// The system's allocator, which counts what each thread asks for.
struct Counting;

thread_local! {
    static ASKED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: all is the system allocator's work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.set(ASKED.get() + 1);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Runs twice: once warm, nothing is allocated.
fn twice(mut run: impl FnMut()) {
    run();
    if cfg!(miri) {
        return;
    }
    let before = ASKED.get();
    run();
    assert_eq!(ASKED.get(), before, "allocations");
}

/// Numbers of no pattern.
struct Noise(u64);

impl Noise {
    /// From -1 to 1.
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 40) as f32 / f32::from(1_u16 << 15) / 256.0 - 1.0
    }

    fn values(&mut self, count: usize, most: f32) -> Vec<f32> {
        (0..count).map(|_| self.next() * most).collect()
    }

    fn bytes(&mut self, count: usize) -> Vec<i8> {
        (0..count).map(|_| (self.next() * 127.4) as i8).collect()
    }

    fn linear(&mut self, isa: Isa, precision: Precision, inputs: usize, outputs: usize) -> Packed {
        let most = 1.0 / (inputs as f32).sqrt();
        if precision == Precision::Float {
            let weight = self.values(inputs * outputs, most);
            return Packed::float(&weight, &self.values(outputs, 0.1));
        }
        Packed::int8(
            isa,
            &LinearS8 {
                weight: &self.bytes(inputs * outputs),
                steps: &(0..outputs)
                    .map(|_| most / 127.0 / 40.0 * (1.5 + self.next()))
                    .collect::<Vec<_>>(),
                bias: &self.values(outputs, 0.1),
                inverse: &(0..inputs).map(|_| 40.0 + 20.0 * self.next()).collect::<Vec<_>>(),
                zero: &(0..inputs).map(|_| (self.next() * 90.0).round()).collect::<Vec<_>>(),
            },
        )
    }

    fn depthwise(&mut self, precision: Precision, channels: usize) -> Depthwise {
        let bias = self.values(channels, 0.1);
        match precision {
            Precision::Float => Depthwise::float(&self.values(9 * channels, 0.3), &bias),
            Precision::Int8 => {
                let steps = vec![0.3 / 127.0 / 40.0; channels];
                let input =
                    StepsOf { inverse: &vec![40.0; channels], zero: &vec![-90.0; channels] };
                Depthwise::int8(&self.bytes(9 * channels), &steps, &bias, input)
            }
        }
    }

    fn norm(&mut self, channels: usize) -> Norm {
        let gamma: Vec<f32> = (0..channels).map(|_| 1.0 + 0.3 * self.next()).collect();
        Norm::new(&gamma, &self.values(channels, 0.2), 1e-5)
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Precision {
    Float,
    Int8,
}

/// Whether there is time for a case of so many values: an interpreter takes the smallest.
fn has_time(values: usize) -> bool {
    !cfg!(miri) || values <= 64
}

/// Channels of attentions, of two heads at least.
const CHANNELS: usize = if cfg!(miri) { 32 } else { 64 };

/// Hidden channels of their MLP: as wide as an adapter makes it.
const WIDE: usize = if cfg!(miri) { 20 } else { 265 };

/// What is held to plain loops: all, or, interpreted, what no processor here may have.
fn variants() -> Vec<Isa> {
    let all = Isa::available();
    if cfg!(miri) { all.into_iter().next_back().into_iter().collect() } else { all }
}

/// Holds what every variant gives, on one thread and on three, to what plain loops give.
fn same(what: &str, run: impl Fn(Isa, &Pool, &mut Noise) -> Vec<f32>) {
    let run = |isa: Isa, threads: usize| {
        run(isa, &Pool::new(NonZeroUsize::new(threads).unwrap()), &mut Noise(3))
    };
    let expected = run(Isa::SCALAR, 1);
    assert!(expected.iter().all(|y| y.is_finite()), "{what}");
    let scale = (expected.iter().map(|y| y * y).sum::<f32>() / expected.len() as f32).sqrt();
    for isa in variants() {
        let found = run(isa, 1);
        let off = found.iter().zip(&expected).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
        let off = (off / expected.len() as f32).sqrt() / scale;
        // A value next to the edge between two steps may fall on either side of it.
        assert!(off < 2e-3, "{what} with {}: {off} off", isa.name());
        if !cfg!(miri) {
            assert!(run(isa, 3) == found, "{what} with {}: threads differ", isa.name());
        }
    }
}

/// The same for a block of maps.
fn compare<B: Block>(map: Map, what: &str, make: impl Fn(Isa, &mut Noise) -> B) {
    if !has_time(map.len()) {
        return;
    }
    let input = Noise(5).values(map.len(), 2.0);
    same(what, |isa, pool, noise| {
        let block = make(isa, noise);
        pool.reserve(block.scratch_bytes());
        let mut output = vec![f32::NAN; block.output(map).len()];
        let mut between = vec![f32::NAN; block.between(map)];
        twice(|| block.run(pool, map, &input, &mut output, &mut between));
        output
    });
}

const PRECISIONS: &[Precision] =
    if cfg!(miri) { &[Precision::Int8] } else { &[Precision::Float, Precision::Int8] };

#[test]
fn convolution_blocks() {
    for &precision in PRECISIONS {
        for (height, width, stride, residual) in [
            (5, 7, 1, true),
            (33, 70, 1, true),
            (1, 1, 1, true),
            (9, 40, 2, false),
            (2, 2, 2, false),
        ] {
            let map = Map { height, width, channels: 32 };
            let what = format!("{precision:?} {map:?} stride {stride}");
            compare(map, &what, |isa, noise| {
                let outputs = if residual { 32 } else { 48 };
                let layers = [
                    noise.linear(isa, precision, 32, 64),
                    noise.linear(isa, precision, 64, outputs),
                ];
                let depthwise = noise.depthwise(precision, 64);
                ConvBlock::new(isa, layers, depthwise, stride, residual)
            });
        }
    }
}

#[test]
fn window_attention_blocks() {
    for &precision in PRECISIONS {
        for (height, width, window, space) in [
            (14, 14, 7, false),
            (9, 13, 7, true),
            (3, 3, 7, false),
            (16, 17, 14, true),
            (1, 1, 1, false),
            (1, 2, 2, true),
        ] {
            let map = Map { height, width, channels: CHANNELS };
            let what = format!("{precision:?} {map:?} window {window} space {space}");
            compare(map, &what, |isa, noise| {
                let (heads, tokens, bottleneck) = (2, window * window, 20);
                let rest = if space { bottleneck } else { 0 };
                let products = match precision {
                    Precision::Float => Products::Float,
                    Precision::Int8 => Products::Int8,
                };
                let layers = TinyVitLayers {
                    norm: noise.norm(CHANNELS),
                    qkv: noise.linear(isa, precision, CHANNELS, 3 * CHANNELS),
                    qkv_of_padding: &noise.values(3 * CHANNELS, 0.5),
                    bias: &noise.values(heads * tokens * tokens, 1.0),
                    products,
                    projection: noise.linear(isa, precision, CHANNELS, CHANNELS + rest),
                    space: space.then(|| noise.linear(isa, precision, bottleneck, CHANNELS)),
                    local_conv: noise.depthwise(precision, CHANNELS),
                    mlp_norm: noise.norm(CHANNELS),
                    mlp: [
                        noise.linear(isa, precision, CHANNELS, WIDE),
                        noise.linear(isa, precision, WIDE, CHANNELS),
                    ],
                };
                TinyVitBlock::new(isa, window, heads, layers)
            });
        }
    }
}

#[test]
fn blocks_with_relative_positions() {
    for &precision in PRECISIONS {
        for (height, width, window, space) in [
            (14, 14, 14, false),
            (16, 17, 14, true),
            (3, 5, 7, true),
            // The whole map: one tile of keys, and more.
            (4, 4, 4, false),
            (20, 20, 20, true),
            (17, 17, 17, false),
            (1, 1, 1, false),
            (1, 2, 2, true),
        ] {
            let map = Map { height, width, channels: CHANNELS };
            let what = format!("{precision:?} {map:?} relative window {window} space {space}");
            compare(map, &what, |isa, noise| {
                let (heads, bottleneck) = (if window == 17 { 4 } else { 2 }, 20);
                let rest = if space { bottleneck } else { 0 };
                let table = window * CHANNELS / heads * window;
                let products = match precision {
                    Precision::Float => Products::Float,
                    Precision::Int8 => Products::Int8,
                };
                let layers = VitLayers {
                    norm: noise.norm(CHANNELS),
                    qkv: noise.linear(isa, precision, CHANNELS, 3 * CHANNELS),
                    qkv_of_padding: &noise.values(3 * CHANNELS, 0.5),
                    relative: [&noise.values(table, 0.5), &noise.values(table, 0.5)],
                    products,
                    projection: noise.linear(isa, precision, CHANNELS, CHANNELS + rest),
                    space: space.then(|| noise.linear(isa, precision, bottleneck, CHANNELS)),
                    mlp_norm: noise.norm(CHANNELS),
                    mlp: [
                        noise.linear(isa, precision, CHANNELS, WIDE),
                        noise.linear(isa, precision, WIDE, CHANNELS),
                    ],
                };
                VitBlock::new(isa, window, heads, layers)
            });
        }
    }
}

#[test]
fn stem_and_neck() {
    for &precision in PRECISIONS {
        for (height, width) in [(5, 7), (1, 1), (3, 130)] {
            let map = Map { height, width, channels: 3 };
            compare(map, &format!("stem {precision:?} {map:?}"), |isa, noise| {
                let layers =
                    [noise.linear(isa, precision, 3, 24), noise.linear(isa, precision, 24, 48)];
                Pointwise::new(isa, layers)
            });
            let map = Map { channels: 48, ..map };
            compare(map, &format!("neck {precision:?} {map:?}"), |isa, noise| {
                let reduce = noise.linear(isa, precision, 48, 32);
                let norm = noise.norm(32);
                let conv = noise.linear(isa, precision, 9 * 32, 64);
                Neck::new(isa, reduce, norm, conv, noise.norm(64))
            });
        }
    }
}

#[test]
fn a_linear_layer_in_8_bits_is_exact() {
    // Largest weights and inputs beyond all steps, shapes with and without remainders.
    for (inputs, outputs) in [(16, 16), (3, 5), (64, 48), (160, 33), (1300, 320)] {
        if !has_time(inputs) {
            continue;
        }
        let mut noise = Noise(9);
        for extreme in [false, true] {
            let weight = match extreme {
                true => {
                    (0..inputs * outputs).map(|i| if i % 3 == 0 { -127 } else { 127 }).collect()
                }
                false => noise.bytes(inputs * outputs),
            };
            let layer = LinearS8 {
                weight: &weight,
                steps: &vec![1.0; outputs],
                bias: &vec![0.0; outputs],
                inverse: &vec![1.0; inputs],
                zero: &noise.values(inputs, 20.0).iter().map(|z| z.round()).collect::<Vec<_>>(),
            };
            let most = if extreme { 1e9 } else { 100.0 };
            let row = noise.values(inputs, most);
            let expected = layer.forward(&row);
            for isa in variants() {
                assert_eq!(Packed::int8(isa, &layer).row(isa, &row), expected, "{}", isa.name());
            }
        }
    }
}

/// Adapters of a two-way block.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Adapters {
    None,
    Plain,
    Hyper,
}

#[test]
fn two_way_blocks() {
    const C: usize = 64;
    for (precision, adapters, tokens, positions) in [
        (Precision::Float, Adapters::None, 23, 64),
        (Precision::Int8, Adapters::Plain, 23, 130),
        (Precision::Int8, Adapters::Hyper, 1, 16),
        (Precision::Float, Adapters::Hyper, 40, 1),
    ] {
        if !has_time(tokens * positions) {
            continue;
        }
        let what = format!("{precision:?} {adapters:?} {tokens} tokens {positions} positions");
        same(&what, |isa, pool, noise| {
            let projections = |noise: &mut Noise, inner: usize, outputs: usize| Projections {
                q: noise.linear(isa, precision, C, inner),
                k: noise.linear(isa, precision, C, inner),
                v: noise.linear(isa, precision, C, inner),
                out: noise.linear(isa, precision, inner, outputs),
            };
            let rest = if adapters == Adapters::None { 0 } else { 16 };
            let behind = |noise: &mut Noise, between: Between| {
                (adapters != Adapters::None)
                    .then(|| Behind { between, up: noise.linear(isa, precision, 16, C) })
            };
            let maps = HyperMaps {
                reduce: noise.linear(isa, precision, C, 32),
                maps: vec![(noise.linear(isa, precision, 32, 256), noise.norm(16))],
            };
            let after_tokens = match adapters {
                Adapters::Hyper => Between::Hyper(maps),
                _ => Between::Activation(Activation::Relu),
            };
            let block = TwoWayBlock {
                isa,
                heads: 2,
                residual: positions > 20,
                self_attention: projections(noise, C, C),
                token_to_image: projections(noise, 32, C + rest),
                after_tokens: behind(noise, after_tokens),
                mlp: [noise.linear(isa, precision, C, 96), noise.linear(isa, precision, 96, C)],
                beside_mlp: (adapters != Adapters::None).then(|| Beside {
                    down: noise.linear(isa, precision, C, 16),
                    activation: Activation::Gelu,
                    up: noise.linear(isa, precision, 16, C),
                }),
                image_to_token: projections(noise, 32, C + rest),
                after_image: behind(noise, Between::Activation(Activation::Gelu)),
                norms: [noise.norm(C), noise.norm(C), noise.norm(C), noise.norm(C)],
            };
            assert!(block.fits());
            pool.reserve(block.scratch_bytes(tokens, positions));
            let [t, p] = [tokens * C, positions * C].map(|len| noise.values(len, 1.5));
            let [tp, pp] = [tokens * C, positions * C].map(|len| noise.values(len, 0.5));
            let input =
                TwoWayInput { tokens: &t, image: &p, token_positions: &tp, image_positions: &pp };
            // The last token is not used.
            let mut bias = vec![0.0; tokens];
            if tokens > 1 {
                bias[tokens - 1] = -1e9;
            }
            let prompt_tokens = noise.values(5 * C, 1.0);
            let is_place = [true, false, true, false, false];
            let prompt = Prompt { tokens: &prompt_tokens, is_place: &is_place };
            let (mut tokens_out, mut image_out) =
                (vec![f32::NAN; t.len()], vec![f32::NAN; p.len()]);
            let mut memory = TwoWayMemory::default();
            twice(|| {
                let outputs = [&mut tokens_out[..], &mut image_out];
                block.run(pool, input, &bias, prompt, &mut memory, outputs);
            });
            // Once more with what is in memory by now.
            let mut again = vec![f32::NAN; t.len()];
            let last = FinalAttention {
                isa,
                heads: 2,
                token_to_image: projections(noise, 32, C),
                norm: noise.norm(C),
            };
            assert!(last.fits());
            pool.reserve(last.scratch_bytes(tokens, positions));
            let input = TwoWayInput { tokens: &tokens_out, image: &image_out, ..input };
            twice(|| last.run(pool, input, &mut memory, &mut again));
            [tokens_out, image_out, again].concat()
        });
    }
}

#[test]
fn mask_head_and_mask_prompt() {
    const C: usize = 64;
    for &precision in PRECISIONS {
        for side in [[1, 1], [3, 5], [2, 70]] {
            let [height, width] = side;
            if !has_time(16 * height * width) {
                continue;
            }
            same(&format!("mask head {precision:?} {side:?}"), |isa, pool, noise| {
                let head = MaskHead {
                    isa,
                    upscale: [
                        noise.linear(isa, precision, C, 4 * 32),
                        noise.linear(isa, precision, 32, 4 * 16),
                    ],
                    norm: noise.norm(32),
                    hypernetworks: (0..4)
                        .map(|_| {
                            [(C, C), (C, C), (C, 16)]
                                .map(|(a, b)| noise.linear(isa, precision, a, b))
                        })
                        .collect(),
                };
                assert!(head.fits());
                pool.reserve(head.scratch_bytes());
                let (tokens, image) =
                    (noise.values(5 * C, 1.0), noise.values(height * width * C, 1.0));
                let mut logits = vec![f32::NAN; 4 * 16 * height * width];
                let mut memory = MaskMemory::default();
                twice(|| head.run(pool, (&tokens, &image), side, &mut memory, &mut logits));
                logits
            });
            same(&format!("mask prompt {precision:?} {side:?}"), |isa, pool, noise| {
                let prompt = MaskPrompt {
                    isa,
                    first: noise.linear(isa, precision, 4, 4),
                    first_norm: ([noise.values(4, 1.0), noise.values(4, 0.2)], 1e-6),
                    second: noise.linear(isa, precision, 16, 16),
                    second_norm: noise.norm(16),
                    last: noise.linear(isa, precision, 16, C),
                    no_mask: noise.values(C, 1.0),
                };
                assert!(prompt.fits());
                pool.reserve(prompt.scratch_bytes());
                let mask = noise.values(16 * height * width, 8.0);
                let [mut some, mut none] = [(); 2].map(|()| vec![f32::NAN; height * width * C]);
                twice(|| prompt.run(pool, Some(&mask), side, &mut some));
                prompt.run(pool, None, side, &mut none);
                assert_eq!(none, prompt.no_mask.repeat(height * width));
                some
            });
        }
    }
}
