//! Somebody serves the latest of some metadata together with older of other, each rightly signed.

use std::fs;

use crate::lab::{Lab, assert_says};

#[test]
fn metadata_that_never_was_together_is_refused() {
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
fn an_older_timestamp_finds_the_snapshot_of_its_time_only() {
    let lab = Lab::new();
    let old = lab.record();
    lab.publish("2.0.0");
    fs::copy(old.metadata("timestamp.json"), lab.metadata("timestamp.json")).unwrap();
    fs::copy(lab.metadata("3.snapshot.json"), lab.metadata("2.snapshot.json")).unwrap();
    assert_says(&lab.sees(), "2.snapshot.json");
}
