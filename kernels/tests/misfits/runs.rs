//! Slices that do not fit the shapes of a run are panics, and not read or written.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};

use medsa_kernels::{
    Block, ConvBlock, ConvLayers, FinalAttention, FinalAttentionLayers, Map, MaskHead,
    MaskHeadLayers, MaskMemory, MaskPrompt, MaskPromptLayers, Neck, NeckLayers, PlainNorm,
    Pointwise, PointwiseLayers, Pool, Products, Projections, Prompt, TinyVitBlock, TinyVitLayers,
    TwoWayBlock, TwoWayInput, TwoWayLayers, TwoWayMemory, VitBlock, VitLayers,
};

use super::{HOSTILE, ISA, depthwise, linear, norm};

const C: usize = 32;

fn panics(run: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(run)).is_err()
}

fn pool() -> Pool {
    Pool::new(NonZeroUsize::MIN)
}

/// A block of each kind, all of C channels.
fn blocks() -> Vec<Box<dyn Block>> {
    let conv = ConvLayers { expand: linear(C, C), depthwise: depthwise(C), project: linear(C, C) };
    let neck =
        NeckLayers { reduce: linear(C, C), norm1: norm(C), conv: linear(9 * C, C), norm2: norm(C) };
    let tiny_vit = TinyVitLayers {
        norm: norm(C),
        qkv: linear(C, 3 * C),
        qkv_of_padding: &[0.0; 3 * C],
        bias: &[0.0; 16],
        products: Products::Float,
        projection: linear(C, C),
        space: None,
        local_conv: depthwise(C),
        mlp_norm: norm(C),
        mlp: [linear(C, C), linear(C, C)],
    };
    let vit = VitLayers {
        norm: norm(C),
        qkv: linear(C, 3 * C),
        qkv_of_padding: &[0.0; 3 * C],
        relative: [&[0.0; 2 * C * 2]; 2],
        products: Products::Float,
        projection: linear(C, C),
        space: None,
        mlp_norm: norm(C),
        mlp: [linear(C, C), linear(C, C)],
    };
    let pointwise = PointwiseLayers { first: linear(C, C), second: linear(C, C) };
    vec![
        Box::new(ConvBlock::new(ISA, conv, 2, false).unwrap()),
        Box::new(Neck::new(ISA, neck).unwrap()),
        Box::new(TinyVitBlock::new(ISA, 2, 1, tiny_vit).unwrap()),
        Box::new(VitBlock::new(ISA, 2, 1, vit).unwrap()),
        Box::new(Pointwise::new(ISA, pointwise).unwrap()),
    ]
}

#[test]
fn short_slices_are_panics() {
    let map = Map { height: 3, width: 5, channels: C };
    for block in blocks() {
        let pool = pool();
        pool.reserve(block.scratch_bytes());
        let needed = [map.len(), block.output(map).len(), block.between_len(map)];
        let run = |[input, output, between]: [usize; 3]| {
            let [input, mut output, mut between] =
                [input, output, between].map(|len| vec![0.0; len]);
            panics(|| block.run(&pool, map, &input, &mut output, &mut between))
        };
        assert!(!run(needed));
        assert!(!run(needed.map(|len| len + 1)));
        for short in 0..3 {
            let mut lens = needed;
            if lens[short] > 0 {
                lens[short] -= 1;
                assert!(run(lens), "{needed:?}, found {lens:?}");
            }
        }
    }
}

#[test]
fn other_channels_and_hostile_maps_are_panics() {
    let mut slices = [(); 3].map(|()| vec![0.0; 1000]);
    for block in blocks() {
        let pool = pool();
        pool.reserve(block.scratch_bytes());
        let [input, output, between] = &mut slices;
        let mut run = |map: Map| panics(|| block.run(&pool, map, input, output, between));
        assert!(run(Map { height: 1, width: 1, channels: C + 1 }));
        for side in HOSTILE {
            // The product of `2^32` and `2^32` is 0 in 64 bits.
            for (height, width) in [(side, 1), (1, side), (side, side), (1 << 32, 1 << 32)] {
                let map = Map { height, width, channels: C };
                assert_eq!(run(map), !map.is_empty(), "{map:?}");
            }
        }
    }
}

#[test]
fn missing_scratch_memory_is_a_panic() {
    let map = Map { height: 3, width: 5, channels: C };
    let [input, mut output, mut between] = [(); 3].map(|()| vec![0.0; 10_000]);
    for block in blocks() {
        assert!(panics(|| block.run(&pool(), map, &input, &mut output, &mut between)));
    }
}

