//! The main workflow of a user on a real ultrasound clip: import, export, run, watch.

use std::fs;
use std::net::TcpListener;

use medsa_bundle::{Build, Limits, Precision};
use medsa_tests::needs;
use medsa_tests::program::{Background, command, run};
use medsa_tests::{onnxruntime, place};

#[test]
fn clip_is_segmented_and_watched() {
    needs!("dicom", "litemedsam");
    let folder = place::scratch();
    let path = |name: &str| folder.path().join(name);
    let imported = run(command("medsa-train")
        .args(["import", "--base"])
        .arg(place::lite_medsam())
        .arg("--out")
        .arg(path("base.safetensors")));
    assert!(imported.contains("435 tensors"), "{imported}");

    // A small input, so that thirty frames take seconds.
    let exported = run(command("medsa-export")
        .args(["build", "--input-size", "64", "--precision", "f32", "--base"])
        .arg(path("base.safetensors"))
        .arg("--calibration")
        .arg(place::cine())
        .arg("--out")
        .arg(path("build.medsa")));
    assert!(exported.contains("largest difference of a mask logit"), "{exported}");
    // The device gives the same masks as the exporter.
    let accepted = run(command("medsa-edge").args(["accept", "--build"]).arg(path("build.medsa")));
    assert_eq!(accepted.matches(r#""iou""#).count(), 5, "{accepted}");

    let port = free_port();
    let config = format!(
        r#"
        device.id = "test"
        build.path = "build.medsa"
        source = {{ kind = "dicom", path = {:?}, pace = "every-frame" }}
        prompt = [{{ object = 3, box = [75.0, 75.0, 225.0, 187.5] }}]
        broker = {{ kind = "embedded", listen = "127.0.0.1:{port}" }}
        "#,
        place::cine()
    );
    fs::write(path("edge.toml"), config).unwrap();
    let watch = Background::start(
        command("medsa-edge")
            .args(["watch", "--until-offline", "--broker", &format!("mqtt://127.0.0.1:{port}")])
            .arg("--clip")
            .arg(place::cine())
            .arg("--out")
            .arg(path("frames"))
            .arg("--gif")
            .arg(path("overlay.gif")),
    );
    let table = run(command("medsa-edge").args(["run", "--config"]).arg(path("edge.toml")));
    assert!(table.contains("30"), "{table}");
    watch.wait();
    // The watcher may have missed the first frames, since nothing waits for it.
    let images = fs::read_dir(path("frames")).unwrap().count();
    assert!((1..=30).contains(&images), "{images} images");
    assert!(fs::read(path("overlay.gif")).unwrap().starts_with(b"GIF89a"));
}

#[test]
fn int8_agrees_with_f32_and_both_files_run() {
    needs!("dicom", "litemedsam", "venv");
    let folder = place::scratch();
    let out = folder.path().join("build.medsa");
    let printed = run(command("medsa-export")
        .args(["build", "--frames", "2", "--input-size", "64", "--base"])
        .arg(place::lite_medsam())
        .arg("--calibration")
        .arg(place::cine())
        .arg("--out")
        .arg(&out));
    let build = Build::read(&out, &Limits::default()).unwrap();
    let manifest = build.manifest();
    assert_eq!((manifest.precision, manifest.preprocess.input_size), (Precision::Int8, 64));
    let agreement = manifest.agreement.as_ref().unwrap();
    // For boxes at arbitrary positions. No build is written below 0.95.
    assert!(agreement.mean_iou >= 0.95 && agreement.masks == 6, "{agreement:?}");
    let quantization = manifest.quantization.as_ref().unwrap();
    assert!(quantization.int8_macs >= 0.95, "{quantization:?}");
    assert!(printed.contains(&format!("{:.4} mean", agreement.mean_iou)), "{printed}");
    for file in ["f32/encoder.onnx", "f32/decoder.onnx", "int8/encoder.onnx", "int8/decoder.onnx"] {
        onnxruntime::check(&folder.path().join("build.onnx").join(file));
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
