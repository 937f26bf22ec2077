//! LoRA and AdaLoRA of the released Med-SA code, merged into the weights that they update.

use medsa_sam::{Error, Reader, Weights};
use ndarray::{Array2, Ix2, s};

/// Suffixes of the tensors of a LoRA or AdaLoRA update.
const TENSORS: [&str; 4] = ["lora_A", "lora_B", "lora_E", "ranknum"];

/// Merges every low-rank update into its layer's weight and removes it from `weights`. Returns the
/// number of updates.
///
/// # Errors
/// Names the first missing or misshapen tensor.
pub(super) fn merge(weights: &mut Weights) -> Result<usize, Error> {
    let of_update = |name: &String| name.strip_suffix(".lora_A").map(str::to_owned);
    let layers: Vec<String> = weights.keys().filter_map(of_update).collect();
    for layer in &layers {
        let weight = updated(&Reader::new(weights).at(layer), weights)?;
        weights.insert(format!("{layer}.weight"), weight.into_dyn().into_shared());
        for tensor in TENSORS {
            weights.remove(&format!("{layer}.{tensor}"));
        }
    }
    Ok(layers.len())
}

/// Updated weight `[out, in]` of a layer, `W + s B A`. In LoRA, s is 1 / rank. AdaLoRA has singular
/// values `E` between B and A, and its rank is the one after pruning.
fn updated(from: &Reader, weights: &Weights) -> Result<Array2<f32>, Error> {
    let matrix = |name: &str, shape: [usize; 2]| -> Result<Array2<f32>, Error> {
        let array = from.array(name, &shape)?.into_dimensionality::<Ix2>();
        Ok(array.expect("the reader checked the shape"))
    };
    let columns = |name: &str| {
        let shape = weights.get(&from.name(name)).map_or(&[][..], |value| value.shape());
        shape.get(1).copied().unwrap_or(0)
    };
    let rows = |name: &str| from.rows(name).unwrap_or(0);
    let (outputs, inputs) = (rows("weight"), columns("lora_A"));
    let mut weight = matrix("weight", [outputs, inputs])?;
    // In a packed projection, the first and the last third have separate updates.
    let is_packed = 3 * rows("lora_B") == 2 * outputs;
    let (starts, height): (&[usize], _) =
        if is_packed { (&[0, 2 * outputs / 3], outputs / 3) } else { (&[0], outputs) };
    let rank = rows("lora_A") / starts.len();
    let mut a = matrix("lora_A", [rank * starts.len(), inputs])?;
    let b = matrix("lora_B", [height * starts.len(), rank])?;
    let mut scale = 1.0 / rank as f32;
    if from.rows("lora_E").is_some() {
        a *= &matrix("lora_E", [rank, 1])?;
        scale = 1.0 / (from.array("ranknum", &[1])?[[0]] + 1e-5);
    }
    for (i, &start) in starts.iter().enumerate() {
        let a = a.slice(s![i * rank..(i + 1) * rank, ..]);
        let update = b.slice(s![i * height..(i + 1) * height, ..]).dot(&a);
        weight.slice_mut(s![start..start + height, ..]).scaled_add(scale, &update);
    }
    Ok(weight)
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayD, IxDyn, array};

    use super::*;

    fn weights(tensors: &[(&str, ArrayD<f32>)]) -> Weights {
        let tensor = |(name, value): &(&str, ArrayD<f32>)| {
            (format!("layer.{name}"), value.clone().into_shared())
        };
        tensors.iter().map(tensor).collect()
    }

    #[test]
    fn packed_projection_is_updated_in_its_first_and_last_third() {
        let mut weights = weights(&[
            ("weight", ArrayD::ones(IxDyn(&[3, 2]))),
            ("lora_A", array![[1.0, 2.0], [10.0, 20.0]].into_dyn()),
            ("lora_B", array![[3.0], [4.0]].into_dyn()),
        ]);
        assert_eq!(merge(&mut weights).unwrap(), 1);
        let expected = array![[4.0, 7.0], [1.0, 1.0], [41.0, 81.0]].into_dyn();
        assert_eq!(weights.keys().collect::<Vec<_>>(), ["layer.weight"]);
        assert_eq!(weights["layer.weight"], expected);
    }

    #[test]
    fn adalora_uses_singular_values_and_pruned_rank() {
        let mut weights = weights(&[
            ("weight", ArrayD::zeros(IxDyn(&[2, 1]))),
            ("lora_A", array![[1.0], [1.0]].into_dyn()),
            ("lora_E", array![[8.0], [0.0]].into_dyn()),
            ("lora_B", array![[1.0, 5.0], [2.0, 5.0]].into_dyn()),
            ("ranknum", array![1.0].into_dyn()),
        ]);
        merge(&mut weights).unwrap();
        let found = &weights["layer.weight"];
        assert!((found[[0, 0]] - 8.0).abs() < 1e-3 && (found[[1, 0]] - 16.0).abs() < 1e-3);
    }

    #[test]
    fn error_names_an_update_that_does_not_fit() {
        let mut weights = weights(&[
            ("weight", ArrayD::zeros(IxDyn(&[6, 2]))),
            ("lora_A", ArrayD::zeros(IxDyn(&[4, 2]))),
            ("lora_B", ArrayD::zeros(IxDyn(&[5, 4]))),
        ]);
        let error = merge(&mut weights).unwrap_err().to_string();
        assert_eq!(error, "tensor layer.lora_B has shape [5, 4], expected [6, 4]");
    }
}
