//! Construction of a block's kernel from its schema and weights.

use std::sync::{Arc, Mutex};

use medsa_kernels::{
    Activation, Block, Bottleneck, ConvBlock, ConvLayers, FinalAttention, FinalAttentionLayers,
    HyperMaps, MaskHead, MaskHeadLayers, MaskPrompt, MaskPromptLayers, Misfit, Neck, NeckLayers,
    ParallelAdapter, PlainNorm, Pointwise, PointwiseLayers, Pool, Projections, SerialAdapter,
    TinyVitBlock, TinyVitLayers, TwoWayBlock, TwoWayLayers, VitBlock, VitLayers,
};
use medsa_sam::block::{self, BlockKind, BlockSchema, part};
use medsa_sam::layers;
use tract_onnx::pb::{FunctionProto, NodeProto};

use super::canonical::{shape_of_output, shapes_before};
use super::decoder::{Final, Head, Prompted, TwoWay};
use super::mismatch::Mismatch;
use super::operator::Operation;
use super::weights::{Weights, at};

/// The kernel of a call.
pub(super) enum Kernel {
    /// A kernel with one map as input and one as output.
    Block(Box<dyn Block>),
    /// A kernel with other inputs or outputs.
    Operation(Arc<dyn Operation>),
}

/// Kernel of `call`, a block with the schema `schema`.
pub(super) fn kernel(
    schema: &BlockSchema,
    weights: Weights,
    call: &NodeProto,
    function: &FunctionProto,
    pool: &Arc<Pool>,
) -> Result<Kernel, Mismatch> {
    let pool = Arc::clone(pool);
    let w = &weights;
    let kernel = match &schema.kind {
        BlockKind::PatchEmbed => Kernel::Block(Box::new(patch_embed(w)?)),
        BlockKind::MbConv => Kernel::Block(Box::new(conv_block(w, 1, true)?)),
        BlockKind::PatchMerging { stride } => {
            Kernel::Block(Box::new(conv_block(w, *stride, false)?))
        }
        BlockKind::TinyVitBlock { window, heads, space } => {
            Kernel::Block(Box::new(tiny_vit_block(w, *window, *heads, *space)?))
        }
        BlockKind::VitBlock { window, heads, space } => {
            Kernel::Block(Box::new(vit_block(w, *window, *heads, *space)?))
        }
        BlockKind::Neck => Kernel::Block(Box::new(neck(w)?)),
        BlockKind::TwoWayBlock { heads, first, after_tokens, parallel_mlp, after_image } => {
            check_heads(function, *heads)?;
            let adapters = (*after_tokens, *parallel_mlp, *after_image);
            let block = two_way_block(w, *heads, *first, adapters)?;
            Kernel::Operation(Arc::new(TwoWay { block, pool, memory: Mutex::default() }))
        }
        BlockKind::FinalAttention { heads } => {
            check_heads(function, *heads)?;
            let attention = final_attention(w, *heads)?;
            Kernel::Operation(Arc::new(Final { attention, pool, memory: Mutex::default() }))
        }
        BlockKind::MaskPrompt => {
            Kernel::Operation(Arc::new(Prompted { prompt: mask_prompt(w)?, pool }))
        }
        BlockKind::MaskHead { height, width } => {
            check_sides(function, [*height, *width])?;
            let (head, side) = (mask_head(w)?, [*height, *width]);
            Kernel::Operation(Arc::new(Head { head, side, pool, memory: Mutex::default() }))
        }
    };
    weights.finish()?;
    let (inputs, outputs) = match &kernel {
        Kernel::Block(_) => (1, 1),
        Kernel::Operation(operation) => (operation.inputs(), operation.outputs_count()),
    };
    let data = call.input.len() - schema.weights.len();
    if [data, call.output.len()] != [inputs, outputs] {
        let found = format!("{data} inputs and {} outputs", call.output.len());
        return Err(Mismatch::new("call", found, format!("{inputs} and {outputs}")));
    }
    Ok(kernel)
}

/// Converts a kernel's error to an error of the block.
fn of_block(Misfit { layer, found, expected, is_limit }: Misfit) -> Mismatch {
    Mismatch { role: layer, found, expected, is_limit }
}

fn patch_embed(w: &Weights) -> Result<Pointwise, Mismatch> {
    let layers = PointwiseLayers { first: w.linear("first")?, second: w.linear("second")? };
    Pointwise::new(w.isa(), layers).map_err(of_block)
}

