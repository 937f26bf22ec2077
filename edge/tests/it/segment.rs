//! The command `medsa-edge segment`.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::harness::{FRAME, Place, edge_command};
use crate::tiny;

fn segment(place: &Place, image: &str, more: &[&str]) -> Output {
    let (build, out) = (place.build.to_str().unwrap(), place.path("mask.png"));
    let mut arguments = vec!["segment", "--build", build, "--image", image, "--out", &out];
    arguments.extend(more);
    edge_command(&arguments).output().unwrap()
}

/// The message of a run that must fail and write nothing.
fn refusal(place: &Place, image: &str, more: &[&str]) -> String {
    let output = segment(place, image, more);
    assert!(!output.status.success());
    assert!(!Path::new(&place.path("mask.png")).exists());
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(output.stdout.is_empty());
    message
}

#[test]
fn click_gives_mask_overlay_and_report() {
    let place = Place::new(3);
    let (clip, overlay) = (place.clip.to_str().unwrap(), place.path("overlay.png"));
    let output =
        segment(&place, clip, &["--frame", "2", "--point", "64,48", "--overlay", &overlay]);
    assert!(output.status.success(), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["frame"]["width_px"], FRAME.0);
    assert_eq!(report["frame"]["index"], 2);
    assert!((report["score"].as_f64().unwrap() - 0.9).abs() < 1e-3);
    for stage in ["load", "decode_frame", "preprocess", "encode", "decode", "postprocess"] {
        assert!(report["latency_ms"][stage].as_f64().unwrap() >= 0.0, "{stage}");
    }
    let mask = image::open(place.path("mask.png")).unwrap().to_luma8();
    assert_eq!(mask.dimensions(), FRAME);
    assert_eq!((mask.get_pixel(64, 48).0, mask.get_pixel(0, 0).0), ([255], [0]));
    let set = mask.pixels().filter(|pixel| pixel.0 == [255]).count();
    assert_eq!(report["area_px"], set);
    assert!(image::open(overlay).unwrap().width() >= 512);
}

#[test]
fn extension_decides_the_format() {
    let place = Place::new(1);
    let (clip, overlay) = (place.clip.to_str().unwrap(), place.path("overlay.JPG"));
    let output = segment(&place, clip, &["--point", "64,48", "--overlay", &overlay]);
    assert!(output.status.success(), "{output:?}");
    assert!(fs::read(&overlay).unwrap().starts_with(&[0xff, 0xd8, 0xff]));
    assert!(fs::read(place.path("mask.png")).unwrap().starts_with(b"\x89PNG"));
    let build = place.build.to_str().unwrap();
    for (name, option, expected) in [
        ("m.jpg", "--out", "m.jpg, expected a file that ends in .png"),
        ("m", "--out", "m, expected a file that ends in .png"),
        ("o.gif", "--overlay", "o.gif, expected a file that ends in .png, .jpg or .jpeg"),
    ] {
        let out = place.path(name);
        let mut arguments =
            vec!["segment", "--build", build, "--image", clip, "--point", "64,48", option, &out];
        let mask = place.path("m.png");
        if option != "--out" {
            arguments.extend(["--out", &mask]);
        }
        let output = edge_command(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains(option) && message.contains(expected), "{message}");
        assert!(!Path::new(&out).exists() && !Path::new(&mask).exists());
    }
}

