//! Blocks of the image encoder.

use medsa_kernels::{
    Block, ConvBlock, ConvLayers, Map, Misfit, Neck, NeckLayers, Pointwise, PointwiseLayers,
    Products, TinyVitBlock, TinyVitLayers, VitBlock, VitLayers,
};

use super::{
    HOSTILE, ISA, assert_hostile, assert_misfit, depthwise, linear, linear_for_other_isa, norm,
};

fn conv_layers() -> ConvLayers {
    ConvLayers { expand: linear(32, 64), depthwise: depthwise(64), project: linear(64, 32) }
}

#[test]
fn conv_block_names_the_layer_that_does_not_fit() {
    let make = |layers| ConvBlock::new(ISA, layers, 1, true);
    assert!(make(conv_layers()).is_ok());
    for (layers, message) in [
        (
            ConvLayers { expand: linear(20, 64), ..conv_layers() },
            "expand: found 20 inputs, expected a multiple of 16",
        ),
        (
            ConvLayers { expand: linear(32, 48), ..conv_layers() },
            "depthwise: found 64 channels, expected 48",
        ),
        (
            ConvLayers { depthwise: depthwise(32), ..conv_layers() },
            "depthwise: found 32 channels, expected 64",
        ),
        (
            ConvLayers { project: linear(32, 32), ..conv_layers() },
            "project: found 32 inputs and 32 outputs, expected 64 inputs and 32 outputs",
        ),
        (
            ConvLayers { project: linear(64, 48), ..conv_layers() },
            "project: found 64 inputs and 48 outputs, expected 64 inputs and 32 outputs",
        ),
    ] {
        assert_misfit(make(layers), message);
    }
    let layers = ConvLayers { project: linear(64, 20), ..conv_layers() };
    assert_misfit(
        ConvBlock::new(ISA, layers, 2, false),
        "project: found 20 outputs, expected a multiple of 16",
    );
    assert_misfit(
        ConvBlock::new(ISA, conv_layers(), 2, true),
        "stride: found 2, expected 1 in a residual block",
    );
    assert_misfit(ConvBlock::new(ISA, conv_layers(), 3, false), "stride: found 3, expected 1 to 2");
    for stride in HOSTILE {
        let layers = conv_layers();
        assert_hostile("stride", || ConvBlock::new(ISA, layers, stride, false));
    }
}

#[test]
fn layer_of_another_instruction_set_does_not_fit() {
    let Some(expand) = linear_for_other_isa(32, 64) else { return };
    let made = ConvBlock::new(ISA, ConvLayers { expand, ..conv_layers() }, 1, true);
    let misfit = made.err().unwrap();
    assert_eq!([&misfit.layer[..], &misfit.expected], ["expand", "scalar"]);
    assert!(misfit.found.starts_with("int8 weights packed for "), "{misfit}");
}

#[test]
fn pointwise_block_names_the_layer_that_does_not_fit() {
    let make = |first, second| Pointwise::new(ISA, PointwiseLayers { first, second });
    assert!(make(linear(3, 24), linear(24, 48)).is_ok());
    assert_misfit(
        make(linear(3, 24), linear(32, 48)),
        "second: found 32 inputs and 48 outputs, expected 24 inputs and 48 outputs",
    );
    assert_misfit(
        make(linear(3, 24), linear(24, 40)),
        "second: found 40 outputs, expected a multiple of 16",
    );
    if let Some(first) = linear_for_other_isa(3, 24) {
        assert_eq!(make(first, linear(24, 48)).err().unwrap().layer, "first");
    }
}

#[test]
fn neck_names_the_layer_that_does_not_fit() {
    let layers = || NeckLayers {
        reduce: linear(48, 32),
        norm1: norm(32),
        conv: linear(9 * 32, 64),
        norm2: norm(64),
    };
    let make = |layers| Neck::new(ISA, layers);
    assert!(make(layers()).is_ok());
    for (layers, message) in [
        (
            NeckLayers { reduce: linear(40, 32), ..layers() },
            "reduce: found 40 inputs, expected a multiple of 16",
        ),
        (
            NeckLayers { reduce: linear(48, 16), ..layers() },
            "norm1: found 32 channels, expected 16",
        ),
        (NeckLayers { norm1: norm(48), ..layers() }, "norm1: found 48 channels, expected 32"),
        (
            NeckLayers { conv: linear(32, 64), ..layers() },
            "conv: found 32 inputs and 64 outputs, expected 288 inputs and 64 outputs",
        ),
        (NeckLayers { norm2: norm(32), ..layers() }, "norm2: found 32 channels, expected 64"),
    ] {
        assert_misfit(make(layers), message);
    }
}