fn conv_block(w: &Weights, stride: usize, residual: bool) -> Result<ConvBlock, Mismatch> {
    let layers = ConvLayers {
        expand: w.linear("expand")?,
        depthwise: w.depthwise("depthwise")?,
        project: w.linear("project")?,
    };
    ConvBlock::new(w.isa(), layers, stride, residual).map_err(of_block)
}

fn neck(w: &Weights) -> Result<Neck, Mismatch> {
    let layers = NeckLayers {
        reduce: w.linear("reduce")?,
        norm1: w.norm("norm1")?,
        conv: w.convolution("conv")?,
        norm2: w.norm("norm2")?,
    };
    Neck::new(w.isa(), layers).map_err(of_block)
}

fn tiny_vit_block(
    w: &Weights,
    window: usize,
    heads: usize,
    space: Option<layers::Activation>,
) -> Result<TinyVitBlock, Mismatch> {
    let norm = "attn.norm";
    let (_, beta, _) = w.norm_parts(norm)?;
    let qkv = w.linear("attn.qkv")?;
    if beta.len() != qkv.inputs() {
        let expected = format!("{} values", qkv.inputs());
        return Err(Mismatch::new(at(norm, part::BIAS), format!("{}", beta.len()), expected));
    }
    let bias = attention_bias(w, window, heads)?;
    window_padding(w, window)?;
    let layers = TinyVitLayers {
        // The padding is zeros before the norm, which turns them into beta.
        qkv_of_padding: &qkv.row(w.isa(), &beta),
        bias: &bias,
        products: w.products("attn.products"),
        norm: w.norm(norm)?,
        qkv,
        projection: w.linear("attn.proj")?,
        space: space_adapter(w, space)?,
        local_conv: w.depthwise("local_conv")?,
        mlp_norm: w.norm("mlp.norm")?,
        mlp: mlp(w)?,
    };
    TinyVitBlock::new(w.isa(), window, heads, layers).map_err(of_block)
}

/// Biases of scores `[heads, tokens, tokens]`, from `[heads, offsets]` and the offset of each pair.
fn attention_bias(w: &Weights, window: usize, heads: usize) -> Result<Vec<f32>, Mismatch> {
    let role = "attn.attention_biases";
    let (shape, biases) = w.floats(role)?;
    let tokens = window.saturating_mul(window);
    if shape != [heads, tokens] || biases.is_empty() {
        let expected =
            format!("[{heads}, {tokens}], of {heads} heads and windows of side {window}");
        return Err(Mismatch::new(role, format!("shape {shape:?}"), expected));
    }
    let role = "attn.offsets";
    let offsets = w.indices(role)?;
    if Some(offsets.len()) != tokens.checked_mul(tokens) || offsets.iter().any(|o| *o >= tokens) {
        let found = format!("{} offsets", offsets.len());
        let expected = format!("{tokens} x {tokens}, each below {tokens}");
        return Err(Mismatch::new(role, found, expected));
    }
    let of_head = |bias: &[f32]| offsets.iter().map(|offset| bias[*offset]).collect::<Vec<_>>();
    Ok(biases.chunks_exact(tokens).flat_map(of_head).collect())
}

/// Checks the mask of padded positions, `[1, H', W', 1]`, which kernels compute themselves: 1 to
/// the right of and below a rectangle.
fn window_padding(w: &Weights, window: usize) -> Result<(), Mismatch> {
    let role = "attn.window_padding";
    if !w.has(role) {
        return Ok(());
    }
    let (shape, mask) = w.floats(role)?;
    let wrong = || {
        let expected = format!("0 in a rectangle and 1 beyond it, in whole windows of {window}");
        Mismatch::new(role, format!("shape {shape:?}, other values"), expected)
    };
    let [1, height, width, 1] = shape[..] else { return Err(wrong()) };
    let whole = window > 0 && height % window == 0 && width % window == 0;
    let inside = |at: usize| mask.get(at) == Some(&0.0);
    let columns = (0..width).take_while(|x| inside(*x)).count();
    let rows = (0..height).take_while(|y| inside(y * width)).count();
    let expected = |at: usize| if at / width < rows && at % width < columns { 0.0 } else { 1.0 };
    let fits = mask.iter().enumerate().all(|(at, value)| *value == expected(at));
    if whole && fits && rows + window > height && columns + window > width {
        Ok(())
    } else {
        Err(wrong())
    }
}

