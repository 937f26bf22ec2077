//! Blocks of the mask decoder.

use medsa_kernels::{
    Activation, Bottleneck, FinalAttention, FinalAttentionLayers, HyperMaps, MaskHead,
    MaskHeadLayers, MaskPrompt, MaskPromptLayers, ParallelAdapter, PlainNorm, Projections,
    SerialAdapter, TwoWayBlock, TwoWayLayers,
};

use super::{HOSTILE, ISA, assert_hostile, assert_misfit, linear, linear_for_other_isa, norm};

fn projections(inner: usize, outputs: usize) -> Projections {
    Projections {
        q: linear(64, inner),
        k: linear(64, inner),
        v: linear(64, inner),
        out: linear(inner, outputs),
    }
}

fn hyper_maps() -> HyperMaps {
    HyperMaps { reduce: linear(64, 32), maps: vec![(linear(32, 256), norm(16))] }
}

fn hyper(maps: HyperMaps) -> Option<SerialAdapter> {
    Some(SerialAdapter { bottleneck: Bottleneck::Hyper(maps), up: linear(16, 64) })
}

fn two_way_layers() -> TwoWayLayers {
    TwoWayLayers {
        self_attention: projections(64, 64),
        token_to_image: projections(32, 80),
        after_tokens: hyper(hyper_maps()),
        mlp: [linear(64, 96), linear(96, 64)],
        parallel_mlp: Some(ParallelAdapter {
            down: linear(64, 16),
            activation: Activation::Gelu,
            up: linear(16, 64),
        }),
        image_to_token: projections(32, 80),
        after_image: Some(SerialAdapter {
            bottleneck: Bottleneck::Activation(Activation::Relu),
            up: linear(16, 64),
        }),
        norms: [norm(64), norm(64), norm(64), norm(64)],
    }
}

#[test]
fn two_way_block_names_the_layer_that_does_not_fit() {
    let make = |layers| TwoWayBlock::new(ISA, 2, true, layers);
    let layers = two_way_layers;
    assert_eq!(make(layers()).ok().map(|block| block.channels()), Some(64));
    let norms = |at: usize| [0, 1, 2, 3].map(|i| norm(if i == at { 32 } else { 64 }));
    let maps = hyper_maps;
    for (layers, message) in [
        (TwoWayLayers { norms: norms(1), ..layers() }, "norm2: found 32 channels, expected 64"),
        (TwoWayLayers { norms: norms(2), ..layers() }, "norm3: found 32 channels, expected 64"),
        (TwoWayLayers { norms: norms(3), ..layers() }, "norm4: found 32 channels, expected 64"),
        (
            TwoWayLayers { mlp: [linear(32, 96), linear(96, 64)], ..layers() },
            "mlp.layer1: found 32 inputs and 96 outputs, expected 64 inputs and 96 outputs",
        ),
        (
            TwoWayLayers { mlp: [linear(64, 90), linear(90, 64)], ..layers() },
            "mlp.layer1: found 90 outputs, expected a multiple of 16",
        ),
        (
            TwoWayLayers { mlp: [linear(64, 96), linear(80, 64)], ..layers() },
            "mlp.layer2: found 80 inputs and 64 outputs, expected 96 inputs and 64 outputs",
        ),
        (
            TwoWayLayers {
                parallel_mlp: Some(ParallelAdapter {
                    down: linear(64, 20),
                    activation: Activation::Relu,
                    up: linear(20, 64),
                }),
                ..layers()
            },
            "parallel_mlp.down: found 20 outputs, expected a multiple of 16",
        ),
        (
            TwoWayLayers {
                parallel_mlp: Some(ParallelAdapter {
                    down: linear(64, 16),
                    activation: Activation::Relu,
                    up: linear(16, 32),
                }),
                ..layers()
            },
            "parallel_mlp.up: found 16 inputs and 32 outputs, expected 16 inputs and 64 outputs",
        ),
        (
            TwoWayLayers {
                after_tokens: Some(SerialAdapter {
                    bottleneck: Bottleneck::Activation(Activation::Gelu),
                    up: linear(16, 48),
                }),
                ..layers()
            },
            "after_tokens.up: found 16 inputs and 48 outputs, expected 16 inputs and 64 outputs",
        ),
        (
            TwoWayLayers {
                after_tokens: Some(SerialAdapter {
                    bottleneck: Bottleneck::Activation(Activation::Gelu),
                    up: linear(20, 64),
                }),
                ..layers()
            },
            "after_tokens.up: found 20 inputs, expected a multiple of 16",
        ),
        (
            TwoWayLayers { after_tokens: None, ..layers() },
            "token_to_image.out: found 32 inputs and 80 outputs, expected 32 inputs and 64 outputs",
        ),
        (
            TwoWayLayers {
                after_tokens: hyper(HyperMaps { reduce: linear(32, 32), ..maps() }),
                ..layers()
            },
            "after_tokens.bottleneck.reduce: found 32 inputs and 32 outputs, expected 64 inputs \
             and 32 outputs",
        ),
        (
            TwoWayLayers {
                after_tokens: hyper(HyperMaps {
                    maps: vec![(linear(32, 256), norm(16)), (linear(32, 128), norm(16))],
                    ..maps()
                }),
                ..layers()
            },
            "after_tokens.bottleneck.maps[1].layer: found 32 inputs and 128 outputs, expected 32 \
             inputs and 256 outputs",
        ),
        (
            TwoWayLayers {
                after_tokens: hyper(HyperMaps {
                    maps: vec![(linear(32, 256), norm(32))],
                    ..maps()
                }),
                ..layers()
            },
            "after_tokens.bottleneck.maps[0].norm: found 32 channels, expected 16",
        ),
        (
            TwoWayLayers { after_image: hyper(maps()), ..layers() },
            "after_image.bottleneck: found HyP-Adpt, expected an activation",
        ),
        (
            TwoWayLayers { after_image: None, ..layers() },
            "image_to_token.out: found 32 inputs and 80 outputs, expected 32 inputs and 64 outputs",
        ),
    ] {
        assert_misfit(make(layers), message);
    }
}

