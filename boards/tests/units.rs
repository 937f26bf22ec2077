//! Units of systemd: they are valid, and the touchscreen's shows the page of the example
//! configuration.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use medsa_test_inputs::needs;

fn package() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").unwrap().into()
}

fn unit(name: &str) -> PathBuf {
    package().join("common").join(name)
}

#[test]
fn units_are_valid() {
    needs!("systemd");
    for name in ["medsa-edge.service", "medsa-kiosk.service", "medsa-stick@.service"] {
        let output = Command::new("systemd-analyze").arg("verify").arg(unit(name)).output();
        let stderr = String::from_utf8(output.unwrap().stderr).unwrap();
        // The programs are on the device, not on this machine.
        let wrong = stderr.lines().filter(|line| !line.contains("is not executable"));
        let wrong: Vec<_> = wrong.collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}

#[test]
fn kiosk_shows_the_page_of_the_example_configuration() {
    let unit = fs::read_to_string(unit("medsa-kiosk.service")).unwrap();
    let page = unit.lines().find_map(|line| line.strip_prefix("Environment=MEDSA_PAGE=http://"));
    let page = page.unwrap().split('/').next().unwrap();
    let example = Path::new("../edge/edge.example.toml");
    let example = fs::read_to_string(package().join(example)).unwrap();
    let http = example.split("\n[http]\n").nth(1).unwrap();
    assert!(http.contains(&format!("\nlisten = \"{page}\"\n")), "{page}");
}
