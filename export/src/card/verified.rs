//! The card of a verification: a build on pictures whose masks are known.

use std::collections::BTreeSet;

use maud::html;
use medsa_bundle::{Build, Manifest};
use medsa_frames::Frame;
use medsa_trainer::train::{Answer, Stock};

use super::page::{self, table};
use super::picture::{self, Names, Scene, SceneAnswer};
use crate::error::Error;
use crate::verify::Verified;

/// Pictures of each class in a page.
const PICTURES: usize = 4;

/// Validation pictures of `stock`, evenly spread over each class, with the answers of the network
/// as it was `trained` and as it was `built`, which are to the same prompts.
///
/// # Errors
/// A picture that cannot be read.
pub fn scenes(stock: &Stock, trained: &[Answer], built: &[Answer]) -> Result<Vec<Scene>, Error> {
    let mut scenes = Vec::new();
    let classes: BTreeSet<&str> = trained.iter().map(|answer| answer.class.as_str()).collect();
    for class in classes {
        let asked = trained.iter().filter(|answer| answer.class == class);
        let mut items: Vec<&str> = asked.map(|answer| answer.item.as_str()).collect();
        items.dedup();
        let count = items.len().min(PICTURES);
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
    answers: impl Iterator<Item = (&'a Answer, &'a Answer)>,
) -> Result<Scene, Error> {
    let item = stock.part(stock.reported()).iter().map(|&item| stock.item(item));
    let picture = item.into_iter().find(|item| item.name == name);
    let picture = picture.expect("answers are about pictures of the data set").read()?;
    let frame = (picture.width, picture.height);
    let of_scene = answers.filter(|(answer, _)| answer.item == name && answer.class == class);
    let answer = |(trained, built): (&Answer, &Answer)| {
        Ok(SceneAnswer {
            asked: trained.kind.name().to_owned(),
            prompt: trained.prompting.prompt(frame)?,
            truth: trained.truth.clone(),
            reference: trained.found.clone(),
            built: Some(built.found.clone()),
        })
    };
    let answers = of_scene.map(answer).collect::<Result<Vec<_>, Error>>()?;
    let (width, height) = (frame.0 as u32, frame.1 as u32);
    let frame = Frame { width, height, rgb: picture.rgb, pixel_spacing_mm: None };
    Ok(Scene { name: format!("{name}, {class}"), frame, answers })
}

/// The page about `build` on `scenes` of `stock`.
///
/// # Errors
/// The PNG encoder's.
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
            strong { "Shows pictures of a data set." }
            " If they are of patients, so is this page."
        }
        h2 { "How well it answers" }
        p { "IoU is that of its masks with those of the network as it was trained." }
        (table(&head, &rows))
        @if let Some(edge) = &verified.edge {
            h2 { "In the device's runtime" }
            dl {
                dt { "IoU with the same arithmetic on candle" }
                dd {
                    (format!("{:.4} mean, {:.4} lowest", edge.mean_iou, edge.min_iou))
                    ", of " (edge.masks) " masks"
                }
                dt { "Median time on the machine that verified" }
                dd { (format!("encoder {:.0} ms, decoder {:.0} ms", edge.encoder_ms, edge.decoder_ms)) }
            }
        }
        @if !layers.is_empty() {
            h2 { "Layers that suffer most from 8 bits" }
            p {
                "What changes in the probability that a pixel belongs to the mask when this layer \
                 alone is in 8 bits: mean square."
            }
            (table(&["Layer", "change"], &layers))
        }
        h2 { "What it is" }
        (page::origin(manifest, models))
        h2 { "Pictures" }
        (picture::gallery(scenes, &NAMES)?)
    };
    let folder = &stock.config.path;
    let data = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy();
    let count = stock.part(stock.reported()).len();
    Ok(page::page(manifest, &format!("On {count} pictures of {data}"), &body))
}

const NAMES: Names = Names { reference: "as trained", built: "as built" };