#[test]
fn input_is_not_overwritten() {
    let place = Place::new(1);
    let image = place.clip.join("000.png");
    let before = fs::read(&image).unwrap();
    let link = place.path("link.png");
    std::os::unix::fs::symlink(&image, &link).unwrap();
    let (build, clip) = (place.build.to_str().unwrap(), place.clip.to_str().unwrap());
    let image = image.to_str().unwrap();
    let run = |input: &str, out: &str, more: &[&str]| {
        let mut arguments =
            vec!["segment", "--build", build, "--image", input, "--out", out, "--point", "64,48"];
        arguments.extend(more);
        let output = edge_command(&arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let mask = place.path("mask.png");
    for (input, out, more) in [
        (image, image, vec![]),
        (image, link.as_str(), vec![]),
        // A frame of the folder.
        (clip, image, vec![]),
        (image, mask.as_str(), vec!["--overlay", image]),
    ] {
        let (code, message) = run(input, out, &more);
        assert_eq!(code, Some(2), "{message}");
        assert!(message.contains("expected another file than --image"), "{message}");
    }
    let (code, message) = run(image, &mask, &["--overlay", &mask]);
    assert!(code == Some(2) && message.contains("expected another file than --out"), "{message}");
    assert_eq!(fs::read(image).unwrap(), before);
    assert!(!Path::new(&mask).exists());
    // A mask of an earlier run is replaced.
    assert_eq!(run(image, &mask, &[]).0, Some(0));
    assert_eq!(run(image, &mask, &[]).0, Some(0));
}

#[test]
fn clicks_and_box_can_be_combined() {
    let place = Place::new(1);
    let more = ["--box", "20,20,100,80", "--point", "30,40", "--point", "10,10,-"];
    let output = segment(&place, place.clip.to_str().unwrap(), &more);
    assert!(output.status.success(), "{output:?}");
    let mask = image::open(place.path("mask.png")).unwrap().to_luma8();
    assert_eq!(mask.get_pixel(30, 40).0, [255]);
}

#[test]
fn invalid_prompts_are_refused() {
    let place = Place::new(1);
    let clip = place.clip.to_str().unwrap();
    let output = segment(&place, clip, &["--point", "400,10"]);
    assert_eq!(output.status.code(), Some(2));
    let message = refusal(&place, clip, &["--point", "400,10"]);
    assert!(message.contains("point (400, 10) is outside the frame of 128 x 96 pixels"));
    assert!(refusal(&place, clip, &["--point", "-1,10"]).contains("point (-1, 10) is outside"));
    assert!(refusal(&place, clip, &[]).contains("prompt has neither a point nor a box"));
    assert!(refusal(&place, clip, &["--point", "1;2"]).contains("X,Y for a click"));
    assert!(refusal(&place, clip, &["--box", "9,9,3,3"]).contains("expected x0 < x1"));
}

#[test]
fn unreadable_images_are_reported() {
    let place = Place::new(1);
    let text = place.write("notes.txt", "nothing to see");
    let click = ["--point", "1,1"];
    let message = refusal(&place, text.to_str().unwrap(), &click);
    assert!(message.contains("notes.txt"), "{message}");
    let whole = fs::read(place.clip.join("000.png")).unwrap();
    let cut = place.folder.path().join("cut.png");
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let message = refusal(&place, cut.to_str().unwrap(), &click);
    assert!(message.contains("cut.png"), "{message}");
    // The preamble of DICOM, and nothing else.
    let mut dicom = vec![0; 128];
    dicom.extend(b"DICM\x02\x00");
    let truncated = place.folder.path().join("cut.dcm");
    fs::write(&truncated, dicom).unwrap();
    let message = refusal(&place, truncated.to_str().unwrap(), &click);
    assert!(message.contains("cut.dcm"), "{message}");
    let message =
        refusal(&place, place.clip.to_str().unwrap(), &["--frame", "9", "--point", "1,1"]);
    assert!(message.contains('9'), "{message}");
}

#[test]
fn damaged_builds_are_reported() {
    let place = Place::new(1);
    let (clip, click) = (place.clip.to_str().unwrap(), ["--point", "1,1"]);
    tiny::build_of(place.folder.path(), b"no model".to_vec(), tiny::decoder(), "0.1.0");
    let message = refusal(&place, clip, &click);
    assert!(message.contains("encoder.onnx"), "{message}");
    tiny::build(place.folder.path());
    let mut bytes = fs::read(&place.build).unwrap();
    let at = bytes.windows(11).position(|bytes| bytes == b"AveragePool").unwrap();
    bytes[at] = b'B';
    fs::write(&place.build, bytes).unwrap();
    let message = refusal(&place, clip, &click);
    assert!(message.contains("encoder.onnx has SHA-256"), "{message}");
}