#[test]
fn short_slices_of_the_two_way_transformer_are_panics() {
    let projections =
        || Projections { q: linear(C, C), k: linear(C, C), v: linear(C, C), out: linear(C, C) };
    let layers = TwoWayLayers {
        self_attention: projections(),
        token_to_image: projections(),
        after_tokens: None,
        mlp: [linear(C, C), linear(C, C)],
        parallel_mlp: None,
        image_to_token: projections(),
        after_image: None,
        norms: [norm(C), norm(C), norm(C), norm(C)],
    };
    let block = TwoWayBlock::new(ISA, 2, true, layers).unwrap();
    let layers = FinalAttentionLayers { token_to_image: projections(), norm: norm(C) };
    let last = FinalAttention::new(ISA, 2, layers).unwrap();
    let pool = pool();
    pool.reserve(block.scratch_bytes(3, 5).max(last.scratch_bytes(3, 5)));
    // Tokens, image, positions of both, bias, tokens and image afterwards.
    let needed = [3 * C, 5 * C, 3 * C, 5 * C, 3, 3 * C, 5 * C];
    let run = |lens: [usize; 7]| {
        let [tokens, image, token_positions, image_positions, bias, mut to, mut image_out] =
            lens.map(|len| vec![0.0; len]);
        let input = TwoWayInput {
            tokens: &tokens,
            image: &image,
            token_positions: &token_positions,
            image_positions: &image_positions,
        };
        let mut memory = TwoWayMemory::default();
        let of_last = panics(|| last.run(&pool, input, &mut memory, &mut to));
        let prompt = Prompt { tokens: &[], is_place: &[] };
        let outputs = [&mut to[..], &mut image_out];
        let of_block = panics(|| block.run(&pool, input, &bias, prompt, &mut memory, outputs));
        [of_block, of_last]
    };
    assert_eq!(run(needed), [false; 2]);
    for short in 0..7 {
        let mut lens = needed;
        lens[short] -= 1;
        // The final attention has no bias and no image afterwards.
        assert_eq!(run(lens), [true, short != 4 && short != 6], "{lens:?}");
    }
    for empty in [0, 1] {
        let mut lens = needed;
        lens[empty] = 0;
        assert_eq!(run(lens), [true; 2], "{lens:?}");
    }
}

#[test]
fn short_slices_of_mask_head_and_mask_prompt_are_panics() {
    let head = MaskHeadLayers {
        upscale: [linear(C, 4 * C), linear(C, 4 * C)],
        norm: norm(C),
        hypernetworks: vec![[linear(C, C), linear(C, C), linear(C, C)]],
    };
    let head = MaskHead::new(ISA, head).unwrap();
    let prompt = MaskPromptLayers {
        first: linear(4, 4),
        first_norm: PlainNorm { gamma: vec![1.0; 4], beta: vec![0.0; 4], epsilon: 1e-6 },
        second: linear(16, C),
        second_norm: norm(C),
        last: linear(C, C),
        no_mask: vec![0.0; C],
    };
    let prompt = MaskPrompt::new(ISA, prompt).unwrap();
    let pool = pool();
    pool.reserve(head.scratch_bytes().max(prompt.scratch_bytes()));
    let run_head = |side: [usize; 2], lens: [usize; 3]| {
        let [tokens, image, mut logits] = lens.map(|len| vec![0.0; len]);
        let mut memory = MaskMemory::default();
        panics(|| head.run(&pool, (&tokens, &image), side, &mut memory, &mut logits))
    };
    let run_prompt = |side: [usize; 2], lens: [usize; 2]| {
        let [mask, mut output] = lens.map(|len| vec![0.0; len]);
        panics(|| prompt.run(&pool, Some(&mask), side, &mut output))
    };
    let (head_needed, prompt_needed) = ([2 * C, 6 * C, 16 * 6], [16 * 6, 6 * C]);
    assert!(!run_head([2, 3], head_needed) && !run_prompt([2, 3], prompt_needed));
    for short in 0..3 {
        let mut lens = head_needed;
        lens[short] -= 1;
        assert!(run_head([2, 3], lens), "{lens:?}");
    }
    for short in 0..2 {
        let mut lens = prompt_needed;
        lens[short] -= 1;
        assert!(run_prompt([2, 3], lens), "{lens:?}");
    }
    for side in HOSTILE.into_iter().filter(|side| *side > 0) {
        for side in [[side, 1], [1, side], [side, side], [1 << 32, 1 << 32]] {
            assert!(run_head(side, head_needed) && run_prompt(side, prompt_needed), "{side:?}");
        }
    }
}
