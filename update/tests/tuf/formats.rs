//! Memory of the repository across programs: fields and metadata of a newer one are kept.

use std::fs;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::lab::Lab;

#[test]
fn unknown_fields_and_metadata_survive_an_update() {
    let lab = Lab::new();
    assert_eq!(lab.sees().unwrap(), "1.0.0");
    let path = lab.path("device/trust/trust.json");
    let (_, text) = split(&fs::read_to_string(&path).unwrap());
    let mut memory: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(memory["format"], 1);
    // Without a number: as the last program without numbers wrote it.
    memory.as_object_mut().unwrap().remove("format");
    memory["mirrors"] = json!(["https://builds.example/medsa"]);
    memory["metadata"]["delegated.json"] = json!("{}");
    let text = memory.to_string();
    fs::write(&path, format!("{}\n{text}", hex::encode(Sha256::digest(&text)))).unwrap();
    let old = lab.record();
    lab.publish("2.0.0");
    assert_eq!(lab.sees().unwrap(), "2.0.0");
    let (sum, text) = split(&fs::read_to_string(&path).unwrap());
    assert_eq!(sum, hex::encode(Sha256::digest(&text)));
    let written: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(written["format"], 1);
    for kept in ["/mirrors", "/metadata/delegated.json"] {
        assert_eq!(written.pointer(kept), memory.pointer(kept), "{kept}");
    }
    // The device still refuses the older repository.
    lab.replay(&old);
    assert!(lab.sees().unwrap_err().contains("when we had previously fetched version 3"));
}

/// Checksum and content.
fn split(file: &str) -> (String, String) {
    let (sum, content) = file.split_once('\n').unwrap();
    (sum.to_owned(), content.to_owned())
}