const WINDOW: usize = 2;
const HEADS: usize = 2;

fn tiny_vit_layers() -> TinyVitLayers<'static> {
    TinyVitLayers {
        norm: norm(32),
        qkv: linear(32, 96),
        qkv_of_padding: &[0.0; 96],
        bias: &[0.0; HEADS * 16],
        products: Products::Int8,
        projection: linear(32, 52),
        space: Some(linear(20, 32)),
        local_conv: depthwise(32),
        mlp_norm: norm(32),
        mlp: [linear(32, 65), linear(65, 32)],
    }
}

#[test]
fn tiny_vit_block_names_the_layer_that_does_not_fit() {
    let make = |layers| TinyVitBlock::new(ISA, WINDOW, HEADS, layers);
    let layers = tiny_vit_layers;
    assert!(make(layers()).is_ok());
    for (layers, message) in [
        (
            TinyVitLayers { norm: norm(64), ..layers() },
            "qkv: found 32 inputs and 96 outputs, expected 64 inputs and 192 outputs",
        ),
        (
            TinyVitLayers { qkv: linear(32, 64), ..layers() },
            "qkv: found 32 inputs and 64 outputs, expected 32 inputs and 96 outputs",
        ),
        (
            TinyVitLayers { qkv_of_padding: &[0.0; 95], ..layers() },
            "qkv_of_padding: found 95 values, expected 96",
        ),
        (TinyVitLayers { bias: &[0.0; 33], ..layers() }, "bias: found 33 values, expected 32"),
        (
            TinyVitLayers { projection: linear(32, 32), ..layers() },
            "projection: found 32 inputs and 32 outputs, expected 32 inputs and 52 outputs",
        ),
        (
            TinyVitLayers { space: Some(linear(20, 48)), ..layers() },
            "space: found 20 inputs and 48 outputs, expected 20 inputs and 32 outputs",
        ),
        (
            TinyVitLayers { space: None, ..layers() },
            "projection: found 32 inputs and 52 outputs, expected 32 inputs and 32 outputs",
        ),
        (
            TinyVitLayers { local_conv: depthwise(16), ..layers() },
            "local_conv: found 16 channels, expected 32",
        ),
        (
            TinyVitLayers { mlp_norm: norm(16), ..layers() },
            "mlp_norm: found 16 channels, expected 32",
        ),
        (
            TinyVitLayers { mlp: [linear(16, 65), linear(65, 32)], ..layers() },
            "mlp.layer1: found 16 inputs and 65 outputs, expected 32 inputs and 65 outputs",
        ),
        (
            TinyVitLayers { mlp: [linear(32, 65), linear(64, 32)], ..layers() },
            "mlp.layer2: found 64 inputs and 32 outputs, expected 65 inputs and 32 outputs",
        ),
    ] {
        assert_misfit(make(layers), message);
    }
    check_window_and_heads(64, |window, heads| {
        let layers = layers();
        move || TinyVitBlock::new(ISA, window, heads, layers)
    });
}

