//! Blocks of the image encoder.

use medsa_kernels::{
    ConvBlock, ConvLayers, Map, Neck, NeckLayers, Pointwise, PointwiseLayers, TinyVitBlock,
    TinyVitLayers, VitBlock, VitLayers,
};

use super::{CHANNELS, PRECISIONS, WIDE, compare_block};

#[test]
fn convolution_blocks_match_plain_loops() {
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
            compare_block(map, &what, |isa, noise| {
                let outputs = if residual { 32 } else { 48 };
                let expand = noise.linear(isa, precision, 32, 64);
                let project = noise.linear(isa, precision, 64, outputs);
                let depthwise = noise.depthwise(precision, 64);
                let layers = ConvLayers { expand, depthwise, project };
                ConvBlock::new(isa, layers, stride, residual).unwrap()
            });
        }
    }
}

#[test]
fn window_attention_blocks_match_plain_loops() {
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
            compare_block(map, &what, |isa, noise| {
                let (heads, tokens, bottleneck) = (2, window * window, 20);
                let rest = if space { bottleneck } else { 0 };
                let layers = TinyVitLayers {
                    norm: noise.norm(CHANNELS),
                    qkv: noise.linear(isa, precision, CHANNELS, 3 * CHANNELS),
                    qkv_of_padding: &noise.values(3 * CHANNELS, 0.5),
                    bias: &noise.values(heads * tokens * tokens, 1.0),
                    products: precision.products(),
                    projection: noise.linear(isa, precision, CHANNELS, CHANNELS + rest),
                    space: space.then(|| noise.linear(isa, precision, bottleneck, CHANNELS)),
                    local_conv: noise.depthwise(precision, CHANNELS),
                    mlp_norm: noise.norm(CHANNELS),
                    mlp: [
                        noise.linear(isa, precision, CHANNELS, WIDE),
                        noise.linear(isa, precision, WIDE, CHANNELS),
                    ],
                };
                TinyVitBlock::new(isa, window, heads, layers).unwrap()
            });
        }
    }
}

#[test]
fn blocks_with_relative_positions_match_plain_loops() {
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
            compare_block(map, &what, |isa, noise| {
                let (heads, bottleneck) = (if window == 17 { 4 } else { 2 }, 20);
                let rest = if space { bottleneck } else { 0 };
                let table = window * CHANNELS / heads * window;
                let layers = VitLayers {
                    norm: noise.norm(CHANNELS),
                    qkv: noise.linear(isa, precision, CHANNELS, 3 * CHANNELS),
                    qkv_of_padding: &noise.values(3 * CHANNELS, 0.5),
                    relative: [&noise.values(table, 0.5), &noise.values(table, 0.5)],
                    products: precision.products(),
                    projection: noise.linear(isa, precision, CHANNELS, CHANNELS + rest),
                    space: space.then(|| noise.linear(isa, precision, bottleneck, CHANNELS)),
                    mlp_norm: noise.norm(CHANNELS),
                    mlp: [
                        noise.linear(isa, precision, CHANNELS, WIDE),
                        noise.linear(isa, precision, WIDE, CHANNELS),
                    ],
                };
                VitBlock::new(isa, window, heads, layers).unwrap()
            });
        }
    }
}

#[test]
fn stem_and_neck_match_plain_loops() {
    for &precision in PRECISIONS {
        for (height, width) in [(5, 7), (1, 1), (3, 130)] {
            let map = Map { height, width, channels: 3 };
            compare_block(map, &format!("stem {precision:?} {map:?}"), |isa, noise| {
                let first = noise.linear(isa, precision, 3, 24);
                let second = noise.linear(isa, precision, 24, 48);
                Pointwise::new(isa, PointwiseLayers { first, second }).unwrap()
            });
            let map = Map { channels: 48, ..map };
            compare_block(map, &format!("neck {precision:?} {map:?}"), |isa, noise| {
                let layers = NeckLayers {
                    reduce: noise.linear(isa, precision, 48, 32),
                    norm1: noise.norm(32),
                    conv: noise.linear(isa, precision, 9 * 32, 64),
                    norm2: noise.norm(64),
                };
                Neck::new(isa, layers).unwrap()
            });
        }
    }
}