#[test]
fn attention_names_the_projection_that_does_not_fit() {
    let make = |token_to_image| {
        FinalAttention::new(ISA, 2, FinalAttentionLayers { token_to_image, norm: norm(64) })
    };
    let layers = || projections(32, 64);
    assert_eq!(make(layers()).ok().map(|attention| attention.channels()), Some(64));
    for (layers, message) in [
        (
            Projections { q: linear(64, 48), ..layers() },
            "token_to_image.q: found 64 inputs and 48 outputs, expected 64 inputs and 32 outputs",
        ),
        (
            Projections { k: linear(32, 32), ..layers() },
            "token_to_image.k: found 32 inputs and 32 outputs, expected 64 inputs and 32 outputs",
        ),
        (
            Projections { k: linear(64, 64), ..layers() },
            "token_to_image.k: found 64 inputs and 64 outputs, expected 64 inputs and 32 outputs",
        ),
        (
            Projections { v: linear(64, 16), ..layers() },
            "token_to_image.v: found 64 inputs and 16 outputs, expected 64 inputs and 32 outputs",
        ),
        (
            Projections { out: linear(48, 64), ..layers() },
            "token_to_image.out: found 48 inputs and 64 outputs, expected 32 inputs and 64 outputs",
        ),
        (
            Projections { out: linear(32, 80), ..layers() },
            "token_to_image.out: found 32 inputs and 80 outputs, expected 32 inputs and 64 outputs",
        ),
    ] {
        assert_misfit(make(layers), message);
    }
    assert_misfit(
        FinalAttention::new(
            ISA,
            2,
            FinalAttentionLayers { token_to_image: layers(), norm: norm(32) },
        ),
        "token_to_image.q: found 64 inputs and 32 outputs, expected 32 inputs and 32 outputs",
    );
    if let Some(q) = linear_for_other_isa(64, 32) {
        let misfit = make(Projections { q, ..layers() }).err().unwrap();
        assert_eq!(misfit.layer, "token_to_image.q");
    }
}

#[test]
fn hostile_numbers_of_heads_do_not_fit() {
    assert_misfit(
        TwoWayBlock::new(ISA, 3, true, two_way_layers()),
        "heads: found 3 for 64 channels, expected a number of heads with a multiple of 16 \
         channels each",
    );
    for heads in HOSTILE {
        let layers = two_way_layers();
        assert_hostile("heads", || TwoWayBlock::new(ISA, heads, true, layers));
        let layers = FinalAttentionLayers { token_to_image: projections(32, 64), norm: norm(64) };
        assert_hostile("heads", || FinalAttention::new(ISA, heads, layers));
    }
}

#[test]
fn scratch_bytes_of_hostile_numbers_do_not_overflow() {
    let block = TwoWayBlock::new(ISA, 2, true, two_way_layers()).unwrap();
    let layers = FinalAttentionLayers { token_to_image: projections(32, 64), norm: norm(64) };
    let last = FinalAttention::new(ISA, 2, layers).unwrap();
    let (few, last_few) = (block.scratch_bytes(5, 64), last.scratch_bytes(5, 64));
    for number in HOSTILE {
        assert!(block.scratch_bytes(5, number.max(64)) >= few);
        assert!(block.scratch_bytes(number.max(5), 64) >= few);
        assert!(last.scratch_bytes(number, number.max(64)) >= last_few);
    }
}

