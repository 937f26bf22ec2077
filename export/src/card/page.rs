//! Layout shared by all cards: one self-contained page for a large screen, a phone or paper, in
//! light or dark mode.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use medsa_bundle::{FileEntry, Manifest, Precision};

const STYLE: &str = include_str!("card.css");

/// A complete page about a build.
pub fn page(manifest: &Manifest, subtitle: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (manifest.name) " " (manifest.version) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (manifest.name) " " (manifest.version) }
                    p { (subtitle) }
                    (fitness(manifest))
                }
                (body)
                footer { "medsa-export " (env!("CARGO_PKG_VERSION")) }
            }
        }
    };
    page.into_string()
}

fn fitness(manifest: &Manifest) -> Markup {
    html! {
        @if !manifest.unfit.is_empty() {
            div.notice.bad {
                strong { "UNFIT: devices refuse this build." }
                @for missed in &manifest.unfit { p { (missed) } }
            }
        }
        div.notice { strong { "Not for diagnostic use." } }
    }
}

/// Origin of a build: models, base, adapter and settings. `files` are its models.
pub fn origin<'a>(
    manifest: &Manifest,
    files: impl IntoIterator<Item = (&'a str, FileEntry)>,
) -> Markup {
    let precision = match manifest.precision {
        Precision::F32 => "32-bit float",
        Precision::Int8 => "int8, with a few layers in 32-bit float",
    };
    let side = manifest.preprocess.input_size;
    html! {
        dl {
            dt { "Base model" }
            dd { (manifest.base.name) code { "SHA-256 " (manifest.base.sha256) } }
            dt { "Adapter" }
            @match &manifest.adapter {
                Some(adapter) => { dd { (adapter.name) code { "SHA-256 " (adapter.sha256) } } }
                None => { dd { "none (the base model as published)" } }
            }
            dt { "Input" }
            dd { (side) " x " (side) " px" }
            dt { "Arithmetic" }
            dd { (precision) }
            @for (name, file) in files {
                dt { (name) }
                dd { (megabytes(file.bytes)) code { "SHA-256 " (file.sha256) } }
            }
        }
    }
}

/// A size in MB as text.
pub fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// A table. Every row must have as many cells as the head.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> Markup {
    html! {
        div.wide {
            table {
                thead { tr { @for title in head { th scope="col" { (title) } } } }
                tbody {
                    @for row in rows { tr { @for cell in row { td { (cell) } } } }
                }
            }
        }
    }
}
