//! Somebody sends without end, until memory or disk are full.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::lab::{Lab, assert_says};

/// Lets a file never end.
fn never_ends(path: &Path) {
    let _ = fs::remove_file(path);
    symlink("/dev/zero", path).unwrap();
}

#[test]
fn metadata_without_end_is_refused() {
    for name in ["2.root.json", "timestamp.json", "2.snapshot.json", "2.targets.json"] {
        let lab = Lab::new();
        never_ends(&lab.metadata(name));
        let said = lab.sees();
        assert_says(&said, name);
        assert_says(&said, "aximum size");
    }
}

#[test]
fn a_build_without_end_is_refused() {
    let lab = Lab::new();
    let target = fs::read_dir(lab.path("repository/targets")).unwrap().next().unwrap().unwrap();
    let bytes = fs::metadata(target.path()).unwrap().len();
    never_ends(&target.path());
    let said = lab.installs().map_err(|error| error.to_string());
    assert_says(&said, "aximum size");
    let written = fs::metadata(lab.path("device/build.new")).unwrap().len();
    assert!(written <= bytes, "{written}");
}
