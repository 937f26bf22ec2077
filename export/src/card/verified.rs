//! The card of a verification: measurements of a build on images with ground truth.

use std::collections::BTreeSet;

use maud::html;
use medsa_bundle::{Build, Manifest};
use medsa_frames::Frame;
use medsa_trainer::train::{Prediction, Stock};

use super::gallery::{self, Names, Scene, ScenePrediction};
use super::page::{self, table};
use crate::error::Error;
use crate::verify::Verified;

/// Largest number of images of each class in a page.
const IMAGES: usize = 4;

/// Scenes of the images that `stock` reports on, evenly spread over each class. `trained` and
/// `built` are the predictions of the trained network and of the build, for the same prompts in the
/// same order.
///
/// # Errors
/// An image cannot be read.
pub fn scenes(
    stock: &Stock,
    trained: &[Prediction],
    built: &[Prediction],
) -> Result<Vec<Scene>, Error> {
    let mut scenes = Vec::new();
    let classes: BTreeSet<&str> = trained.iter().map(|found| found.class.as_str()).collect();
    for class in classes {
        let of_class = trained.iter().filter(|found| found.class == class);
        let mut items: Vec<&str> = of_class.map(|found| found.item.as_str()).collect();
        items.dedup();
        let count = items.len().min(IMAGES);
        for name in (0..count).map(|i| items[i * items.len() / count]) {
            scenes.push(scene(stock, class, name, trained.iter().zip(built))?);
        }
    }
    Ok(scenes)
}

fn scene<'a>(
    stock: &Stock,
    class: &str,
    name: &str,
    predictions: impl Iterator<Item = (&'a Prediction, &'a Prediction)>,
) -> Result<Scene, Error> {
    let mut items = stock.part(stock.reported()).iter().copied();
    let item = items.find(|&item| stock.item(item).name == name);
    let item = item.expect("predictions are on images of the data set");
    let sample = stock.read(item, 1)?.swap_remove(0);
    let frame = (sample.width, sample.height);
    let of_scene = predictions.filter(|(found, _)| found.item == name && found.class == class);
    let prediction = |(trained, built): (&Prediction, &Prediction)| {
        Ok(ScenePrediction {
            kind: trained.kind.name().to_owned(),
            prompt: trained.prompting.prompt(frame)?,
            truth: trained.truth.clone(),
            reference: trained.found.clone(),
            built: Some(built.found.clone()),
        })
    };
    let predictions = of_scene.map(prediction).collect::<Result<Vec<_>, Error>>()?;
    let (width, height) = (frame.0 as u32, frame.1 as u32);
    let frame = Frame { width, height, rgb: sample.rgb, pixel_spacing_mm: None };
    Ok(Scene { name: format!("{name}, {class}"), frame, predictions })
}

/// The card of `build`, with `scenes` of `stock`.
///
/// # Errors
/// An image cannot be encoded.
pub fn verified(
    build: &Build,
    stock: &Stock,
    verified: &Verified,
    scenes: &[Scene],
) -> Result<String, Error> {
    let manifest = build.manifest();
    let models = [Manifest::ENCODER, Manifest::DECODER].into_iter();
    let models = models.filter_map(|name| Some((name, manifest.files.get(name)?.clone())));
    let head =
        ["Class", "prompt", "n", "Dice trained", "folded", "as built", "IoU mean", "IoU lowest"];
    let rows = verified.rows.iter().map(|row| {
        let dice = [&row.trained, &row.folded, &row.build].map(|dice| format!("{:.3}", dice.mean));
        let mut cells =
            vec![row.class.clone(), row.prompt.name().to_owned(), row.trained.count.to_string()];
        cells.extend(dice);
        cells.extend([row.agreement.mean, row.lowest].map(|iou| format!("{iou:.3}")));
        cells
    });
    let rows: Vec<_> = rows.collect();
    let layers = verified.worst_layers.iter();
    let layers: Vec<_> =
        layers.map(|(name, error)| vec![name.clone(), format!("{error:.1e}")]).collect();
    let body = html! {
        div.notice {
            strong { "Contains images of a data set." }
            " If those are patient images, treat this page as patient data."
        }
        h2 { "Quality of masks" }
        p { "IoU compares the build's masks with those of the trained network." }
        (table(&head, &rows))
        @if let Some(edge) = &verified.edge {
            h2 { "Device runtime" }
            dl {
                dt { "IoU with the same arithmetic on candle" }
                dd {
                    (format!("{:.4} mean, {:.4} lowest", edge.mean_iou, edge.min_iou))
                    ", of " (edge.masks) " masks"
                }
                dt { "Median time on the machine that ran the verification" }
                dd { (format!("encoder {:.0} ms, decoder {:.0} ms", edge.encoder_ms, edge.decoder_ms)) }
            }
        }
        @if !layers.is_empty() {
            h2 { "Layers most sensitive to int8" }
            p {
                "Mean squared change of the probability that a pixel belongs to the mask when \
                 only this layer is in int8."
            }
            (table(&["Layer", "change"], &layers))
        }
        h2 { "Contents" }
        (page::origin(manifest, models))
        h2 { "Images" }
        (gallery::gallery(scenes, &NAMES)?)
    };
    let folder = &stock.config.path;
    let data = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy();
    let count = stock.part(stock.reported()).len();
    Ok(page::page(manifest, &format!("On {count} images of {data}"), &body))
}

const NAMES: Names = Names { reference: "as trained", built: "as built" };
