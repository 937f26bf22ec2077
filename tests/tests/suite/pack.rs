//! Further contents of a build, and the reproducibility of builds.

use std::fs;
use std::path::Path;
use std::process::Command;

use image::{GrayImage, Luma};
use medsa_bundle::{Build, Limits, Manifest, sha256_hex};
use medsa_tests::model::small_vit;
use medsa_tests::needs;
use medsa_tests::place;
use medsa_tests::program::{command, python, run};
use serde_json::Value;

#[test]
fn build_contains_card_licences_limits_and_bill_of_materials() {
    needs!("dicom", "litemedsam", "venv");
    let folder = place::scratch();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("NOTICE.txt"), "as is").unwrap();
    fs::write(path("limits.toml"), "[boards.pi]\nencoder_ms = 1e9\ndecoder_ms = 1e-9\n").unwrap();
    run(export(&place::lite_medsam(), &path("build.medsa"))
        .args(["--precision", "f32", "--licence"])
        .arg(path("NOTICE.txt"))
        .arg("--limits")
        .arg(path("limits.toml")));
    let build = Build::read(&path("build.medsa"), &Limits::default()).unwrap();
    let text = |name: &str| std::str::from_utf8(build.file(name).unwrap()).unwrap();

    let card = text("card.html");
    assert!(card.contains("Not for diagnostic use."));
    assert_eq!(card.matches("data:image/jpeg;base64,").count(), 5);
    assert_eq!(text("licences/NOTICE.txt"), "as is");

    fs::write(path("bill.json"), text("sbom.cdx.json")).unwrap();
    run(python("check_sbom.py").arg(path("bill.json")));
    let bill: Value = serde_json::from_str(text("sbom.cdx.json")).unwrap();
    let component = |name: &str| {
        let components = bill["components"].as_array().unwrap();
        components.iter().find(|component| component["name"] == name).unwrap()
    };
    assert_eq!(component("lite_medsam")["licenses"][0]["license"]["id"], "Apache-2.0");
    for name in [Manifest::ENCODER, Manifest::DECODER, "licences/NOTICE.txt"] {
        let sha256 = sha256_hex(build.file(name).unwrap());
        assert_eq!(component(name)["hashes"][0]["content"], sha256.as_str(), "{name}");
    }

    // The masks are right, but the limits of this board are impossibly low.
    for (board, message) in [
        ("pi", " ms, at most 0.0 ms"),
        ("tv", "the build has no limits for the board tv, expected one of pi"),
    ] {
        let accept = ["accept", "--board", board, "--build"];
        let output = command("medsa-edge").args(accept).arg(path("build.medsa")).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.trim_end().ends_with(message), "{said}");
    }
}

#[test]
fn verification_card_contains_images_of_the_data_set() {
    needs!("dicom", "litemedsam");
    let folder = place::scratch();
    let path = |name: &str| folder.path().join(name);
    let image = |inside: u8, outside: u8| {
        GrayImage::from_fn(96, 80, |x, y| {
            let (x, y) = (f64::from(x) - 50.0, f64::from(y) - 40.0);
            Luma([if x.hypot(y) < 20.0 { inside } else { outside }])
        })
    };
    for (name, image) in [("images", image(30, 160)), ("masks", image(1, 0))] {
        fs::create_dir_all(path("discs").join(name)).unwrap();
        image.save(path("discs").join(name).join("a&b.png")).unwrap();
    }
    run(export(&place::lite_medsam(), &path("build.medsa")).args(["--precision", "f32"]));
    let printed = run(command("medsa-export")
        .args(["verify", "--classes", "disc", "--edge-frames", "0", "--prompt", "box", "--base"])
        .args([place::lite_medsam(), path("build.medsa")])
        .arg("--data")
        .arg(path("discs"))
        .arg("--card")
        .arg(path("card.html")));
    assert!(printed.contains("disc             box      1"), "{printed}");
    let card = fs::read_to_string(path("card.html")).unwrap();
    for expected in [
        "On 1 images of discs",
        "<td>disc</td><td>box</td><td>1</td>",
        "a&amp;b, disc, prompted by box: differences. 0 px only as built, 0 px only as trained,",
        "only as built (false positive)",
    ] {
        assert!(card.contains(expected), "{expected} is missing");
    }
    assert_eq!(card.matches("data:image/jpeg;base64,").count(), 1);
}

#[test]
fn build_with_a_calibration_file_equals_one_calibrated_on_frames() {
    needs!("dicom");
    let folder = place::scratch();
    let path = |name: &str| folder.path().join(name);
    small_vit().write(&path("base.safetensors")).unwrap();
    // Random weights may miss any limit.
    let frames = ["--frames", "2", "--danger-allow"];
    run(export(&path("base.safetensors"), &path("from-frames.medsa")).args(frames));
    run(command("medsa-export")
        .args(["calibrate", "--input-size", "64", "--frames", "2", "--calibration"])
        .args([place::cine(), "--base".into(), path("base.safetensors")])
        .args(["--out".into(), path("small.calibration")]));
    let build = |base: &str, size: &str| {
        let mut command = command("medsa-export");
        command.args(["build", "--danger-allow", "--input-size", size, "--calibration"]);
        command.arg(path("small.calibration")).arg("--base").arg(path(base));
        command.arg("--out").arg(path("from-file.medsa"));
        command
    };
    run(&mut build("base.safetensors", "64"));
    let [first, second] =
        ["from-frames.medsa", "from-file.medsa"].map(|name| fs::read(path(name)).unwrap());
    let differs = first.iter().zip(&second).position(|(a, b)| a != b);
    assert_eq!((first.len(), differs), (second.len(), None));

    let mut other = small_vit();
    other.origin.sha256 = "0".repeat(64);
    other.write(&path("other.safetensors")).unwrap();
    let refused = |base: &str, size: &str| {
        let output = build(base, size).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let (of_file, given) = (small_vit().origin.sha256, other.origin.sha256);
    let said = refused("other.safetensors", "64");
    assert!(said.contains(&of_file) && said.contains(&given), "{said}");
    let said = refused("base.safetensors", "128");
    assert!(said.contains("it is for inputs of 64 px, expected 128 px"), "{said}");
}

fn export(base: &Path, out: &Path) -> Command {
    let mut command = command("medsa-export");
    command.args(["build", "--input-size", "64", "--calibration"]).arg(place::cine());
    command.arg("--base").arg(base).arg("--out").arg(out);
    command
}