fn vit_block(
    w: &Weights,
    window: usize,
    heads: usize,
    space: Option<layers::Activation>,
) -> Result<VitBlock, Mismatch> {
    let norm = w.norm("norm1")?;
    let padding = "attn.qkv_of_padding";
    // Not read if no window extends beyond the map's edge.
    let qkv_of_padding =
        if w.has(padding) { w.vector(padding)? } else { vec![0.0; 3 * norm.channels()] };
    window_padding(w, window)?;
    let positions = |role: &str| -> Result<Vec<f32>, Mismatch> {
        let (shape, values) = w.floats(role)?;
        let depth = norm.channels().checked_div(heads).unwrap_or(0);
        if shape == [window, depth, window] {
            return Ok(values);
        }
        let expected = format!("[{window}, {depth}, {window}]");
        Err(Mismatch::new(role, format!("shape {shape:?}"), expected))
    };
    let [rows, columns] = [positions("attn.rel_pos_h")?, positions("attn.rel_pos_w")?];
    let layers = VitLayers {
        qkv_of_padding: &qkv_of_padding,
        relative: [&rows, &columns],
        products: w.products("attn.products"),
        qkv: w.linear("attn.qkv")?,
        projection: w.linear("attn.proj")?,
        space: space_adapter(w, space)?,
        mlp_norm: w.norm("norm2")?,
        mlp: mlp(w)?,
        norm,
    };
    VitBlock::new(w.isa(), window, heads, layers).map_err(of_block)
}

/// Second layer of a `Space` adapter whose first layer is folded into the attention's projection.
fn space_adapter(
    w: &Weights,
    activation: Option<layers::Activation>,
) -> Result<Option<medsa_kernels::Packed>, Mismatch> {
    match activation {
        None => Ok(None),
        Some(layers::Activation::Gelu) => w.linear("adapter.space.up").map(Some),
        Some(layers::Activation::Relu) => Err(Mismatch::new("adapter.space", "ReLU", "GELU")),
    }
}

fn mlp(w: &Weights) -> Result<[medsa_kernels::Packed; 2], Mismatch> {
    Ok([w.linear("mlp.layer1")?, w.linear("mlp.layer2")?])
}

fn two_way_block(
    w: &Weights,
    heads: usize,
    first: bool,
    (after_tokens, parallel_mlp, after_image): (
        Option<block::Bottleneck>,
        Option<layers::Activation>,
        Option<layers::Activation>,
    ),
) -> Result<TwoWayBlock, Mismatch> {
    let serial = |role: &str, bottleneck: Option<block::Bottleneck>| {
        let Some(bottleneck) = bottleneck else { return Ok(None) };
        let bottleneck = match bottleneck {
            block::Bottleneck::Activation(of) => Bottleneck::Activation(activation(of)),
            block::Bottleneck::Hyper { maps } => Bottleneck::Hyper(hyper_maps(w, role, maps)?),
        };
        Ok(Some(SerialAdapter { bottleneck, up: w.linear(&at(role, "up"))? }))
    };
    let parallel_mlp = match parallel_mlp {
        None => None,
        Some(of) => Some(ParallelAdapter {
            down: w.linear("adapter.mlp.down")?,
            activation: activation(of),
            up: w.linear("adapter.mlp.up")?,
        }),
    };
    let layers = TwoWayLayers {
        self_attention: projections(w, "self_attn")?,
        token_to_image: projections(w, "cross_attn_token_to_image")?,
        after_tokens: serial("adapter.prompt_to_image", after_tokens)?,
        mlp: mlp(w)?,
        parallel_mlp,
        image_to_token: projections(w, "cross_attn_image_to_token")?,
        after_image: serial(
            "adapter.image_to_prompt",
            after_image.map(block::Bottleneck::Activation),
        )?,
        norms: [w.norm("norm1")?, w.norm("norm2")?, w.norm("norm3")?, w.norm("norm4")?],
    };
    TwoWayBlock::new(w.isa(), heads, !first, layers).map_err(of_block)
}

