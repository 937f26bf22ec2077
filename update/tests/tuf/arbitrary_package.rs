//! Somebody puts a build of their own in the place of one that was signed.

use std::fs;

use crate::lab::{Lab, assert_says, build};

#[test]
fn another_file_under_the_same_name_is_refused() {
    let lab = Lab::new();
    let target = fs::read_dir(lab.path("repository/targets")).unwrap().next().unwrap().unwrap();
    // A whole build, of the same size.
    let other = build("liver", "6.6.6", Vec::new()).write_to(Vec::new()).unwrap();
    assert_eq!(fs::metadata(target.path()).unwrap().len(), other.len() as u64);
    fs::write(target.path(), other).unwrap();
    let error = lab.installs().map_err(|error| error.to_string());
    assert_says(&error, "ash mismatch");
    assert_eq!(lab.slots().state().in_use(), None);
}

#[test]
fn another_list_is_refused_even_if_the_online_key_was_stolen() {
    let lab = Lab::new();
    let honest = fs::read(lab.metadata("2.targets.json")).unwrap();
    let text = String::from_utf8(honest.clone()).unwrap().replace("1.0.0", "6.6.6");
    fs::write(lab.metadata("2.targets.json"), text).unwrap();
    assert_says(&lab.sees(), "2.targets.json");
    fs::write(lab.metadata("2.targets.json"), honest).unwrap();
    // With the stolen key, the snapshot and the timestamp agree with the list.
    lab.relist(&[], |targets| targets.targets.values_mut().for_each(|target| target.length = 666));
    assert_says(&lab.sees(), "Failed to verify targets metadata: Signature threshold of 1 not met");
}
