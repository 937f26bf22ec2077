//! A small build, for tests of this crate and of crates that only handle builds as files.

use std::collections::BTreeMap;

use medsa_bundle::{Acceptance, Build, Manifest, Origin, Precision};
use medsa_sam::image::{Fit, Normalization, Preprocess};

/// Manifest of a small build.
pub fn manifest(name: &str, version: &str) -> Manifest {
    Manifest {
        format: Manifest::FORMAT,
        name: name.into(),
        version: version.into(),
        min_edge_version: "0.1.0".into(),
        base: Origin { name: "base".into(), sha256: "00".repeat(32) },
        adapter: None,
        classes: Vec::new(),
        preprocess: Preprocess {
            input_size: 256,
            normalization: Normalization::MinMax,
            fit: Fit::Pad,
        },
        precision: Precision::F32,
        agreement: None,
        quantization: None,
        unfit: Vec::new(),
        files: BTreeMap::new(),
    }
}

/// The small build.
pub fn build(manifest: Manifest, acceptance: Acceptance) -> Build {
    let files = BTreeMap::from([
        (Manifest::ENCODER.to_owned(), b"encoder bytes".to_vec()),
        (Manifest::DECODER.to_owned(), b"decoder bytes".to_vec()),
    ]);
    Build::new(manifest, files, acceptance)
}
