//! Base model and adapter as a checkpoint of the released Med-SA code.

mod file;
mod misfit;

use std::path::Path;

use medsa_sam::layers::Packing;
use medsa_sam::tiny_vit::Stem;
use medsa_sam::{AdapterPlan, EncoderConfig, SamConfig, Weights};
use ndarray::{ArcArray, ArrayD, Ix2, IxDyn, Slice};

use self::misfit::misfit;
use crate::adapter::Adapter;
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::released::{ADAPTERS, LAYERS, put_base_tensor};

type Array = ArcArray<f32, IxDyn>;

/// Writes `base`, with `adapter` if there is one, as a checkpoint of the released Med-SA code (`.pth`).
/// Returns the number of its tensors.
///
/// Encoder blocks without adapters get adapters of zeros, and narrower bottlenecks are filled up with
/// zeros. Low-rank updates are added to their weights. None of this changes predictions, except for
/// rounding.
///
/// # Errors
/// Names the tensor that the released code has no place for, with the reason; [`Error::OtherBase`] or
/// [`Error::Io`].
pub fn write_released(
    base: &Checkpoint,
    adapter: Option<&Adapter>,
    path: &Path,
) -> Result<usize, Error> {
    let state_dict = state_dict(base, adapter)?;
    file::write(path, &state_dict)?;
    Ok(state_dict.len())
}

fn state_dict(base: &Checkpoint, adapter: Option<&Adapter>) -> Result<Weights, Error> {
    if let EncoderConfig::TinyVit(tiny) = &base.config.encoder
        && tiny.stem != Stem::Strided
    {
        let reason = "tensor image_encoder.patch_embed.seq.0.c.weight is not a 3x3 convolution: the \
                      only TinyViT of the released code is that of MobileSAM";
        return Err(Error::format(&base.path, reason));
    }
    let mut weights = base.weights.clone();
    if let Some(adapter) = adapter {
        // Checks the base, and the shapes of all tensors.
        let config = adapter.sam(base, None)?.config().clone();
        for (name, value) in adapter.weights() {
            let put = match misfit(name, &config, &adapter.info.config) {
                Some(reason) => Err(reason),
                None => put(&mut weights, name, value, &config),
            };
            put.map_err(|e| Error::format(&adapter.path, format!("tensor {name}: {e}")))?;
        }
        add_updates(&mut weights, adapter, &config);
    }
    for (name, shape) in adapter_shapes(&base.config) {
        let name = released_name(&name, &base.config).expect("it is an adapter of the encoder");
        weights.entry(name).or_insert_with(|| ArrayD::zeros(shape).into_shared());
    }
    Ok(weights)
}

/// Tensors of the encoder's adapters in the released code, with the names of this project.
fn adapter_shapes(config: &SamConfig) -> impl Iterator<Item = (String, Vec<usize>)> {
    let plan = AdapterPlan { depth: true, reduction: 4, ..AdapterPlan::default() };
    let tensors = plan.tensors(config).into_iter().map(|tensor| (tensor.name, tensor.shape));
    tensors.filter(|(name, _)| name.starts_with("encoder."))
}

/// Name in the released code of a tensor of an encoder's adapter:
/// `encoder.blocks.2.0.space.down.weight` becomes
/// `image_encoder.layers.2.blocks.0.Space_Adapter.D_fc1.weight`.
fn released_name(name: &str, config: &SamConfig) -> Option<String> {
    let parts: Vec<&str> = name.split('.').collect();
    let ["encoder", "blocks", stage, block, adapter, layer, tensor] = parts[..] else {
        return None;
    };
    let theirs = |names: &[(&str, &'static str)], ours: &str| {
        names.iter().find(|name| name.0 == ours).map(|name| name.1)
    };
    let (adapter, layer) = (theirs(&ADAPTERS, adapter)?, theirs(&LAYERS, layer)?);
    Some(format!("{}.{adapter}.{layer}.{tensor}", block_name(stage, block, config)))
}

fn block_name(stage: &str, block: &str, config: &SamConfig) -> String {
    match config.encoder {
        EncoderConfig::TinyVit(_) => format!("image_encoder.layers.{stage}.blocks.{block}"),
        EncoderConfig::Vit(_) => format!("image_encoder.blocks.{block}"),
    }
}

/// Puts a trained tensor into the state dict; [`add_updates`] follows for those of LoRA.
fn put(weights: &mut Weights, name: &str, value: &Array, config: &SamConfig) -> Result<(), String> {
    if name.contains(".lora.") {
        return Ok(());
    }
    let Some(released) = released_name(name, config) else {
        return put_base_tensor(weights, name, value);
    };
    let (_, shape) =
        adapter_shapes(config).find(|(known, _)| known == name).expect("it has a name");
    if value.shape().iter().zip(&shape).any(|(found, limit)| found > limit) {
        return Err(format!(
            "shape {:?} exceeds {shape:?}: the bottlenecks of the released code have a quarter of \
             the channels",
            value.shape()
        ));
    }
    // A value that is always 0 before the activation is 0 after it, and its weights there are 0.
    let mut filled = ArrayD::zeros(shape);
    filled
        .slice_each_axis_mut(|axis| Slice::from(..value.shape()[axis.axis.index()]))
        .assign(value);
    weights.insert(released, filled.into_shared());
    Ok(())
}

/// Adds the updates of LoRA, `(alpha / r) B A`, to the weights of queries and values.
fn add_updates(weights: &mut Weights, adapter: &Adapter, config: &SamConfig) {
    let matrix = |name: &str| {
        let value = adapter.weights()[name].view();
        value.into_dimensionality::<Ix2>().expect("the network checked it")
    };
    for update in adapter.weights().keys().filter_map(|name| name.strip_suffix(".a")) {
        let (a, b) = (matrix(&format!("{update}.a")), matrix(&format!("{update}.b")));
        let scale = adapter.info.config.lora_alpha / a.nrows() as f32;
        let (layer, rows) = updated_layer(update, b.nrows(), config);
        let weight = weights.get_mut(&layer).expect("the network has it");
        let mut weight = weight.view_mut().into_dimensionality::<Ix2>().expect("a linear layer");
        for (row, update) in rows.into_iter().zip(b.dot(&a).rows()) {
            weight.row_mut(row).scaled_add(scale, &update);
        }
    }
}

/// Weight that an update of `height` rows is added to, and its rows.
fn updated_layer(update: &str, height: usize, config: &SamConfig) -> (String, Vec<usize>) {
    let parts: Vec<&str> = update.split('.').collect();
    match parts[..] {
        ["encoder", "blocks", stage, block, "lora", part] => {
            let (packing, heads) = match &config.encoder {
                EncoderConfig::TinyVit(tiny) => {
                    let stage: usize = stage.parse().expect("the network has it");
                    (Packing::ByHead, tiny.stages[stage - 1].heads)
                }
                EncoderConfig::Vit(vit) => (Packing::ByPart, vit.heads),
            };
            let part = if part == "q" { 0 } else { 2 };
            let rows = packing.channels(part, heads, height / heads).collect();
            (format!("{}.attn.qkv.weight", block_name(stage, block, config)), rows)
        }
        ["decoder", "layers", block, "lora", attention, part] => {
            let attention = match attention {
                "self" => "self_attn",
                "prompt_to_image" => "cross_attn_token_to_image",
                _ => "cross_attn_image_to_token",
            };
            let layer = format!("mask_decoder.transformer.layers.{block}.{attention}");
            (format!("{layer}.{part}_proj.weight"), (0..height).collect())
        }
        _ => unreachable!("the network has no other low-rank updates"),
    }
}
