//! A build is read whole and unaltered or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use medsa_bundle::{Acceptance, Build, Error, Limits, Manifest, Origin, Precision};
use medsa_sam::image::{Fit, Normalization, Preprocess};

#[test]
fn what_was_written_is_read() {
    let place = Place::new();
    let read = Build::read(&place.path, &Limits::default()).unwrap();
    assert_eq!(read.file(Manifest::ENCODER), Some(&b"encoder bytes"[..]));
    assert_eq!(read.manifest().files.len(), 3);
}

#[test]
fn same_content_gives_same_bytes() {
    let (a, b) = (Place::new(), Place::new());
    assert_eq!(fs::read(&a.path).unwrap(), fs::read(&b.path).unwrap());
}

#[test]
fn an_altered_model_is_refused_by_its_hash() {
    let place = Place::new();
    place.alter(|bytes| replace(bytes, b"encoder bytes", b"encodeR bytes"));
    let error = Build::read(&place.path, &Limits::default()).unwrap_err();
    assert!(matches!(&error, Error::Hash { file, .. } if file == "encoder.onnx"), "{error}");
}

#[test]
fn a_truncated_build_is_refused_at_every_length() {
    let place = Place::new();
    let whole = fs::read(&place.path).unwrap();
    // The two zero blocks at the end of a tar archive carry nothing.
    for length in (0..whole.len() - 1024).step_by(97) {
        fs::write(&place.path, &whole[..length]).unwrap();
        let error = Build::read(&place.path, &Limits::default()).unwrap_err();
        assert!(error.to_string().contains("build.medsa"), "{error}");
    }
}

#[test]
fn later_formats_and_unknown_keys_are_named() {
    let place = Place::new();
    place.alter(|bytes| replace(bytes, br#""format": 1"#, br#""format": 9"#));
    let error = Build::read(&place.path, &Limits::default()).unwrap_err();
    assert!(error.to_string().ends_with("manifest.json: format is 9, expected 1"), "{error}");
    let place = Place::new();
    place.alter(|bytes| replace(bytes, br#""input_size""#, br#""inqut_size""#));
    let error = Build::read(&place.path, &Limits::default()).unwrap_err();
    assert!(error.to_string().contains("inqut_size"), "{error}");
}

#[test]
fn sizes_are_limited_before_reading() {
    let place = Place::new();
    let limits = Limits { file_bytes: 5, ..Limits::default() };
    let error = Build::read(&place.path, &limits).unwrap_err();
    assert!(matches!(error, Error::TooLarge { found: 14, limit: 5, .. }), "{error}");
}

#[test]
fn acceptance_vectors_are_hashed_and_read_back() {
    let place = Place::new();
    place.alter(|bytes| replace(bytes, br#"{"vectors":[]}"#, br#"{"vectors":{}}"#));
    let error = Build::read(&place.path, &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("acceptance.json has SHA-256"), "{error}");
    let build = Build::read(&Place::new().path, &Limits::default()).unwrap();
    assert_eq!(build.acceptance(), &Acceptance::default());
}

#[test]
fn a_file_that_is_no_archive_is_not_a_build() {
    let place = Place::new();
    fs::write(&place.path, vec![7u8; 4096]).unwrap();
    let error = Build::read(&place.path, &Limits::default()).unwrap_err();
    assert!(matches!(error, Error::NotABuild { .. }), "{error}");
}

/// A small build on disk.
struct Place {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("build.medsa");
        let origin = Origin { name: "base".into(), sha256: "00".repeat(32) };
        let manifest = Manifest {
            format: Manifest::FORMAT,
            name: "test".into(),
            version: "1.0.0".into(),
            min_edge_version: "0.1.0".into(),
            base: origin,
            adapter: None,
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
        };
        let files = BTreeMap::from([
            (Manifest::ENCODER.to_owned(), b"encoder bytes".to_vec()),
            (Manifest::DECODER.to_owned(), b"decoder bytes".to_vec()),
        ]);
        Build::new(manifest, files, Acceptance::default()).write(&path).unwrap();
        Self { path, _folder: folder }
    }

    fn alter(&self, change: impl Fn(&mut [u8])) {
        let mut bytes = fs::read(&self.path).unwrap();
        change(&mut bytes);
        fs::write(&self.path, bytes).unwrap();
    }
}

fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to);
}
