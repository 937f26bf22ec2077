//! Formats of the state and of the memory of the repository: files of older programs, of newer ones
//! with more fields, and of newer ones in another format.
//!
//! `tests/data/*-unnumbered.json` were written by the last program without format numbers.

use std::fs;
use std::path::Path;
use std::time::Duration;

use medsa_bundle::Limits;
use medsa_update::{Client, Folder, Installed, Name, Permit, Phase, Slots, Source, WithoutClock};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use crate::{any, build, said};

/// State with 1.0.0 confirmed, 2.1.0 on trial after one start, and 2.0.0 failed.
pub const UNNUMBERED_STATE: &[u8] = include_bytes!("../data/state-unnumbered.json");

/// Memory of a repository that was published on 2100-01-01.
pub const UNNUMBERED_TRUST: &[u8] = include_bytes!("../data/trust-unnumbered.json");

/// Content of a file.
pub fn content(file: &[u8]) -> Value {
    let newline = file.iter().position(|&byte| byte == b'\n').unwrap();
    serde_json::from_slice(&file[newline..]).unwrap()
}

/// File with this content and the right checksum.
pub fn file(content: &Value) -> Vec<u8> {
    let json = serde_json::to_vec(content).unwrap();
    let sha256 = hex::encode(Sha256::digest(&json));
    [sha256.as_bytes(), b"\n", &json].concat()
}

/// Adds the fields of a newer program, at every level.
pub fn extend(state: &mut Value) {
    state["remark"] = json!({ "of": ["a", "newer", "program"] });
    for slot in ["a", "b"] {
        if state[slot].is_object() {
            state[slot]["installed_at"] = json!(format!("2027-01-01, {slot}"));
        }
    }
    if state["phase"].is_object() {
        state["phase"]["trial"]["reason"] = json!("scheduled");
    }
}

fn slots(folder: &Path) -> Slots<Folder> {
    Slots::open(Folder::open(folder).unwrap()).unwrap()
}

/// Folder with this file of state.
fn device(state: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("state.json"), state).unwrap();
    for (slot, version) in [("a", "1.0.0"), ("b", "2.1.0")] {
        fs::write(folder.path().join(format!("{slot}.medsa")), build(version).0).unwrap();
    }
    folder
}

fn state_of(folder: &Path) -> Value {
    content(&fs::read(folder.join("state.json")).unwrap())
}

#[test]
fn unnumbered_state_is_read_and_gets_a_number_with_the_next_write() {
    assert_eq!(content(UNNUMBERED_STATE)["format"], Value::Null);
    let device = device(UNNUMBERED_STATE);
    let mut slots = slots(device.path());
    let state = slots.state().clone();
    let installed = |version: &str| -> Installed { build(version).1.build };
    assert_eq!(state.a, Some(installed("1.0.0")));
    assert_eq!(state.b, Some(installed("2.1.0")));
    assert_eq!((state.current, state.phase), (Some(Name::B), Phase::Trial { starts: 1 }));
    assert_eq!(state.floors["nerve"].to_string(), "1.0.0");
    assert_eq!(state.failed, [installed("2.0.0").sha256]);
    // Reading alone changes nothing.
    assert_eq!(fs::read(device.path().join("state.json")).unwrap(), UNNUMBERED_STATE);
    slots.start().unwrap();
    let mut expected = content(UNNUMBERED_STATE);
    expected["format"] = json!(1);
    expected["phase"]["trial"]["starts"] = json!(2);
    assert_eq!(state_of(device.path()), expected);
}

#[test]
fn unknown_fields_survive_writes_as_long_as_what_they_describe() {
    let mut state = content(UNNUMBERED_STATE);
    state["format"] = json!(1);
    extend(&mut state);
    let device = device(&file(&state));
    let mut slots = slots(device.path());
    slots.start().unwrap();
    state["phase"]["trial"]["starts"] = json!(2);
    assert_eq!(state_of(device.path()), state);
    // The trial ends, and its fields with it.
    slots.confirm().unwrap();
    state["phase"] = json!("settled");
    state["floors"]["nerve"] = json!("2.1.0");
    assert_eq!(state_of(device.path()), state);
    slots.change().unwrap();
    state["phase"] = json!({ "trial": { "starts": 0 } });
    state["current"] = json!("a");
    assert_eq!(state_of(device.path()), state);
    slots.roll_back(Permit::default()).unwrap();
    // A build goes, and its fields with it.
    let (bytes, offer) = build("3.0.0");
    slots.stage(&offer, &mut &bytes[..], Permit::default(), &mut any).unwrap();
    let left = state_of(device.path());
    assert_eq!(
        left["a"],
        json!({ "name": "nerve", "version": "3.0.0", "sha256": offer.build.sha256 })
    );
    assert_eq!((&left["b"], &left["remark"]), (&state["b"], &state["remark"]));
}

#[test]
fn newer_state_is_refused_and_stays_as_it_is() {
    let newer = file(&json!({ "format": 2, "slots": { "a": "something", "c": "else" } }));
    let device = device(&newer);
    let refused = said(Slots::open(Folder::open(device.path()).unwrap()));
    let path = device.path().join("state.json");
    assert_eq!(
        refused,
        format!(
            "cannot read {}: its format is 2, and this program supports formats up to 1. It needs \
             medsa-edge that supports format 2: install a newer one, or remove the file and stage \
             a build again; the device then forgets which versions it has confirmed and which have \
             failed",
            path.display()
        )
    );
    assert_eq!(fs::read(&path).unwrap(), newer);
    // Without the file, a build can be installed.
    fs::remove_file(&path).unwrap();
    let (bytes, offer) = build("3.0.0");
    let mut slots = slots(device.path());
    slots.stage(&offer, &mut &bytes[..], Permit::default(), &mut any).unwrap();
    assert_eq!(slots.switch().unwrap().build, offer.build);
}

#[test]
fn unnumbered_memory_of_the_repository_counts() {
    assert_eq!(content(UNNUMBERED_TRUST)["format"], Value::Null);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("trust.json"), UNNUMBERED_TRUST).unwrap();
    let refused = look(folder.path());
    assert!(refused.starts_with("the clock says"), "{refused}");
    assert!(refused.contains("but it is 2100-01-01T00:00:00Z or later"), "{refused}");
    assert_eq!(fs::read(folder.path().join("trust.json")).unwrap(), UNNUMBERED_TRUST);
}

#[test]
fn newer_memory_of_the_repository_is_refused_and_stays_as_it_is() {
    let newer = file(&json!({ "format": 7, "known": "for another program" }));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trust.json");
    fs::write(&path, &newer).unwrap();
    let refused = look(folder.path());
    let expected = format!(
        "cannot read {}: its format is 7, and this program supports formats up to 1. It needs \
         medsa-edge that supports format 7: install a newer one, or remove the file; the device \
         then trusts the root that it was shipped with",
        path.display()
    );
    assert!(refused.starts_with(&expected), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), newer);
}

/// Result of a look at a repository that does not exist, with the memory in a folder.
pub fn look(memory: &Path) -> String {
    let source = Source {
        url: Url::parse("file:///does/not/exist/").unwrap(),
        root: Vec::new(),
        without_clock: WithoutClock::Refuse,
        limits: Limits::default(),
        patience: Duration::from_secs(60),
    };
    let mut client = Client::open(source, memory).unwrap();
    let seen = client.look().map(drop);
    said(seen)
}
