//! The card in a build: its purpose, its limits of use, and its measurements.

use std::collections::BTreeMap;

use maud::{Markup, html};
use medsa_bundle::{Agreement, FileEntry, Manifest, QuantizationReport};
use medsa_trainer::TrainingRecord;

use super::gallery::{self, Names, Scene};
use super::page::{self, table};
use crate::error::Error;
use crate::folding::Folded;
use crate::limits::Judgement;

/// Contents of the card.
pub struct BuildCard<'a> {
    /// Manifest of the build.
    pub manifest: &'a Manifest,
    /// Training record of the adapter, if it has one.
    pub training: Option<&'a TrainingRecord>,
    /// Models in the build, by file name.
    pub models: &'a BTreeMap<String, Vec<u8>>,
    /// Network before and after folding.
    pub folded: &'a Folded,
    /// Limits of the build, with the values found.
    pub limits: &'a [Judgement],
    /// Acceptance frames.
    pub scenes: &'a [Scene],
}

impl BuildCard<'_> {
    /// Name of its file in a build.
    pub const FILE: &'static str = "card.html";

    /// The card as an HTML page.
    ///
    /// # Errors
    /// An image cannot be encoded.
    pub fn html(&self) -> Result<String, Error> {
        let manifest = self.manifest;
        let models = self.models.iter().map(|(name, data)| (name.as_str(), FileEntry::of(data)));
        let body = html! {
            h2 { "Purpose" }
            (self.purpose())
            h2 { "Contents" }
            (page::origin(manifest, models))
            @if !self.limits.is_empty() {
                h2 { "Limits" }
                (limits(self.limits))
            }
            @if let (Some(agreement), Some(quantization)) =
                (&manifest.agreement, &manifest.quantization)
            {
                h2 { "Effect of int8" }
                (int8_effect(agreement, quantization))
            }
            h2 { "Effect of folding" }
            (folding(self.folded))
            h2 { "Synthetic frames" }
            p {
                "Images of no patient: drawn ellipses in speckle. A device must reproduce these masks \
                 before it runs this build. They show whether its arithmetic is right, not how \
                 good the network is on patients."
            }
            (gallery::gallery(self.scenes, &NAMES)?)
        };
        let subtitle =
            "A network that outlines the structure marked by a click or box, one image at a time";
        Ok(page::page(manifest, subtitle, &body))
    }

    fn purpose(&self) -> Markup {
        let prompts = if self.manifest.adapter.is_some() {
            "It outlines the structure marked by a click on it or a box around it."
        } else {
            "It outlines the structure marked by a box around it. Clicks need an adapter."
        };
        html! {
            p { (prompts) }
            @if let Some(TrainingRecord { task, classes, .. }) = self.training {
                p { "Trained for: " (task) " (" (classes.join(", ")) "). On anything else its \
                     masks were never evaluated." }
            }
            p {
                "Do not use it to find, name, measure or exclude disease. A person must check \
                 every outline: it always returns one, and can be wrong even when its \
                 score is high."
            }
        }
    }
}

const NAMES: Names = Names { reference: "f32", built: "int8" };

fn limits(limits: &[Judgement]) -> Markup {
    html! {
        div.wide {
            table {
                thead { tr { th { "Limit" } th { "found" } th { "wanted" } th { "holds" } } }
                tbody {
                    @for limit in limits {
                        tr {
                            td { (limit.what) }
                            td { (limit.found) }
                            td { (limit.wanted) }
                            @if limit.holds { td.good { "yes" } } @else { td.bad { "NO" } }
                        }
                    }
                }
            }
        }
    }
}

fn int8_effect(agreement: &Agreement, quantization: &QuantizationReport) -> Markup {
    html! {
        dl {
            dt { "Overlap of masks (IoU) with 32-bit float" }
            dd {
                (format!("{:.4} mean, {:.4} lowest", agreement.mean_iou, agreement.min_iou))
                ", of " (agreement.masks) " masks on " (agreement.frames) " calibration frames"
            }
            dt { "Int8" }
            dd { (format!("{:.1} % of multiply-accumulates", 100.0 * quantization.int8_macs)) }
            dt { "In float" }
            dd {
                @if quantization.in_float.is_empty() {
                    "nothing"
                } @else {
                    details {
                        summary { (quantization.in_float.len()) " layers and attentions" }
                        @for name in &quantization.in_float { code { (name) } }
                    }
                }
            }
        }
    }
}

