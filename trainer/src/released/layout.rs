//! Trained weights of prompt encoder and mask decoder in PyTorch's layout.

use medsa_sam::Weights;
use ndarray::{ArcArray, Array4, ArrayD, Axis, Ix1, Ix2, Ix3, IxDyn, s};

type Array = ArcArray<f32, IxDyn>;

/// Transposed convolutions of the mask decoder. Here, they are linear layers with outputs in the
/// order `[2, 2, out]`, and so their bias has the value of each channel four times.
const UPSCALINGS: [&str; 2] =
    ["mask_decoder.output_upscaling.0", "mask_decoder.output_upscaling.3"];

/// True for a bias that has each value of PyTorch's bias four times.
pub(crate) fn has_repeated_bias(name: &str) -> bool {
    UPSCALINGS.iter().any(|layer| name.strip_prefix(layer) == Some(".bias"))
}

/// Puts a trained weight of the base network into the state dict.
///
/// # Errors
/// Reason why PyTorch's layer cannot hold it.
pub(crate) fn put_base_tensor(
    weights: &mut Weights,
    name: &str,
    value: &ArcArray<f32, IxDyn>,
) -> Result<(), String> {
    if name == "mask_decoder.output_tokens" {
        let tokens = value.view().into_dimensionality::<Ix3>().expect("[1, 5, C]");
        for (name, rows) in [("iou_token", s![0, ..1, ..]), ("mask_tokens", s![0, 1.., ..])] {
            let tokens = tokens.slice(rows).to_owned().into_dyn().into_shared();
            weights.insert(format!("mask_decoder.{name}.weight"), tokens);
        }
        return Ok(());
    }
    let value = match UPSCALINGS.iter().find_map(|layer| name.strip_prefix(layer)) {
        Some(".weight") => transposed_kernel(value),
        Some(".bias") => single_bias(value)?,
        _ => {
            // All other layers have the same values in the same order.
            let of_base = weights.get(name).filter(|of_base| of_base.len() == value.len());
            let of_base = of_base.ok_or("PyTorch has no tensor of this name and size")?;
            value.to_shape(of_base.raw_dim()).expect("it has as many values").into_owned()
        }
    };
    weights.insert(name.to_owned(), value.into_shared());
    Ok(())
}

/// `[2 * 2 * out, in]` as `[in, out, 2, 2]`.
fn transposed_kernel(value: &Array) -> ArrayD<f32> {
    let weight = value.view().into_dimensionality::<Ix2>().expect("a linear layer");
    let (outputs, inputs) = (weight.nrows() / 4, weight.ncols());
    let kernel = Array4::from_shape_fn((inputs, outputs, 2, 2), |(input, output, y, x)| {
        weight[[(2 * y + x) * outputs + output, input]]
    });
    kernel.into_dyn()
}

/// `[2 * 2 * out]` as `[out]`.
fn single_bias(value: &Array) -> Result<ArrayD<f32>, String> {
    let bias = value.view().into_dimensionality::<Ix1>().expect("a bias");
    let copies = bias.to_shape((4, bias.len() / 4)).expect("four values for each channel");
    let first = copies.index_axis(Axis(0), 0);
    if copies.rows().into_iter().any(|copy| copy != first) {
        return Err(
            "the four pixels of a cell have different biases, and in PyTorch they share one; \
                    a training with this version keeps them equal"
                .into(),
        );
    }
    Ok(first.to_owned().into_dyn())
}