#[test]
fn mask_prompt_names_the_layer_that_does_not_fit() {
    let plain = |gamma: usize, beta: usize| PlainNorm {
        gamma: vec![1.0; gamma],
        beta: vec![0.0; beta],
        epsilon: 1e-6,
    };
    let layers = || MaskPromptLayers {
        first: linear(4, 4),
        first_norm: plain(4, 4),
        second: linear(16, 32),
        second_norm: norm(32),
        last: linear(32, 64),
        no_mask: vec![0.0; 64],
    };
    let make = |layers| MaskPrompt::new(ISA, layers);
    assert_eq!(make(layers()).ok().map(|prompt| prompt.channels()), Some(64));
    for (layers, message) in [
        (
            MaskPromptLayers { first: linear(9, 4), ..layers() },
            "first: found 9 inputs and 4 outputs, expected 4 inputs and 4 outputs",
        ),
        (
            MaskPromptLayers { first: linear(4, 20), ..layers() },
            "first: found 20 outputs, expected 1 to 16",
        ),
        (
            MaskPromptLayers { first_norm: plain(5, 4), ..layers() },
            "first_norm.gamma: found 5 values, expected 4",
        ),
        (
            MaskPromptLayers { first_norm: plain(4, 0), ..layers() },
            "first_norm.beta: found 0 values, expected 4",
        ),
        (
            MaskPromptLayers { second: linear(20, 32), ..layers() },
            "second: found 20 inputs and 32 outputs, expected 16 inputs and 32 outputs",
        ),
        (
            MaskPromptLayers {
                first: linear(4, 5),
                first_norm: plain(5, 5),
                second: linear(20, 32),
                ..layers()
            },
            "second: found 20 inputs, expected a multiple of 16",
        ),
        (
            MaskPromptLayers { second_norm: norm(16), ..layers() },
            "second_norm: found 16 channels, expected 32",
        ),
        (
            MaskPromptLayers { last: linear(16, 64), ..layers() },
            "last: found 16 inputs and 64 outputs, expected 32 inputs and 64 outputs",
        ),
        (
            MaskPromptLayers { last: linear(32, 60), ..layers() },
            "last: found 60 outputs, expected a multiple of 16",
        ),
        (
            MaskPromptLayers { no_mask: vec![0.0; 63], ..layers() },
            "no_mask: found 63 values, expected 64",
        ),
    ] {
        assert_misfit(make(layers), message);
    }
}

#[test]
fn mask_head_names_the_layer_that_does_not_fit() {
    let network = || [linear(64, 64), linear(64, 64), linear(64, 16)];
    let layers = || MaskHeadLayers {
        upscale: [linear(64, 4 * 32), linear(32, 4 * 16)],
        norm: norm(32),
        hypernetworks: vec![network(), network()],
    };
    let make = |layers| MaskHead::new(ISA, layers);
    let head = make(layers()).ok().unwrap();
    assert_eq!([head.channels(), head.masks()], [64, 2]);
    for (layers, message) in [
        (
            MaskHeadLayers { upscale: [linear(60, 128), linear(32, 64)], ..layers() },
            "upscale.layer1: found 60 inputs, expected a multiple of 16",
        ),
        (
            MaskHeadLayers { upscale: [linear(64, 126), linear(32, 64)], ..layers() },
            "upscale.layer1: found 126 outputs, expected a multiple of 4",
        ),
        (MaskHeadLayers { norm: norm(64), ..layers() }, "norm: found 64 channels, expected 32"),
        (
            MaskHeadLayers { upscale: [linear(64, 128), linear(48, 64)], ..layers() },
            "upscale.layer2: found 48 inputs and 64 outputs, expected 32 inputs and 64 outputs",
        ),
        (
            MaskHeadLayers { upscale: [linear(64, 128), linear(32, 48)], ..layers() },
            "upscale.layer2: found 48 outputs, expected a multiple of 64",
        ),
        (
            MaskHeadLayers { hypernetworks: Vec::new(), ..layers() },
            "hypernetworks: found 0, expected 1 to 16",
        ),
        (
            MaskHeadLayers { hypernetworks: (0..17).map(|_| network()).collect(), ..layers() },
            "hypernetworks: found 17, expected 1 to 16",
        ),
        (
            MaskHeadLayers {
                hypernetworks: vec![network(), [linear(32, 64), linear(64, 64), linear(64, 16)]],
                ..layers()
            },
            "hypernetworks[1].layer1: found 32 inputs and 64 outputs, expected 64 inputs and 64 \
             outputs",
        ),
        (
            MaskHeadLayers {
                hypernetworks: vec![[linear(64, 20), linear(20, 64), linear(64, 16)]],
                ..layers()
            },
            "hypernetworks[0].layer1: found 20 outputs, expected a multiple of 16",
        ),
        (
            MaskHeadLayers {
                hypernetworks: vec![[linear(64, 64), linear(48, 64), linear(64, 16)]],
                ..layers()
            },
            "hypernetworks[0].layer2: found 48 inputs and 64 outputs, expected 64 inputs and 64 \
             outputs",
        ),
        (
            MaskHeadLayers {
                hypernetworks: vec![[linear(64, 64), linear(64, 20), linear(20, 16)]],
                ..layers()
            },
            "hypernetworks[0].layer2: found 20 outputs, expected a multiple of 16",
        ),
        (
            MaskHeadLayers {
                hypernetworks: vec![[linear(64, 64), linear(64, 64), linear(64, 32)]],
                ..layers()
            },
            "hypernetworks[0].layer3: found 64 inputs and 32 outputs, expected 64 inputs and 16 \
             outputs",
        ),
    ] {
        assert_misfit(make(layers), message);
    }
}
