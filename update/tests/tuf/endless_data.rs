//! Endless data: an attacker sends files without end, to fill memory or disk.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::lab::{Lab, assert_says};

/// Makes a file longer than any limit.
fn never_ends(path: &Path) {
    File::options().create(true).append(true).open(path).unwrap().set_len(1 << 43).unwrap();
}

#[test]
fn devices_and_pipes_in_a_repository_are_not_opened() {
    let lab = Lab::new();
    let path = lab.metadata("timestamp.json");
    fs::remove_file(&path).unwrap();
    symlink("/dev/zero", &path).unwrap();
    assert_says(&lab.sees(), "not a plain file");
    // Opening a pipe would wait for a writer.
    fs::remove_file(&path).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert_says(&lab.sees(), "not a plain file");
}

#[test]
fn endless_metadata_is_refused() {
    for name in ["2.root.json", "timestamp.json", "2.snapshot.json", "2.targets.json"] {
        let lab = Lab::new();
        never_ends(&lab.metadata(name));
        let said = lab.sees();
        assert_says(&said, name);
        assert_says(&said, "aximum size");
    }
}

#[test]
fn endless_build_is_refused() {
    let lab = Lab::new();
    let target = fs::read_dir(lab.path("repository/targets")).unwrap().next().unwrap().unwrap();
    let bytes = fs::metadata(target.path()).unwrap().len();
    never_ends(&target.path());
    let said = lab.installs().map_err(|error| error.to_string());
    assert_says(&said, "aximum size");
    let written = fs::metadata(lab.path("device/build.new")).unwrap().len();
    assert!(written <= bytes, "{written}");
}
