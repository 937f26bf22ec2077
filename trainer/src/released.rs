//! Checkpoints of the released Med-SA code: a whole model's state dict with adapters inside.
//!
//! Its encoder blocks hold `Space_Adapter`, `MLP_Adapter` and `Depth_Adapter`, each with `D_fc1`
//! and `D_fc2`; or layers of theirs have low-rank updates beside them. In its TinyViT the MLP's
//! adapter is given what comes before the norm; its ViT pads windows before the norm. It trains
//! the mask decoder whole, on stretched pictures from 0 to 1 and on clicks whose row comes first.

mod low_rank;

use medsa_sam::image::{Fit, Normalization, Preprocess};
use medsa_sam::{AdapterConfig, Error, MlpInput, PointOrder, SamConfig, Weights, WindowPadding};

/// What every name begins with if the model was trained on several GPUs.
const PARALLEL: &str = "module.";

/// A state dict's tensors as base model and adapters, each by the names that we use.
pub(crate) struct Released {
    pub base: Weights,
    pub adapters: Weights,
    pub config: AdapterConfig,
}

impl Released {
    /// Takes a state dict apart; without adapters in it, it is a base model as it stands.
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
                    released.base.insert(name.clone(), value.clone());
                }
            }
        }
        released
    }
}

/// Tensors by the names of SAM's own code, with low-rank updates added to what they update; and
/// whether the released code has trained them.
///
/// # Errors
/// An update that does not fit its layer, by name.
pub(crate) fn normalized(weights: Weights) -> Result<(Weights, bool), Error> {
    let mut weights: Weights =
        weights.into_iter().map(|(name, value)| (original_name(&name), value)).collect();
    let updates = low_rank::merge(&mut weights)?;
    let is_adapted = weights.keys().any(|name| adapter_name(name).is_some());
    Ok((weights, updates > 0 || is_adapted))
}

/// The network as the released code feeds it.
pub(crate) fn as_trained(mut config: SamConfig) -> SamConfig {
    config.preprocess =
        Preprocess { normalization: Normalization::Unit, fit: Fit::Stretch, ..config.preprocess };
    config.decoder.points = PointOrder::Yx;
    config
}

fn original_name(name: &str) -> String {
    let name = name.strip_prefix(PARALLEL).unwrap_or(name);
    // Its later versions shorten these.
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

/// Our name of an adapter's tensor: `image_encoder.layers.2.blocks.0.Space_Adapter.D_fc1.weight`
/// is `encoder.blocks.2.0.space.down.weight`.
fn adapter_name(name: &str) -> Option<(String, Encoder)> {
    let parts: Vec<&str> = name.split('.').collect();
    let (stage, rest, encoder) = match parts[..] {
        ["image_encoder", "layers", stage, "blocks", ref rest @ ..] => {
            (stage, rest, Encoder::TinyVit)
        }
        ["image_encoder", "blocks", ref rest @ ..] => ("0", rest, Encoder::Vit),
        _ => return None,
    };
    let [block, adapter, projection, tensor @ ("weight" | "bias")] = *rest else { return None };
    let adapter = match adapter {
        "Space_Adapter" => "space",
        "MLP_Adapter" => "mlp",
        "Depth_Adapter" => "depth",
        _ => return None,
    };
    let projection = match projection {
        "D_fc1" => "down",
        "D_fc2" => "up",
        _ => return None,
    };
    Some((format!("encoder.blocks.{stage}.{block}.{adapter}.{projection}.{tensor}"), encoder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_both_encoders_are_ours_and_others_are_the_base() {
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