fn hyper_maps(w: &Weights, role: &str, maps: usize) -> Result<HyperMaps, Mismatch> {
    let part = |name: &str, number: usize| format!("{role}.hyp.{name}.{number}");
    // The number of maps that have weights, regardless of the schema.
    let found =
        (0..).take_while(|number| w.has(&at(&part("norms", *number), part::WEIGHT))).count();
    if found != maps {
        return Err(Mismatch::new(format!("{role}.hyp.maps"), found.to_string(), maps.to_string()));
    }
    let map =
        |number: usize| Ok((w.linear(&part("maps", number))?, w.norm(&part("norms", number))?));
    Ok(HyperMaps {
        reduce: w.linear(&format!("{role}.hyp.reduce"))?,
        maps: (0..maps).map(map).collect::<Result<_, _>>()?,
    })
}

fn activation(of: layers::Activation) -> Activation {
    match of {
        layers::Activation::Gelu => Activation::Gelu,
        layers::Activation::Relu => Activation::Relu,
    }
}

fn projections(w: &Weights, role: &str) -> Result<Projections, Mismatch> {
    let linear = |name: &str| w.linear(&at(role, name));
    // These kernels compute the products in float, also where the function body quantizes them: with
    // few tokens, that is as fast and closer to the network.
    let _ = w.products(&at(role, "products"));
    Ok(Projections {
        q: linear("q_proj")?,
        k: linear("k_proj")?,
        v: linear("v_proj")?,
        out: linear("out_proj")?,
    })
}

fn final_attention(w: &Weights, heads: usize) -> Result<FinalAttention, Mismatch> {
    let layers =
        FinalAttentionLayers { token_to_image: projections(w, "attn")?, norm: w.norm("norm")? };
    FinalAttention::new(w.isa(), heads, layers).map_err(of_block)
}

fn mask_prompt(w: &Weights) -> Result<MaskPrompt, Mismatch> {
    let (gamma, beta, epsilon) = w.norm_parts("norm1")?;
    let layers = MaskPromptLayers {
        first: w.linear("first")?,
        first_norm: PlainNorm { gamma, beta, epsilon },
        second: w.linear("second")?,
        second_norm: w.norm("norm2")?,
        last: w.linear("last")?,
        no_mask: w.vector("no_mask_embed")?,
    };
    MaskPrompt::new(w.isa(), layers).map_err(of_block)
}

fn mask_head(w: &Weights) -> Result<MaskHead, Mismatch> {
    let network = |mask: usize| -> Result<_, Mismatch> {
        let layer = |number: usize| w.linear(&format!("hypernetworks.{mask}.layer{number}"));
        Ok([layer(1)?, layer(2)?, layer(3)?])
    };
    let is_there = |mask: &usize| {
        let layer = format!("hypernetworks.{mask}.layer1");
        w.has(&at(&layer, part::WEIGHT)) || w.has(&at(&layer, part::INT8))
    };
    let layers = MaskHeadLayers {
        upscale: [w.linear("upscale1")?, w.linear("upscale2")?],
        norm: w.norm("norm")?,
        hypernetworks: (0..).take_while(is_there).map(network).collect::<Result<_, _>>()?,
    };
    MaskHead::new(w.isa(), layers).map_err(of_block)
}

/// Checks the number of heads of attentions whose weights do not determine it. It is found in the
/// body, where tokens are split by heads, `[B, N, heads, d]`.
fn check_heads(function: &FunctionProto, heads: usize) -> Result<(), Mismatch> {
    let shapes = shapes_before(function, [0, 2, 1, 3]);
    let differs = |shape: &&[i64; 4]| usize::try_from(shape[2]) != Ok(heads);
    match shapes.iter().find(differs) {
        Some(shape) => {
            let found = format!("{heads}, and {} in the body", shape[2]);
            Err(Mismatch::new("heads", found, "the same number"))
        }
        None => Ok(()),
    }
}

/// Checks height and width of the embedding, which the weights of a mask head do not determine. The
/// body reshapes its masks to `[1, masks, 4 height, 4 width]`.
fn check_sides(function: &FunctionProto, sides: [usize; 2]) -> Result<(), Mismatch> {
    let Some([_, _, height, width]) = shape_of_output(function) else {
        let expected = "[1, masks, 4 height, 4 width]";
        return Err(Mismatch::new("body", "masks without a constant shape", expected));
    };
    for (field, side, of_masks) in [("height", sides[0], height), ("width", sides[1], width)] {
        let expected = side.checked_mul(4);
        if expected.is_none() || usize::try_from(of_masks).ok() != expected {
            let found = format!("{side}, and {} in the body", of_masks / 4);
            return Err(Mismatch::new(field, found, "the same number"));
        }
    }
    Ok(())
}
