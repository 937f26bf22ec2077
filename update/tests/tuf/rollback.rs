//! Rollback: an attacker serves an older repository, whose builds have known faults.

use std::fs;

use medsa_update::{Role, Terms};

use crate::lab::{Lab, assert_says};

#[test]
fn older_repository_is_refused() {
    let lab = Lab::new();
    let old = lab.record();
    lab.publish("2.0.0");
    assert_eq!(lab.sees().unwrap(), "2.0.0");
    lab.replay(&old);
    assert_says(
        &lab.sees(),
        "Found version 2 of timestamp metadata when we had previously fetched version 3",
    );
    // A device without memory cannot know.
    fs::remove_dir_all(lab.path("device/trust")).unwrap();
    assert_eq!(lab.sees().unwrap(), "1.0.0");
}

#[test]
fn older_repository_is_refused_after_keys_were_replaced() {
    let lab = Lab::new();
    let terms = Terms::default();
    lab.repository.replace_keys(Role::Online, &lab.keys(), &lab.path("keys"), &terms).unwrap();
    lab.publish("2.0.0");
    let old = lab.record();
    lab.publish("3.0.0");
    assert_eq!(lab.sees().unwrap(), "3.0.0");
    lab.replay(&old);
    assert_says(
        &lab.sees(),
        "version 4 of timestamp metadata when we had previously fetched version 5",
    );
}

#[test]
fn older_repository_is_refused_without_its_newer_root() {
    let lab = Lab::new();
    let old = lab.record();
    let terms = Terms::default();
    lab.repository.replace_keys(Role::Online, &lab.keys(), &lab.path("keys"), &terms).unwrap();
    assert_eq!(lab.sees().unwrap(), "1.0.0");
    lab.replay(&old);
    // The old keys are no longer trusted.
    assert_says(&lab.sees(), "Failed to verify timestamp metadata");
}

#[test]
fn damaged_memory_of_the_repository_is_an_error() {
    let lab = Lab::new();
    lab.sees().unwrap();
    let trust = lab.path("device/trust/trust.json");
    let whole = fs::read(&trust).unwrap();
    fs::write(&trust, &whole[..whole.len() / 2]).unwrap();
    assert_says(&lab.sees(), "trust.json: its content does not match its checksum");
}
