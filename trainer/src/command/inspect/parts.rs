//! Location of the tensors of a file in the network.

use std::collections::{BTreeMap, BTreeSet};

use medsa_sam::Weights;
use serde::Serialize;

/// Tensors of one kind in one part of the network.
#[derive(Debug, PartialEq, Serialize)]
pub struct Part {
    /// Part: a stage of the encoder, the decoder, or a network of the base.
    pub part: String,
    /// Kind of adapter, or "base weights" for trained weights of the base.
    pub kind: String,
    /// Number of blocks or layers that have it.
    pub blocks: usize,
    /// Number of tensors.
    pub tensors: usize,
    /// Number of values in these tensors.
    pub parameters: usize,
}

/// Groups tensors by part and kind.
pub fn parts(weights: &Weights) -> Vec<Part> {
    let mut groups: BTreeMap<(String, String), (BTreeSet<String>, usize, usize)> = BTreeMap::new();
    for (name, value) in weights {
        let (part, kind, block) = location(name);
        let (blocks, tensors, parameters) = groups.entry((part, kind)).or_default();
        blocks.insert(block);
        *tensors += 1;
        *parameters += value.len();
    }
    let part = |((part, kind), (blocks, tensors, parameters)): (_, (BTreeSet<_>, _, _))| Part {
        part,
        kind,
        blocks: blocks.len(),
        tensors,
        parameters,
    };
    groups.into_iter().map(part).collect()
}

/// Part, kind and block of a tensor, by the names that `medsa_sam` gives to adapters.
fn location(name: &str) -> (String, String, String) {
    let fields: Vec<&str> = name.split('.').collect();
    match fields[..] {
        ["encoder", "blocks", stage, block, kind, ..] => {
            (format!("encoder stage {stage}"), kind.to_owned(), block.to_owned())
        }
        ["decoder", "layers", layer, kind, "hyp", ..] => {
            ("decoder".to_owned(), format!("{kind} hyp"), layer.to_owned())
        }
        ["decoder", "layers", layer, kind, ..] => {
            ("decoder".to_owned(), kind.to_owned(), layer.to_owned())
        }
        // Names of the base have no common form after the network's name.
        [part, ..] => (part.to_owned(), "base weights".to_owned(), String::new()),
        // `split` yields at least one element.
        [] => Default::default(),
    }
}

/// Text table.
pub fn table(parts: &[Part]) -> String {
    let mut text = format!(
        "{:16} {:20} {:>6} {:>8} {:>12}\n",
        "part", "kind", "blocks", "tensors", "parameters"
    );
    for Part { part, kind, blocks, tensors, parameters } in parts {
        text += &format!("{part:16} {kind:20} {blocks:>6} {tensors:>8} {parameters:>12}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use ndarray::{ArcArray, IxDyn};

    use super::*;

    #[test]
    fn tensors_are_counted_by_part_and_kind() {
        let tensor = |name: &str, length: usize| {
            (name.to_owned(), ArcArray::<f32, IxDyn>::zeros(IxDyn(&[length])))
        };
        let weights: Weights = [
            tensor("encoder.blocks.1.0.space.down.weight", 6),
            tensor("encoder.blocks.1.0.space.down.bias", 2),
            tensor("encoder.blocks.1.1.space.down.bias", 2),
            tensor("decoder.layers.0.prompt_to_image.hyp.reduce.bias", 3),
            tensor("decoder.layers.1.prompt_to_image.down.bias", 3),
            tensor("mask_decoder.iou_token.weight", 4),
        ]
        .into();
        let found: Vec<_> = parts(&weights)
            .into_iter()
            .map(|p| (format!("{} {}", p.part, p.kind), p.blocks, p.tensors, p.parameters))
            .collect();
        let expected = [
            ("decoder prompt_to_image".to_owned(), 1, 1, 3),
            ("decoder prompt_to_image hyp".to_owned(), 1, 1, 3),
            ("encoder stage 1 space".to_owned(), 2, 3, 10),
            ("mask_decoder base weights".to_owned(), 1, 1, 4),
        ];
        assert_eq!(found, expected);
    }
}
