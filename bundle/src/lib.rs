//! The adapter build `*.medsa`: one file with a manifest and the two models, read as if it were
//! hostile.
//!
//! A build is a tar archive: `manifest.json` first, its SHA-256 in `manifest.sha256`, then the
//! files that it lists, each with its size and SHA-256. The same content gives the same bytes.
//!
//! **Architecture invariant:** this crate knows no runtime: what is in a model file is opaque to it.
#![forbid(unsafe_code)]

mod acceptance;
mod archive;
mod error;
mod hash;
mod limits;
mod manifest;
mod read;

pub use acceptance::{Acceptance, AcceptanceVector, LatencyLimits};
pub use archive::Build;
pub use error::Error;
pub use hash::sha256_hex;
pub use limits::Limits;
pub use manifest::{Agreement, FileEntry, Manifest, Origin, Precision, QuantizationReport};