fn folding(folded: &Folded) -> Markup {
    let rows = ["encoder", "decoder"].iter().zip(folded.before.iter().zip(&folded.after));
    let rows: Vec<Vec<String>> = rows
        .map(|(part, (before, after))| {
            let (million, giga) = (before.parameters as f64 / 1e6, before.macs as f64 / 1e9);
            let (million_after, giga_after) =
                (after.parameters as f64 / 1e6, after.macs as f64 / 1e9);
            vec![
                (*part).to_owned(),
                format!("{million:.2} \u{2192} {million_after:.2}"),
                format!("{giga:.2} \u{2192} {giga_after:.2}"),
                format!("{} \u{2192} {}", before.products, after.products),
            ]
        })
        .collect();
    html! {
        (table(&["", "million parameters", "GMAC", "products"], &rows))
        p {
            "Largest difference of a mask logit: " (format!("{:.1e}", folded.difference))
            ", of logits up to " (format!("{:.1}", folded.largest)) "."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acceptance;
    use medsa_bundle::{Origin, Precision};
    use medsa_sam::Cost;
    use medsa_sam::image::{Fit, Normalization, Preprocess};
    use ndarray::Array2;

    #[test]
    fn card_shows_missed_limits_and_escapes_names() {
        let origin = |name: &str| Origin { name: name.into(), sha256: "00".repeat(32) };
        let manifest = Manifest {
            format: Manifest::FORMAT,
            name: "<script>alert(1)</script>".into(),
            version: "1.0.0".into(),
            min_edge_version: "0.1.0".into(),
            base: origin("a & b"),
            adapter: Some(origin("\"clicks\"")),
            classes: Vec::new(),
            preprocess: Preprocess {
                input_size: 128,
                normalization: Normalization::MinMax,
                fit: Fit::Pad,
            },
            precision: Precision::Int8,
            agreement: None,
            quantization: None,
            unfit: vec!["mean mask IoU < 0.95".into()],
            files: BTreeMap::new(),
        };
        let cost = [Cost { parameters: 1_000_000, macs: 2_000_000_000, products: 3 }; 2];
        let folded = Folded { before: cost, after: cost, difference: 1e-5, largest: 20.0 };
        let limits = [Judgement {
            what: "size of the models",
            found: "13.0 MB".into(),
            wanted: "at most 12.0 MB".into(),
            holds: false,
        }];
        let phantoms = acceptance::phantoms(true).unwrap();
        let predictions = |shift: usize| -> Vec<acceptance::Masks> {
            let mask = |truth: &Array2<bool>| {
                let (height, width) = truth.dim();
                Array2::from_shape_fn((height, width), |(y, x)| truth[[y, (x + shift) % width]])
            };
            phantoms.iter().map(|phantom| vec![mask(&phantom.truth); 2]).collect()
        };
        let scenes = acceptance::scenes(&phantoms, &predictions(0), Some(&predictions(1)));
        let card = BuildCard {
            manifest: &manifest,
            training: None,
            models: &BTreeMap::from([("encoder.onnx".to_owned(), vec![0; 100])]),
            folded: &folded,
            limits: &limits,
            scenes: &scenes,
        };
        let html = card.html().unwrap();
        for expected in [
            "&lt;script&gt;alert(1)&lt;/script&gt; 1.0.0</h1>",
            "<strong>UNFIT: devices refuse this build.</strong><p>mean mask IoU &lt; 0.95</p>",
            "<td>13.0 MB</td><td>at most 12.0 MB</td><td class=\"bad\">NO</td>",
            "a &amp; b",
            "Not for diagnostic use.",
            "only int8 (false positive)",
            "aria-label=\"Frame 1, prompted by a box: differences. 39 px only int8, 39 px only f32,",
        ] {
            assert!(html.contains(expected), "{expected} is missing");
        }
        // The page runs no script and loads nothing.
        for unwanted in ["<script", "http:", "https:", "src=", "url("] {
            assert!(!html.contains(unwanted), "{unwanted}");
        }
        assert_eq!(html.matches("data:image/jpeg;base64,").count(), phantoms.len());
        assert_eq!(html.matches("<figure>").count(), 2 * phantoms.len());
    }
}
