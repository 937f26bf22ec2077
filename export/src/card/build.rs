//! The card in a build: what it is, what it must not be used for, and what was measured.

use std::collections::BTreeMap;

use maud::{Markup, html};
use medsa_bundle::{Agreement, FileEntry, Manifest, QuantizationReport};
use medsa_trainer::TrainingRecord;

use super::page::{self, table};
use super::picture::{self, Names, Scene};
use crate::error::Error;
use crate::folding::Folded;
use crate::limits::Judgement;

/// What the card tells.
pub struct BuildCard<'a> {
    /// The build.
    pub manifest: &'a Manifest,
    /// How its adapter was trained, if that is known.
    pub training: Option<&'a TrainingRecord>,
    /// Its models, by name.
    pub models: &'a BTreeMap<String, Vec<u8>>,
    /// What folding saved.
    pub folded: &'a Folded,
    /// Its limits.
    pub limits: &'a [Judgement],
    /// Its acceptance frames.
    pub scenes: &'a [Scene],
}

impl BuildCard<'_> {
    /// Its file in a build.
    pub const FILE: &'static str = "card.html";

    /// The page.
    ///
    /// # Errors
    /// The PNG encoder's.
    pub fn html(&self) -> Result<String, Error> {
        let manifest = self.manifest;
        let models = self.models.iter().map(|(name, data)| (name.as_str(), FileEntry::of(data)));
        let body = html! {
            h2 { "What it is for" }
            (self.purpose())
            h2 { "What it is" }
            (page::origin(manifest, models))
            @if !self.limits.is_empty() {
                h2 { "Limits" }
                (limits(self.limits))
            }
            @if let (Some(agreement), Some(quantization)) =
                (&manifest.agreement, &manifest.quantization)
            {
                h2 { "What 8 bits cost" }
                (in_8_bits(agreement, quantization))
            }
            h2 { "What folding saved" }
            (folding(self.folded))
            h2 { "Synthetic frames" }
            p {
                "Pictures of nobody: drawn ellipses in speckle, on which a device must answer as \
                 below before it runs this build. They show whether the arithmetic holds, not how \
                 good the network is on patients."
            }
            (picture::gallery(self.scenes, &NAMES)?)
        };
        let subtitle = "A network that outlines what a person points at, in one picture at a time";
        Ok(page::page(manifest, subtitle, &body))
    }

    fn purpose(&self) -> Markup {
        let prompts = if self.manifest.adapter.is_some() {
            "It answers a click on a structure, or a box around it, with an outline."
        } else {
            "It answers a box around a structure with an outline. Clicks need an adapter."
        };
        html! {
            p { (prompts) }
            @if let Some(TrainingRecord { task, classes, .. }) = self.training {
                p { "Trained for: " (task) " (" (classes.join(", ")) "). On anything else its \
                     answers were never measured." }
            }
            p {
                "It must not be used to find, name, measure or exclude disease, nor without a \
                 person who looks at every outline: it always answers, and can be wrong while its \
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

fn in_8_bits(agreement: &Agreement, quantization: &QuantizationReport) -> Markup {
    html! {
        dl {
            dt { "Overlap of masks (IoU) with 32-bit float" }
            dd {
                (format!("{:.4} mean, {:.4} lowest", agreement.mean_iou, agreement.min_iou))
                ", of " (agreement.masks) " masks on " (agreement.frames) " calibration frames"
            }
            dt { "In 8 bits" }
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
    fn a_missed_limit_is_in_plain_sight_and_names_are_text() {
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
        let answers = |shift: usize| -> Vec<acceptance::Masks> {
            let mask = |truth: &Array2<bool>| {
                let (height, width) = truth.dim();
                Array2::from_shape_fn((height, width), |(y, x)| truth[[y, (x + shift) % width]])
            };
            phantoms.iter().map(|phantom| vec![mask(&phantom.truth); 2]).collect()
        };
        let scenes = acceptance::scenes(&phantoms, &answers(0), Some(&answers(1)));
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
            "aria-label=\"Frame 1, asked with a box: differences. 39 px only int8, 39 px only f32,",
        ] {
            assert!(html.contains(expected), "{expected} is missing");
        }
        // Nothing runs, and nothing is fetched.
        for unwanted in ["<script", "http:", "https:", "src=", "url("] {
            assert!(!html.contains(unwanted), "{unwanted}");
        }
        assert_eq!(html.matches("data:image/jpeg;base64,").count(), phantoms.len());
        assert_eq!(html.matches("<figure>").count(), 2 * phantoms.len());
    }
}
