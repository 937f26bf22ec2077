//! Frames with the masks of two networks and the ground truth: outlines and differences.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maud::{Markup, html};
use medsa_frames::Frame;
use medsa_sam::prompt::Prompt;
use ndarray::{Array2, Zip};

use super::region;
use crate::error::Error;
use crate::image_file;

/// A frame with its prompts and predictions.
pub struct Scene {
    /// Name, such as "synthetic frame 1".
    pub name: String,
    /// The frame.
    pub frame: Frame,
    /// Prompts with their predictions.
    pub predictions: Vec<ScenePrediction>,
}

/// Predictions for one prompt. Masks are `[H, W]` in frame pixels.
pub struct ScenePrediction {
    /// Kind of prompt, such as "box".
    pub kind: String,
    /// The prompt.
    pub prompt: Prompt,
    /// Ground truth.
    pub truth: Array2<bool>,
    /// Mask of the reference network, with which the build is compared.
    pub reference: Array2<bool>,
    /// Mask of the build; `None` if the build computes in the reference's arithmetic.
    pub built: Option<Array2<bool>>,
}

/// Names of the two networks in legends.
pub struct Names {
    /// Name of the reference.
    pub reference: &'static str,
    /// Name of the build.
    pub built: &'static str,
}

/// Longest side of images in the page, in pixels. Masks are drawn at full resolution.
const SIDE_PX: u32 = 512;

/// The scenes with a legend.
///
/// # Errors
/// An image cannot be encoded.
pub fn gallery(scenes: &[Scene], names: &Names) -> Result<Markup, Error> {
    let figures = scenes.iter().enumerate().map(|(number, scene)| figure(number, scene, names));
    let figures = figures.collect::<Result<Vec<_>, _>>()?;
    let compared = scenes.iter().flat_map(|scene| &scene.predictions).any(|a| a.built.is_some());
    Ok(html! {
        (legend(names, compared))
        div.gallery { @for figure in figures { (figure) } }
    })
}

fn legend(names: &Names, compared: bool) -> Markup {
    let sign = |class: &str, path: &str, text: &str| {
        html! {
            li {
                svg viewBox="0 0 26 14" aria-hidden="true" { path class=(class) d=(path) {} }
                (text)
            }
        }
    };
    let line = |class, text| sign(class, "M2 7h22", text);
    let area = |class, text: String| sign(class, "M2 1h22v12h-22z", &text);
    html! {
        ul.legend {
            (line("truth", "truth"))
            (line("reference", names.reference))
            @if compared {
                (line("built", names.built))
                (area("extra", format!("only {} (false positive)", names.built)))
                (area("missed", format!("only {} (false negative)", names.reference)))
                (area("both", "both".to_owned()))
            }
            (line("prompt", "prompt"))
        }
    }
}

fn figure(number: usize, scene: &Scene, names: &Names) -> Result<Markup, Error> {
    let Frame { width, height, .. } = scene.frame;
    let image = image_file::jpeg(&scene.frame, SIDE_PX)?;
    let source = format!("data:image/jpeg;base64,{}", BASE64_STANDARD.encode(image));
    let (id, view) = (format!("frame{number}"), format!("0 0 {width} {height}"));
    Ok(html! {
        // Each image is stored once in the page and reused under every drawing.
        svg.store aria-hidden="true" {
            symbol id=(id) viewBox=(view) { image href=(source) width=(width) height=(height) {} }
        }
        @for prediction in &scene.predictions {
            figure {
                div.panels {
                    (outlines(&id, &view, scene, prediction, names))
                    (differences(&id, &view, scene, prediction, names))
                }
                figcaption { (scene.name) ", " (prediction.kind) }
            }
        }
    })
}

fn outlines(
    id: &str,
    view: &str,
    scene: &Scene,
    prediction: &ScenePrediction,
    names: &Names,
) -> Markup {
    let scores = match &prediction.built {
        Some(built) => format!(
            "{} Dice {:.2}, {} Dice {:.2}",
            names.reference,
            dice(&prediction.reference, &prediction.truth),
            names.built,
            dice(built, &prediction.truth)
        ),
        None => format!(
            "{} Dice {:.2}",
            names.reference,
            dice(&prediction.reference, &prediction.truth)
        ),
    };
    let label = format!("{}, prompted by {}: outlines. {scores}.", scene.name, prediction.kind);
    let masks = [("truth", Some(&prediction.truth)), ("reference", Some(&prediction.reference))];
    let masks = masks.into_iter().chain([("built", prediction.built.as_ref())]);
    html! {
        svg viewBox=(view) role="img" aria-label=(label) {
            use href={ "#" (id) } {}
            (prompt(prediction, scene.frame.width.max(scene.frame.height)))
            @for (class, mask) in masks {
                @if let Some(mask) = mask { path class=(class) d=(region::outline(mask)) {} }
            }
        }
    }
}

fn differences(
    id: &str,
    view: &str,
    scene: &Scene,
    prediction: &ScenePrediction,
    names: &Names,
) -> Markup {
    let Some(built) = &prediction.built else { return Markup::default() };
    let only = |here: &Array2<bool>, there: &Array2<bool>| {
        Zip::from(here).and(there).map_collect(|&here, &there| here && !there)
    };
    let (extra, missed) = (only(built, &prediction.reference), only(&prediction.reference, built));
    let both = only(built, &extra);
    let label = format!(
        "{}, prompted by {}: differences. {} px only {}, {} px only {}, {} px both.",
        scene.name,
        prediction.kind,
        count(&extra),
        names.built,
        count(&missed),
        names.reference,
        count(&both)
    );
    html! {
        svg.dim viewBox=(view) role="img" aria-label=(label) {
            use href={ "#" (id) } {}
            @for (class, mask) in [("both", both), ("extra", extra), ("missed", missed)] {
                path class=(class) d=(region::area(&mask)) {}
            }
        }
    }
}

fn prompt(prediction: &ScenePrediction, side: u32) -> Markup {
    let mut path = String::new();
    if let Some([x0, y0, x1, y1]) = prediction.prompt.bbox() {
        path += &format!("M{x0} {y0}H{x1}V{y1}H{x0}z");
    }
    let arm = side as f32 / 50.0;
    for point in prediction.prompt.points() {
        let (x, y) = (point.x, point.y);
        path += &format!("M{} {y}H{}", x - arm, x + arm);
        if point.positive {
            path += &format!("M{x} {}V{}", y - arm, y + arm);
        }
    }
    html! { path.halo d=(path) {} path.prompt d=(path) {} }
}

fn dice(a: &Array2<bool>, b: &Array2<bool>) -> f64 {
    medsa_trainer::metrics::Scores::new(a.view(), b.view()).dice
}

fn count(mask: &Array2<bool>) -> usize {
    mask.iter().filter(|&&inside| inside).count()
}
