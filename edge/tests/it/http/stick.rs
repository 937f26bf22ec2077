//! Captures copied onto a USB stick, which a file system in memory stands for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use medsa_test_inputs::needs;
use serde_json::{Value, json};

use super::browser::Browser;
use super::records::{JSON, capture};
use super::{request, run};
use crate::harness::{Mosquitto, Place};

/// A file system in memory, until it is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn at(folder: &Path, size: &str) -> Self {
        let options = format!("size={size}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder);
        assert!(mount.status().unwrap().success());
        Self(folder.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Content of all files of a folder of records, without hidden files.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for record in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = record.file_name().into_string().unwrap();
        if !name.starts_with('.') {
            for file in std::fs::read_dir(record.path()).unwrap().map(Result::unwrap) {
                let name = format!("{name}/{}", file.file_name().into_string().unwrap());
                files.insert(name, std::fs::read(file.path()).unwrap());
            }
        }
    }
    files
}

fn copy(address: &str, ids: &[&str]) -> (u16, Value) {
    let body = json!({ "ids": ids }).to_string();
    let (status, body) = request(address, "POST", "/records/copy", JSON, body.as_bytes());
    (status, serde_json::from_str(&body).unwrap())
}

fn says(id: &str, text: &str) -> String {
    format!("document.querySelector({id:?}).textContent === {text:?}")
}

#[test]
fn captures_are_copied_onto_a_stick() {
    needs!("browser", "mosquitto", "root");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let (kept, stick) = (PathBuf::from(place.path("kept")), PathBuf::from(place.path("stick")));
    std::fs::create_dir(&stick).unwrap();
    let records = "[records]\nfolder = \"kept\"\nstick = \"stick\"";
    let (_edge, address) = run(&place, &broker.url(), "control = true", records);
    let [first, second] = [(); 2].map(|()| capture(&address));
    // A folder that is no mount point is no stick, so that nothing fills the device's own disk.
    let (status, body) = copy(&address, &[&first]);
    assert_eq!((status, &body["code"]), (422, &json!("no-stick")));

    let mut browser = Browser::live(1024, 600, &format!("http://{address}/"));
    browser.tap("#showCaptures");
    browser.wait_until(&says("#copyThem", "No USB stick"));
    let mounted = Mounted::at(&stick, "64m");
    browser.wait_until(&says("#copyThem", "Copy 2 to the stick"));
    browser.tap("#copyThem");
    let done = "2 copied, 0 were on the stick. It can be pulled out.";
    browser.wait_until(&says("#copied", done));
    browser.screenshot("stick");
    let copies = stick.join("medsa/bench");
    assert!(files(&copies).len() >= 6 && files(&copies) == files(&kept));
    assert_eq!(copy(&address, &[&second, &first]), (200, json!({ "new": 0, "there": 2 })));
    let (status, body) = copy(&address, &["00000009-20260101T000000.000000Z"]);
    assert_eq!((status, &body["code"]), (404, &json!("no-such-record")));
    drop(mounted);

    // Nothing of a record that does not fit is left.
    let full = Mounted::at(&stick, "16k");
    browser.wait_until("!document.querySelector('#copyThem').disabled");
    browser.tap("#copyThem");
    browser.wait_until(&says("#copied", "NOT copied. The stick is full."));
    assert!(files(&copies).is_empty());

    // A damaged record is not copied.
    std::fs::write(kept.join(&first).join("frame.png"), b"damaged").unwrap();
    drop(full);
    let _again = Mounted::at(&stick, "64m");
    let (status, body) = copy(&address, &[&first]);
    assert_eq!((status, &body["code"]), (500, &json!("stick-failed")));
    assert!(body["error"].as_str().unwrap().contains("frame.png"), "{body}");
}
