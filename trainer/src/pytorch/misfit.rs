//! Adapters that the released code would compute differently.

use medsa_sam::layers::Activation;
use medsa_sam::{AdapterConfig, EncoderConfig, MlpInput, SamConfig, WindowPadding};

/// Reason why the released code would compute something else with a tensor of an adapter; `None` if
/// it would not.
pub(super) fn misfit(name: &str, config: &SamConfig, form: &AdapterConfig) -> Option<String> {
    if let EncoderConfig::Vit(vit) = &config.encoder
        && form.window_padding != WindowPadding::BeforeNorm
        && !config.grid().is_multiple_of(vit.window)
    {
        return expected("window_padding = \"before-norm\"");
    }
    let parts: Vec<&str> = name.split('.').collect();
    match parts[..] {
        ["encoder", "blocks", _, _, "lora", ..] | ["decoder", "layers", _, "lora", ..] => None,
        ["encoder", "blocks", stage, _, kind, ..] => {
            let stage = stage.parse().expect("the network has it");
            of_encoder(kind, stage, config, form)
        }
        ["decoder", ..] => Some("the released code has no adapters in its mask decoder".into()),
        _ => None,
    }
}

fn expected(key_and_value: &str) -> Option<String> {
    Some(format!("the released code computes as with form.{key_and_value}"))
}

fn of_encoder(
    kind: &str,
    stage: usize,
    config: &SamConfig,
    form: &AdapterConfig,
) -> Option<String> {
    let is_mlp = kind == "mlp";
    if kind == "depth" {
        return Some(
            "in the released code, the attention over slices has relative positions".into(),
        );
    }
    if form.activation != Activation::Gelu {
        return expected("activation = \"gelu\"");
    }
    if is_mlp && form.scale != 0.5 {
        return expected("scale = 0.5");
    }
    match &config.encoder {
        EncoderConfig::TinyVit(_) if is_mlp && form.mlp_input != MlpInput::Raw => {
            expected("mlp_input = \"raw\" in a TinyViT")
        }
        EncoderConfig::Vit(_) if is_mlp && form.mlp_input != MlpInput::Normed => {
            expected("mlp_input = \"normed\" in a ViT")
        }
        EncoderConfig::TinyVit(tiny) if kind == "space" => {
            let stages = &tiny.stages[..stage];
            let input = config.preprocess.input_size;
            let start = input / tiny.stem.stride();
            let side = stages.iter().fold(start, |side, stage| side.div_ceil(stage.stride));
            let is_skipped = stages.last().is_some_and(|stage| stage.window == side);
            is_skipped.then(|| {
                format!(
                    "with an input of {input} px, the map of stage {stage} is a single window of \
                     {side} x {side}, where the released code skips this adapter"
                )
            })
        }
        _ => None,
    }
}
