//! `medsa-edge watch` with a running service.

use std::fs;

use image::AnimationDecoder;
use image::codecs::gif::GifDecoder;
use medsa_edge::config::Protocol;
use medsa_test_inputs::needs;

use crate::harness::{Edge, Mosquitto, Observer, Place, external};

#[test]
fn masks_become_lines_and_images() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(6), Mosquitto::start());
    let (url, clip) = (broker.url(), place.clip.to_str().unwrap());
    let [out, gif, strip] = ["out", "seen.gif", "seen.png"].map(|name| place.path(name));
    let mut watch = Edge::start(&[
        "watch",
        "--broker",
        &url,
        "--device",
        "bench",
        "--clip",
        clip,
        "--out",
        &out,
        "--gif",
        &gif,
        "--strip",
        &strip,
        "--until-offline",
    ]);
    watch.logged("subscribed");
    let source = "rate_fps = 240\npace = \"every-frame\"";
    let mut edge = Edge::run(&place.config(source, &external(&url)));
    let line = watch.printed("frame      3");
    assert!(line.starts_with("bench  frame      3  age"), "{line}");
    assert!(line.contains("object 0  score 0.90  area "), "{line}");
    assert!(edge.wait().success());
    assert!(watch.wait().success());
    assert_eq!(fs::read_dir(&out).unwrap().count(), 6);
    let image = image::open(format!("{out}/frame-000003.png")).unwrap().to_rgb8();
    // The frame is drawn, not only the mask: it is brighter to the right.
    let (left, right) = (image.get_pixel(10, 10).0[0], image.get_pixel(500, 10).0[0]);
    assert!(right > left + 80, "{left} {right}");
    let file = std::io::BufReader::new(fs::File::open(&gif).unwrap());
    let frames = GifDecoder::new(file).unwrap().into_frames().collect_frames().unwrap();
    assert_eq!(frames.len(), 6);
    assert!(fs::metadata(&gif).unwrap().len() < 3_000_000);
    assert_eq!(image::open(&strip).unwrap().width(), 4 * 324 - 4);
}

#[test]
fn garbage_is_skipped() {
    needs!("mosquitto");
    let broker = Mosquitto::start();
    let url = broker.url();
    let mut watch = Edge::start(&["watch", "--broker", &url, "--protocol", "5", "--count", "1"]);
    watch.logged("subscribed");
    let observer = Observer::start(&url, Protocol::V4);
    observer.publish("medsa/bench/mask/0", &b"\x01\xff\xff"[..]);
    assert!(watch.logged("medsa/bench/mask/0: ").contains("mask"));
    observer.publish("medsa/bench/mask/9", &b"x"[..]);
    assert!(watch.logged("medsa/bench/mask/9: ").contains("expected 0 to 7"));
    observer.publish("medsa/bench/stats", vec![0; 50_000]);
    watch.logged("medsa/bench/stats: ");
    observer.send("medsa/bench/mask/2", &mask());
    assert!(watch.printed("object 2").contains("frame     77"));
    assert!(watch.wait().success());
}

fn mask() -> medsa_wire::MaskMessage {
    medsa_wire::MaskMessage {
        frame_id: 77,
        captured_us: 1,
        age_us: 45_000,
        object: 2,
        state: medsa_wire::MaskState::Tracking,
        reason: None,
        segmented: true,
        score: 0.5,
        agreement: None,
        frame_width_px: 8,
        frame_height_px: 4,
        measured: None,
        mask: medsa_wire::Mask::from_bits(2, 1, [true, false]).unwrap(),
    }
}
