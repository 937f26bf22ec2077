//! Arbitrary package: an attacker replaces a signed build by their own.

use std::fs;

use crate::lab::{Lab, assert_says, build};

#[test]
fn replaced_build_is_refused() {
    let lab = Lab::new();
    let target = fs::read_dir(lab.path("repository/targets")).unwrap().next().unwrap().unwrap();
    // A valid build of the same size.
    let other = build("liver", "6.6.6", Vec::new()).write_to(Vec::new()).unwrap();
    assert_eq!(fs::metadata(target.path()).unwrap().len(), other.len() as u64);
    fs::write(target.path(), other).unwrap();
    let error = lab.installs().map_err(|error| error.to_string());
    assert_says(&error, "ash mismatch");
    assert_eq!(lab.slots().state().in_use(), None);
}

#[test]
fn list_without_a_targets_signature_is_refused_despite_a_stolen_online_key() {
    let lab = Lab::new();
    let honest = fs::read(lab.metadata("2.targets.json")).unwrap();
    let text = String::from_utf8(honest.clone()).unwrap().replace("1.0.0", "6.6.6");
    fs::write(lab.metadata("2.targets.json"), text).unwrap();
    assert_says(&lab.sees(), "2.targets.json");
    fs::write(lab.metadata("2.targets.json"), honest).unwrap();
    // The stolen key signs a snapshot and a timestamp that agree with the list.
    lab.relist(&[], |targets| targets.targets.values_mut().for_each(|target| target.length = 666));
    assert_says(&lab.sees(), "Failed to verify targets metadata: Signature threshold of 1 not met");
}
