//! What each layer in 8 bits does to the embedding.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use candle_core::{Device, Result, Tensor};
use medsa_sam::layers::{Conv2d, Linear};
use medsa_sam::{Quantization, Sam};
use medsa_trainer::{CandleBackend, Layer, Node};
use ndarray::Array4;

/// Of each layer and attention of the image encoder: the mean square of what changes in the
/// embeddings of `images` `[1, 3, S, S]` when it alone is in 8 bits, as a part of theirs.
///
/// # Errors
/// Candle's.
pub(crate) fn sensitivities(
    sam: &Sam,
    quantization: &Quantization,
    images: &[Array4<f32>],
    mut progress: impl FnMut(usize, usize),
) -> Result<BTreeMap<String, f64>> {
    let mut found = BTreeMap::new();
    for (i, image) in images.iter().enumerate() {
        let steps = by_step(sam, image)?;
        let embedding = &steps.last().expect("an encoder has steps").after;
        let power = squares(embedding)?;
        let count = steps.len();
        for (step, Step { before, names, .. }) in steps.iter().enumerate() {
            progress(i * count + step, images.len() * count);
            for (name, alone) in names.iter().flat_map(|name| alone(quantization, name)) {
                let backend = CandleBackend::new(Device::Cpu).quantized(Rc::new(alone));
                let x = Node::constant(before.clone());
                let changed = sam.encode_steps(&backend, &x, step..sam.encoder_steps(), 1)?;
                let error = squares(&(changed.value() - embedding)?)? / power;
                *found.entry(name).or_default() += error / images.len() as f64;
            }
        }
    }
    Ok(found)
}

/// One step of the encoder in float.
struct Step {
    before: Tensor,
    after: Tensor,
    /// Weights of the layers in it.
    names: Vec<String>,
}

fn by_step(sam: &Sam, image: &Array4<f32>) -> Result<Vec<Step>> {
    let names = Rc::new(RefCell::new(Vec::new()));
    let collected = names.clone();
    let backend = CandleBackend::new(Device::Cpu).watched(Rc::new(move |layer, _| {
        let (Layer::Linear(Linear { weight, .. }) | Layer::Conv2d(Conv2d { weight, .. })) = layer;
        collected.borrow_mut().push(weight.name().to_owned());
        Ok(())
    }));
    let mut x = backend.tensor(image.clone())?;
    let mut steps = Vec::new();
    for step in 0..sam.encoder_steps() {
        let before = x.value().clone();
        x = sam.encode_steps(&backend, &x, step..step + 1, 1)?;
        let mut names = names.take();
        names.sort();
        names.dedup();
        steps.push(Step { before, after: x.value().clone(), names });
    }
    Ok(steps)
}

/// The layer, and the attention whose queries it makes, each alone.
fn alone(quantization: &Quantization, layer: &str) -> Vec<(String, Quantization)> {
    let mut all = Vec::new();
    if let Some(int8) = quantization.layers.get(layer) {
        let layers = BTreeMap::from([(layer.to_owned(), int8.clone())]);
        all.push((layer.to_owned(), Quantization { layers, ..Quantization::default() }));
    }
    let products = format!("{layer}.products");
    if quantization.attentions.contains(&products) {
        let attentions = [products.clone()].into();
        all.push((products, Quantization { attentions, ..Quantization::default() }));
    }
    all
}

fn squares(x: &Tensor) -> Result<f64> {
    Ok(f64::from(x.sqr()?.sum_all()?.to_scalar::<f32>()?))
}
