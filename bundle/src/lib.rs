//! Adapter builds (`*.medsa`): a manifest, two models and further files in one file, which is read
//! as hostile input.
//!
//! A build is a tar archive. It starts with `manifest.json`, followed by its SHA-256 in
//! `manifest.sha256` and by the files that it lists, each with its size and SHA-256. Equal content
//! gives equal bytes.
//!
//! **Architecture invariant:** this crate knows no runtime. The content of model files is opaque to
//! it.
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
