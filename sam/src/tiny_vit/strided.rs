//! Strided stems. A network whose stem reads every pixel becomes one with a stem of stride 2: the
//! rest of the encoder then computes a quarter of the positions, as the original does at half the
//! input size.

use ndarray::{ArcArray, IxDyn};

use super::config::Stem;
use crate::config::{EncoderConfig, SamConfig};
use crate::error::Error;
use crate::layers::BATCH_NORM_EPSILON;
use crate::weights::{Reader, Weights};

/// Shape and weights of the network with a [`Stem::Patches`] stem in place of its
/// [`Stem::Pointwise`] stem. Each of a patch's four pixels gets a quarter of the original weight,
/// so the new network gives for an image exactly what the original gives for the means of its 2x2
/// pixels.
///
/// # Errors
/// [`Error::OtherStem`] for a different stem; [`Error::InputSize`] if the new stride does not
/// divide the input size of `config`; or the stem's first tensor is missing or misshapen.
pub fn strided(config: &SamConfig, weights: &Weights) -> Result<(SamConfig, Weights), Error> {
    let (mut config, mut weights) = (config.clone(), weights.clone());
    let tiny = match &mut config.encoder {
        EncoderConfig::TinyVit(tiny) => tiny,
        EncoderConfig::Vit(_) => return Err(Error::OtherStem { found: "patches of a ViT" }),
    };
    match tiny.stem {
        Stem::Pointwise => tiny.stem = Stem::Patches,
        Stem::Patches => {
            return Err(Error::OtherStem { found: "a 2x2 convolution, which is already strided" });
        }
        Stem::Strided => return Err(Error::OtherStem { found: "two 3x3 convolutions" }),
    }
    let kernel = [tiny.stem_dim / 2, 3, 2, 2];
    let [first, _] = layer_names();
    let name = format!("{first}.c.weight");
    let pixel = Reader::new(&weights).array(&name, &[kernel[0], kernel[1], 1, 1])?;
    let quarter = pixel.mapv(|weight| weight / 4.0);
    let patch = quarter.broadcast(IxDyn(&kernel)).expect("one pixel becomes four").to_owned();
    weights.insert(name, patch.into_shared());
    let input_size = config.preprocess.input_size;
    Ok((config.with_input_size(input_size)?, weights))
}

/// Writes the stem's `trained` values, named as by [`Sam::stem_params`](crate::Sam::stem_params),
/// into the weights of a network that [`strided`] made.
///
/// Batch norms are already folded into the trained values, so those of the network become neutral.
///
/// # Errors
/// Names the first missing or misshapen tensor.
pub fn set_stem(weights: &mut Weights, trained: &Weights) -> Result<(), Error> {
    for layer in layer_names() {
        let name = |part: &str| format!("{layer}.{part}");
        let kernel = name("c.weight");
        let shape = weights.get(&kernel).map(|kernel| kernel.shape().to_vec());
        let shape = shape
            .ok_or_else(|| Error::MissingTensor { name: kernel.clone(), expected: Vec::new() })?;
        let (outputs, inputs) = (shape[0], shape[1..].iter().product());
        let from = Reader::new(trained);
        let weight = from.array(&name("weight"), &[outputs, inputs])?;
        let bias = from.array(&name("bias"), &[outputs])?;
        let weight = weight.into_shape_with_order(shape).expect("as many as the kernel has");
        let same = |value: f32| ArcArray::from_elem(IxDyn(&[outputs]), value);
        weights.extend([
            (kernel, weight.into_shared()),
            (name("bn.bias"), bias.into_shared()),
            (name("bn.weight"), same(1.0)),
            (name("bn.running_mean"), same(0.0)),
            (name("bn.running_var"), same(1.0 - BATCH_NORM_EPSILON)),
        ]);
    }
    Ok(())
}

fn layer_names() -> [String; 2] {
    [0, 2].map(|layer| format!("{}.patch_embed.seq.{layer}", SamConfig::ENCODER))
}
