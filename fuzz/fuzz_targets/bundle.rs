//! Build files: complete ones, and the parts that are protected by hashes.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use medsa_bundle::{Acceptance, Build, FileEntry, Limits, sha256_hex};
use serde_json::{Value, json};

fuzz_target!(|data: &[u8]| {
    // The input as a complete build, as acceptance vectors, and as a manifest.
    read(data);
    let manifest = manifest(data);
    read(&archive(manifest.to_string().as_bytes(), data));
    read(&archive(data, b"{\"vectors\":[]}"));
});

/// Asserts that a build that can be read is unchanged by writing and reading it again.
fn read(bytes: &[u8]) {
    let read = |bytes: &[u8]| Build::read_from(bytes, Path::new("fuzz.medsa"), &Limits::default());
    let Ok(build) = read(bytes) else { return };
    for vector in &build.acceptance().vectors {
        let _ = vector.mask(160 * 120);
    }
    let Ok(again) = build.write_to(Vec::new()) else { return };
    assert_eq!(read(&again).expect("what was written is a build"), build);
}

const FILES: [&str; 2] = ["encoder.onnx", "decoder.onnx"];

/// Manifest of a build with these acceptance vectors.
fn manifest(acceptance: &[u8]) -> Value {
    let entry = |data: &[u8]| json!(FileEntry::of(data));
    let origin = json!({"name": "base", "sha256": "00"});
    json!({
        "format": 2,
        "name": "fuzz",
        "version": "1.0.0",
        "min_edge_version": "0.1.0",
        "base": origin,
        "adapter": null,
        "preprocess": {"input_size": 64, "normalization": "min-max"},
        "precision": "f32",
        "agreement": null,
        "files": {
            FILES[0]: entry(b""), FILES[1]: entry(b""), Acceptance::FILE: entry(acceptance),
        },
    })
}

fn archive(manifest: &[u8], acceptance: &[u8]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let hash = format!("{}  manifest.json\n", sha256_hex(manifest));
    for (name, data) in [
        ("manifest.json", manifest),
        ("manifest.sha256", hash.as_bytes()),
        (FILES[0], b""),
        (FILES[1], b""),
        (Acceptance::FILE, acceptance),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_size(data.len() as u64);
        archive.append_data(&mut header, name, data).expect("a vector can be written");
    }
    archive.into_inner().expect("a vector can be written")
}
