//! Blocks of the mask decoder.

use medsa_kernels::{
    Activation, Bottleneck, FinalAttention, FinalAttentionLayers, HyperMaps, MaskHead,
    MaskHeadLayers, MaskMemory, MaskPrompt, MaskPromptLayers, ParallelAdapter, PlainNorm,
    Projections, Prompt, SerialAdapter, TwoWayBlock, TwoWayInput, TwoWayLayers, TwoWayMemory,
};

use super::support::Precision;
use super::support::noise::Noise;
use super::{PRECISIONS, compare, has_time, twice};

/// Adapters of a two-way block.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Adapters {
    None,
    Plain,
    Hyper,
}

#[test]
fn two_way_blocks_match_plain_loops() {
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
        compare(&what, |isa, pool, noise| {
            let projections = |noise: &mut Noise, inner: usize, outputs: usize| Projections {
                q: noise.linear(isa, precision, C, inner),
                k: noise.linear(isa, precision, C, inner),
                v: noise.linear(isa, precision, C, inner),
                out: noise.linear(isa, precision, inner, outputs),
            };
            let rest = if adapters == Adapters::None { 0 } else { 16 };
            let serial = |noise: &mut Noise, bottleneck: Bottleneck| {
                (adapters != Adapters::None)
                    .then(|| SerialAdapter { bottleneck, up: noise.linear(isa, precision, 16, C) })
            };
            let maps = HyperMaps {
                reduce: noise.linear(isa, precision, C, 32),
                maps: vec![(noise.linear(isa, precision, 32, 256), noise.norm(16))],
            };
            let after_tokens = match adapters {
                Adapters::Hyper => Bottleneck::Hyper(maps),
                _ => Bottleneck::Activation(Activation::Relu),
            };
            let layers = TwoWayLayers {
                self_attention: projections(noise, C, C),
                token_to_image: projections(noise, 32, C + rest),
                after_tokens: serial(noise, after_tokens),
                mlp: [noise.linear(isa, precision, C, 96), noise.linear(isa, precision, 96, C)],
                parallel_mlp: (adapters != Adapters::None).then(|| ParallelAdapter {
                    down: noise.linear(isa, precision, C, 16),
                    activation: Activation::Gelu,
                    up: noise.linear(isa, precision, 16, C),
                }),
                image_to_token: projections(noise, 32, C + rest),
                after_image: serial(noise, Bottleneck::Activation(Activation::Gelu)),
                norms: [noise.norm(C), noise.norm(C), noise.norm(C), noise.norm(C)],
            };
            let block = TwoWayBlock::new(isa, 2, positions > 20, layers).unwrap();
            pool.reserve(block.scratch_bytes(tokens, positions));
            let [t, p] = [tokens * C, positions * C].map(|len| noise.values(len, 1.5));
            let [tp, pp] = [tokens * C, positions * C].map(|len| noise.values(len, 0.5));
            let input =
                TwoWayInput { tokens: &t, image: &p, token_positions: &tp, image_positions: &pp };
            // The last token is masked.
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
            // The final attention uses the same memory.
            let mut again = vec![f32::NAN; t.len()];
            let token_to_image = projections(noise, 32, C);
            let layers = FinalAttentionLayers { token_to_image, norm: noise.norm(C) };
            let last = FinalAttention::new(isa, 2, layers).unwrap();
            pool.reserve(last.scratch_bytes(tokens, positions));
            let input = TwoWayInput { tokens: &tokens_out, image: &image_out, ..input };
            twice(|| last.run(pool, input, &mut memory, &mut again));
            [tokens_out, image_out, again].concat()
        });
    }
}

#[test]
fn mask_head_and_mask_prompt_match_plain_loops() {
    const C: usize = 64;
    for &precision in PRECISIONS {
        for side in [[1, 1], [3, 5], [2, 70]] {
            let [height, width] = side;
            if !has_time(16 * height * width) {
                continue;
            }
            compare(&format!("mask head {precision:?} {side:?}"), |isa, pool, noise| {
                let layers = MaskHeadLayers {
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
                let head = MaskHead::new(isa, layers).unwrap();
                pool.reserve(head.scratch_bytes());
                let (tokens, image) =
                    (noise.values(5 * C, 1.0), noise.values(height * width * C, 1.0));
                let mut logits = vec![f32::NAN; 4 * 16 * height * width];
                let mut memory = MaskMemory::default();
                twice(|| head.run(pool, (&tokens, &image), side, &mut memory, &mut logits));
                logits
            });
            compare(&format!("mask prompt {precision:?} {side:?}"), |isa, pool, noise| {
                let layers = MaskPromptLayers {
                    first: noise.linear(isa, precision, 4, 4),
                    first_norm: PlainNorm {
                        gamma: noise.values(4, 1.0),
                        beta: noise.values(4, 0.2),
                        epsilon: 1e-6,
                    },
                    second: noise.linear(isa, precision, 16, 16),
                    second_norm: noise.norm(16),
                    last: noise.linear(isa, precision, 16, C),
                    no_mask: noise.values(C, 1.0),
                };
                let no_mask = layers.no_mask.clone();
                let prompt = MaskPrompt::new(isa, layers).unwrap();
                pool.reserve(prompt.scratch_bytes());
                let mask = noise.values(16 * height * width, 8.0);
                let [mut some, mut none] = [(); 2].map(|()| vec![f32::NAN; height * width * C]);
                twice(|| prompt.run(pool, Some(&mask), side, &mut some));
                prompt.run(pool, None, side, &mut none);
                assert_eq!(none, no_mask.repeat(height * width));
                some
            });
        }
    }
}
