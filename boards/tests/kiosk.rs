//! The unit of the touchscreen can be started by systemd, and shows the page of the example.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn package() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").unwrap().into()
}

fn unit() -> PathBuf {
    package().join("common/medsa-kiosk.service")
}

#[test]
fn systemd_finds_nothing_wrong_with_it() {
    let output = Command::new("systemd-analyze").arg("verify").arg(unit()).output();
    let output = output
        .unwrap_or_else(|e| panic!("systemd-analyze: {e}: install it: apt-get install systemd"));
    let told = String::from_utf8(output.stderr).unwrap();
    // The programs are on the device, and need not be here.
    let wrong: Vec<_> = told.lines().filter(|line| !line.contains("is not executable")).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn it_shows_the_page_of_the_example() {
    let unit = fs::read_to_string(unit()).unwrap();
    let page = unit.lines().find_map(|line| line.strip_prefix("Environment=MEDSA_PAGE=http://"));
    let page = page.unwrap().split('/').next().unwrap();
    let example = Path::new("../edge/edge.example.toml");
    let example = fs::read_to_string(package().join(example)).unwrap();
    let http = example.split("\n[http]\n").nth(1).unwrap();
    assert!(http.contains(&format!("\nlisten = \"{page}\"\n")), "{page}");
}
