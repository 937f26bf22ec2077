//! A build is read completely and unaltered, or refused.

mod small;

use std::fs;
use std::path::{Path, PathBuf};

use medsa_bundle::{
    Acceptance, AcceptanceVector, Build, Error, LatencyLimits, Limits, Manifest, sha256_hex,
};
use proptest::collection::vec;
use proptest::prelude::*;

#[test]
fn written_build_is_read_back() {
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
fn altered_model_is_refused_by_its_hash() {
    let place = Place::new();
    place.alter(|bytes| replace(bytes, b"encoder bytes", b"encodeR bytes"));
    let error = Build::read(&place.path, &Limits::default()).unwrap_err();
    assert!(matches!(&error, Error::Hash { file, .. } if file == "encoder.onnx"), "{error}");
}

#[test]
fn build_truncated_at_any_length_is_refused() {
    let place = Place::new();
    let whole = fs::read(&place.path).unwrap();
    // The two zero blocks at the end of a tar archive contain nothing.
    for length in (0..whole.len() - 1024).step_by(97) {
        fs::write(&place.path, &whole[..length]).unwrap();
        let error = Build::read(&place.path, &Limits::default()).unwrap_err();
        assert!(error.to_string().contains("build.medsa"), "{error}");
    }
}

#[test]
fn later_formats_and_unknown_keys_are_named() {
    let place = Place::new();
    place.alter_manifest(br#""format": 2"#, br#""format": 9"#);
    let error = Build::read(&place.path, &Limits::default()).unwrap_err();
    assert!(error.to_string().ends_with("manifest.json: format is 9, expected 2"), "{error}");
    let place = Place::new();
    place.alter_manifest(br#""input_size""#, br#""inqut_size""#);
    let error = Build::read(&place.path, &Limits::default()).unwrap_err();
    assert!(error.to_string().contains("inqut_size"), "{error}");
}

#[test]
fn altered_manifest_is_refused_by_its_hash() {
    let place = Place::new();
    place.alter(|bytes| replace(bytes, br#""version": "1.0.0""#, br#""version": "9.0.0""#));
    let error = Build::read(&place.path, &Limits::default()).unwrap_err();
    assert!(matches!(&error, Error::Hash { file, .. } if file == "manifest.json"), "{error}");
}

#[test]
fn sizes_are_limited_before_reading() {
    let place = Place::new();
    let limits = Limits { file_bytes: 5, ..Limits::default() };
    let error = Build::read(&place.path, &limits).unwrap_err();
    assert!(matches!(error, Error::TooLarge { found: 13, limit: 5, .. }), "{error}");
}

#[test]
fn counts_are_limited() {
    let vector = AcceptanceVector {
        frame: "acceptance/0.png".into(),
        clicks: vec![[1.0, 2.0]; 3],
        bbox: None,
        mask_runs: vec![1; 9],
        min_iou: 0.9,
    };
    let latency = LatencyLimits { encoder_ms: 1.0, decoder_ms: 1.0 };
    let boards = ["a", "b"].map(|name| (name.to_owned(), latency));
    let acceptance = Acceptance { vectors: vec![vector; 2], boards: boards.into() };
    let build = small::build(small::manifest("test", "1.0.0"), acceptance);
    let all = Limits::default();
    for (limits, expected) in [
        (Limits { files: 2, ..all.clone() }, "3 files, at most 2 are accepted"),
        (Limits { name_bytes: 14, ..all.clone() }, "15 bytes of a file's name, at most 14"),
        (Limits { acceptance_bytes: 9, ..all.clone() }, "acceptance.json has"),
        (Limits { vectors: 1, ..all.clone() }, "2 acceptance vectors, at most 1"),
        (Limits { clicks: 2, ..all.clone() }, "3 clicks of an acceptance vector, at most 2"),
        (Limits { runs: 8, ..all.clone() }, "9 runs of an acceptance mask, at most 8"),
        (Limits { boards: 1, ..all.clone() }, "2 boards with limits, at most 1"),
    ] {
        let bytes = build.write_to(Vec::new()).unwrap();
        let error = Build::read_from(&bytes[..], Path::new("m.medsa"), &limits).unwrap_err();
        assert!(error.to_string().starts_with(&format!("m.medsa: {expected}")), "{error}");
    }
}

proptest! {
    #[test]
    fn damage_anywhere_gives_an_error_or_the_same_content(damages in vec(damage(), 1..4)) {
        let build = small::build(small::manifest("test", "1.0.0"), Acceptance::default());
        let mut bytes = build.write_to(Vec::new()).unwrap();
        for damage in damages {
            damage.apply(&mut bytes);
        }
        if let Ok(read) = Build::read_from(&bytes[..], Path::new("m.medsa"), &Limits::default()) {
            prop_assert_eq!(read, build);
        }
    }
}

/// A kind of damage; positions are fractions of the whole length.
#[derive(Clone, Debug)]
enum Damage {
    /// Cuts off the end.
    Truncate(f64),
    /// Flips bits of a byte.
    Flip(f64, u8),
    /// Copies a piece to another position, either overwriting or inserting it.
    Splice { from: f64, to: f64, length: usize, over: bool },
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = || 0.0..1.0;
    // Often whole blocks of the archive.
    let length = prop_oneof![1usize..40, (1usize..4).prop_map(|blocks| 512 * blocks)];
    prop_oneof![
        place().prop_map(Damage::Truncate),
        (place(), 1..=u8::MAX).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        (place(), place(), length, any::<bool>())
            .prop_map(|(from, to, length, over)| { Damage::Splice { from, to, length, over } }),
    ]
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let at = |place: f64| (place * bytes.len() as f64) as usize;
        match *self {
            Self::Truncate(place) => bytes.truncate(at(place)),
            Self::Flip(place, bits) => {
                let at = at(place);
                bytes[at] ^= bits;
            }
            Self::Splice { from, to, length, over } => {
                // Aligned to blocks if the piece consists of blocks.
                let grid = if length % 512 == 0 { 512 } else { 1 };
                let (from, to) = (at(from) / grid * grid, at(to) / grid * grid);
                let piece = bytes[from..(from + length).min(bytes.len())].to_vec();
                let replaced = if over { piece.len() } else { 0 };
                bytes.splice(to..(to + replaced).min(bytes.len()), piece);
            }
        }
    }
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
fn file_that_is_not_an_archive_is_refused() {
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
        small::build(small::manifest("test", "1.0.0"), Acceptance::default()).write(&path).unwrap();
        Self { path, _folder: folder }
    }

    fn alter(&self, change: impl Fn(&mut [u8])) {
        let mut bytes = fs::read(&self.path).unwrap();
        change(&mut bytes);
        fs::write(&self.path, bytes).unwrap();
    }

    /// Alters the manifest and updates its hash, like an attacker would.
    fn alter_manifest(&self, from: &[u8], to: &[u8]) {
        self.alter(|bytes| {
            let header = tar::Header::from_byte_slice(&bytes[..512]);
            let end = 512 + header.entry_size().unwrap() as usize;
            let before = sha256_hex(&bytes[512..end]);
            replace(bytes, from, to);
            let after = sha256_hex(&bytes[512..end]);
            replace(bytes, before.as_bytes(), after.as_bytes());
        });
    }
}

fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to);
}
