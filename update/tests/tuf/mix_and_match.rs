//! Mix and match: an attacker combines valid metadata of different publications.

use std::fs;

use crate::lab::{Lab, assert_says};

#[test]
fn metadata_of_different_publications_is_refused() {
    for role in ["targets", "snapshot"] {
        let lab = Lab::new();
        let old = lab.record();
        lab.publish("2.0.0");
        let (old_name, name) = (format!("2.{role}.json"), format!("3.{role}.json"));
        fs::copy(old.metadata(&old_name), lab.metadata(&name)).unwrap();
        let said = lab.sees();
        assert_says(&said, &name);
        assert_says(&said, "ash mismatch");
    }
}

#[test]
fn older_timestamp_with_a_newer_snapshot_is_refused() {
    let lab = Lab::new();
    let old = lab.record();
    lab.publish("2.0.0");
    fs::copy(old.metadata("timestamp.json"), lab.metadata("timestamp.json")).unwrap();
    fs::copy(lab.metadata("3.snapshot.json"), lab.metadata("2.snapshot.json")).unwrap();
    assert_says(&lab.sees(), "2.snapshot.json");
}
