//! Checkpoints of the released Med-SA code: the state dict of a whole model, including adapters.
//!
//! Its encoder blocks hold `Space_Adapter`, `MLP_Adapter` and `Depth_Adapter`, each with `D_fc1`
//! and `D_fc2`; or their layers have low-rank updates. In its TinyViT, the MLP's adapter gets the
//! tokens before the norm. Its ViT pads windows before the norm. It trains the whole mask decoder,
//! on stretched images scaled to 0..1 and on clicks given as (row, column).

mod layout;
mod low_rank;

use medsa_sam::image::{Fit, Normalization, Preprocess};
use medsa_sam::{AdapterConfig, Error, MlpInput, PointOrder, SamConfig, Weights, WindowPadding};

pub(crate) use self::layout::{has_repeated_bias, put_base_tensor};

/// Names of adapters: here, and in the released code.
pub(crate) const ADAPTERS: [(&str, &str); 3] =
    [("space", "Space_Adapter"), ("mlp", "MLP_Adapter"), ("depth", "Depth_Adapter")];

/// Names of an adapter's layers: here, and in the released code.
pub(crate) const LAYERS: [(&str, &str); 2] = [("down", "D_fc1"), ("up", "D_fc2")];

/// Tensors of a state dict, separated into base model and adapters, each with the names of this
/// project.
pub(crate) struct Released {
    pub base: Weights,
    pub adapters: Weights,
    pub config: AdapterConfig,
}

impl Released {
    /// Separates a state dict. Without adapters, all of it is the base model.
    pub(crate) fn new(weights: &Weights) -> Self {
        let mut released = Self {
            base: Weights::new(),
            adapters: Weights::new(),
            config: AdapterConfig::default(),
        };
        for (name, value) in weights {
            match adapter_name(name) {
                Some((adapter, encoder)) => {
                    match encoder {
                        Encoder::TinyVit => released.config.mlp_input = MlpInput::Raw,
                        Encoder::Vit => released.config.window_padding = WindowPadding::BeforeNorm,
                    }
                    released.adapters.insert(adapter, value.clone());
                }
                None => {
                    released.base.insert(original_name(name), value.clone());
                }
            }
        }
        released
    }
}

/// Merges low-rank updates into their layers. Also returns true if the released code trained the
/// model.
///
/// # Errors
/// Names the update that does not fit its layer.
pub(crate) fn normalized(mut weights: Weights) -> Result<(Weights, bool), Error> {
    let updates = low_rank::merge(&mut weights)?;
    let is_adapted = weights.keys().any(|name| adapter_name(name).is_some());
    Ok((weights, updates > 0 || is_adapted))
}

/// The configuration with the preprocessing of the released code.
pub(crate) fn as_trained(mut config: SamConfig) -> SamConfig {
    config.preprocess =
        Preprocess { normalization: Normalization::Unit, fit: Fit::Stretch, ..config.preprocess };
    config.decoder.points = PointOrder::Yx;
    config
}

/// Name of a tensor in SAM's own code. Later versions of the released code shorten some.
fn original_name(name: &str) -> String {
    for (short, long) in [(".attn.rel_h", ".attn.rel_pos_h"), (".attn.rel_w", ".attn.rel_pos_w")] {
        if let Some(block) = name.strip_suffix(short) {
            return format!("{block}{long}");
        }
    }
    name.to_owned()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoder {
    TinyVit,
    Vit,
}

/// Name of an adapter's tensor in this project:
/// `image_encoder.layers.2.blocks.0.Space_Adapter.D_fc1.weight` becomes
/// `encoder.blocks.2.0.space.down.weight`.
fn adapter_name(name: &str) -> Option<(String, Encoder)> {
    let parts: Vec<&str> = name.split('.').collect();
    let (stage, rest, encoder) = match parts[..] {
        ["image_encoder", "layers", stage, "blocks", ref rest @ ..] => {
            (stage, rest, Encoder::TinyVit)
        }
        ["image_encoder", "blocks", ref rest @ ..] => ("0", rest, Encoder::Vit),
        _ => return None,
    };
    let [block, adapter, layer, tensor @ ("weight" | "bias")] = *rest else { return None };
    let ours = |names: &[(&'static str, &str)], theirs: &str| {
        names.iter().find(|name| name.1 == theirs).map(|name| name.0)
    };
    let (adapter, layer) = (ours(&ADAPTERS, adapter)?, ours(&LAYERS, layer)?);
    Some((format!("encoder.blocks.{stage}.{block}.{adapter}.{layer}.{tensor}"), encoder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapter_names_of_both_encoders_are_converted() {
        let ours = |name| adapter_name(name).map(|(name, _)| name);
        assert_eq!(
            ours("image_encoder.layers.2.blocks.1.MLP_Adapter.D_fc2.bias").as_deref(),
            Some("encoder.blocks.2.1.mlp.up.bias")
        );
        assert_eq!(
            ours("image_encoder.blocks.7.Depth_Adapter.D_fc1.weight").as_deref(),
            Some("encoder.blocks.0.7.depth.down.weight")
        );
        for base in ["image_encoder.blocks.7.mlp.lin1.weight", "mask_decoder.iou_token.weight"] {
            assert_eq!(ours(base), None);
        }
    }
}
