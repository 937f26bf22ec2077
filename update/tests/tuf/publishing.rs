//! Publication: builds that devices would refuse are refused with the reason.

use std::fs;
use std::path::PathBuf;

use medsa_bundle::{Acceptance, Build};
use medsa_update::{Repository, Terms, WithoutClock};
use url::Url;

use crate::lab::{Lab, build, sees};

#[test]
fn builds_that_devices_refuse_are_not_published() {
    let lab = Lab::new();
    let good = fs::read(lab.build("liver", "2.0.0")).unwrap();
    let file = |name: &str, bytes: &[u8]| -> PathBuf {
        let path = lab.path(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let mut corrupt = good.clone();
    let at = corrupt.windows(13).position(|bytes| bytes == b"encoder bytes").unwrap();
    corrupt[at] ^= 1;
    let oversized = lab.path("oversized.medsa");
    fs::File::create(&oversized).unwrap().set_len((1 << 30) + 1).unwrap();
    let unfit = build("liver", "2.0.0", vec!["too slow".into()]).write_to(Vec::new()).unwrap();
    let named = build("../liver", "2.0.0", Vec::new()).write_to(Vec::new()).unwrap();
    for (path, expected) in [
        (file("corrupt.medsa", &corrupt), "corrupt.medsa: encoder.onnx has SHA-256"),
        (file("cut.medsa", &good[..good.len() / 2]), "cut.medsa: not a build"),
        (oversized, "oversized.medsa: the build has 1073741825 bytes, at most 1073741824"),
        (file("unfit.medsa", &unfit), "unfit.medsa: is marked as unfit: too slow"),
        (lab.build("liver", "two"), "version is \"two\", expected as in 1.2.0"),
        (file("named.medsa", &named), "named.medsa: name is \"../liver\""),
    ] {
        let builds = [lab.build("liver", "3.0.0"), path];
        let error = lab.repository.publish(&lab.keys(), &builds, &Terms::default()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    // The valid builds beside them are not published, either.
    assert_eq!(lab.sees().unwrap(), "1.0.0");
}

#[test]
fn repository_on_a_stick_of_any_name_is_read() {
    let lab = Lab::new();
    let stick = lab.path("My Stick (ä, 100%)");
    fs::rename(lab.path("repository"), &stick).unwrap();
    let repository = Repository::open(&stick).unwrap();
    let build = lab.build("liver", "2.0.0");
    repository.publish(&lab.keys(), &[build], &Terms::default()).unwrap();
    let url = Url::from_directory_path(&stick).unwrap();
    assert_eq!(sees(lab.device_with(&url, WithoutClock::Refuse)).unwrap(), "2.0.0");
}

#[test]
fn published_version_cannot_be_replaced_by_another_build() {
    let lab = Lab::new();
    let path = lab.path("other.medsa");
    let other = build("liver", "1.0.0", Vec::new());
    let mut manifest = other.manifest().clone();
    manifest.classes = vec!["liver".into()];
    let files = ["encoder.onnx", "decoder.onnx"]
        .map(|name| (name.to_owned(), other.file(name).unwrap().to_vec()));
    Build::new(manifest, files.into(), Acceptance::default()).write(&path).unwrap();
    let error = lab.repository.publish(&lab.keys(), &[path], &Terms::default()).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("liver-1.0.0.medsa is published with another content; raise"),
        "{error}"
    );
    // The same build can be published again.
    lab.publish("1.0.0");
    assert_eq!(lab.sees().unwrap(), "1.0.0");
}