#[test]
fn vit_block_names_the_layer_that_does_not_fit() {
    let layers = || VitLayers {
        norm: norm(32),
        qkv: linear(32, 96),
        qkv_of_padding: &[0.0; 96],
        relative: [&[0.0; 2 * 16 * 2]; 2],
        products: Products::Float,
        projection: linear(32, 52),
        space: Some(linear(20, 32)),
        mlp_norm: norm(32),
        mlp: [linear(32, 65), linear(65, 32)],
    };
    let make = |layers| VitBlock::new(ISA, WINDOW, HEADS, layers);
    assert!(make(layers()).is_ok());
    for (layers, message) in [
        (
            VitLayers { norm: norm(64), ..layers() },
            "qkv: found 32 inputs and 96 outputs, expected 64 inputs and 192 outputs",
        ),
        (
            VitLayers { qkv: linear(16, 96), ..layers() },
            "qkv: found 16 inputs and 96 outputs, expected 32 inputs and 96 outputs",
        ),
        (
            VitLayers { qkv_of_padding: &[], ..layers() },
            "qkv_of_padding: found 0 values, expected 96",
        ),
        (
            VitLayers { relative: [&[0.0; 63], &[0.0; 64]], ..layers() },
            "relative.rows: found 63 values, expected 64",
        ),
        (
            VitLayers { relative: [&[0.0; 64], &[0.0; 65]], ..layers() },
            "relative.columns: found 65 values, expected 64",
        ),
        (
            VitLayers { projection: linear(48, 52), ..layers() },
            "projection: found 48 inputs and 52 outputs, expected 32 inputs and 52 outputs",
        ),
        (
            VitLayers { space: Some(linear(20, 16)), ..layers() },
            "space: found 20 inputs and 16 outputs, expected 20 inputs and 32 outputs",
        ),
        (VitLayers { mlp_norm: norm(64), ..layers() }, "mlp_norm: found 64 channels, expected 32"),
        (
            VitLayers { mlp: [linear(64, 65), linear(65, 32)], ..layers() },
            "mlp.layer1: found 64 inputs and 65 outputs, expected 32 inputs and 65 outputs",
        ),
        (
            VitLayers { mlp: [linear(32, 65), linear(65, 16)], ..layers() },
            "mlp.layer2: found 65 inputs and 16 outputs, expected 65 inputs and 32 outputs",
        ),
    ] {
        assert_misfit(make(layers), message);
    }
    check_window_and_heads(128, |window, heads| {
        let layers = layers();
        move || VitBlock::new(ISA, window, heads, layers)
    });
}

/// Checks windows beyond `most` and heads that do not divide 32 channels. `prepare` allocates the
/// layers, and the closure that it returns makes the block.
fn check_window_and_heads<T, M: FnOnce() -> Result<T, Misfit>>(
    most: usize,
    prepare: impl Fn(usize, usize) -> M,
) {
    let expected = format!("window: found {}, expected 1 to {most}", most + 1);
    assert_misfit(prepare(most + 1, HEADS)(), &expected);
    assert_misfit(
        prepare(WINDOW, 3)(),
        "heads: found 3 for 32 channels, expected a number of heads with a multiple of 16 \
         channels each",
    );
    assert_misfit(
        prepare(WINDOW, 4)(),
        "heads: found 4 for 32 channels, expected a number of heads with a multiple of 16 \
         channels each",
    );
    assert_misfit(prepare(WINDOW, 33)(), "heads: found 33, expected 1 to 32");
    for number in HOSTILE {
        assert_hostile("window", prepare(number, HEADS));
        assert_hostile("heads", prepare(WINDOW, number));
    }
}

#[test]
fn sizes_of_hostile_maps_do_not_overflow() {
    let layers = conv_layers();
    let conv = ConvBlock::new(ISA, layers, 2, false).unwrap();
    let neck = NeckLayers {
        reduce: linear(32, 32),
        norm1: norm(32),
        conv: linear(9 * 32, 32),
        norm2: norm(32),
    };
    let neck = Neck::new(ISA, neck).unwrap();
    let tiny_vit = TinyVitBlock::new(ISA, WINDOW, HEADS, tiny_vit_layers()).unwrap();
    let blocks: [&dyn Block; 3] = [&conv, &neck, &tiny_vit];
    for height in HOSTILE {
        for width in HOSTILE {
            let map = Map { height, width, channels: 32 };
            assert_eq!(map.is_empty(), height == 0 || width == 0);
            for block in blocks {
                let output = block.output(map);
                assert!(output.height <= height && output.width <= width, "{map:?} {output:?}");
                assert_eq!(output.is_empty(), map.is_empty());
            }
            assert_eq!(tiny_vit.between_len(map), map.len());
            assert!(neck.between_len(map) >= map.len());
        }
    }
    let map = Map { height: 5, width: 4, channels: 32 };
    assert_eq!(conv.output(map), Map { height: 3, width: 2, channels: 32 });
}
