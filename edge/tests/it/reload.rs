//! Replacement of the build while frames are segmented.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Cursor;
use std::num::NonZeroUsize;
use std::os::unix::fs::symlink;
use std::path::Path;

use image::{ImageFormat, RgbImage};
use medsa_bundle::{Acceptance, AcceptanceVector, Build, LatencyLimits, Manifest, sha256_hex};
use medsa_edge::config::Protocol;
use medsa_edge::mqtt::Message;
use medsa_edge::records::Records;
use medsa_engine::Engine;
use medsa_sam::image::{Preprocess, RgbView};
use medsa_sam::prompt::{Point, Prompt};
use medsa_test_inputs::needs;
use medsa_wire::{BuildStatus, Command, Info, MaskMessage, MaskState, Message as _};

use crate::harness::{Edge, FRAME, Mosquitto, Observer, Place, as_mask, external};
use crate::http::{get, request};
use crate::service::{BUDGET, LOOP, click_at, is_left};
use crate::status::wait_for;
use crate::tiny;

pub const EVERY_FRAME: &str = "loop = true\nrate_fps = 100\npace = \"every-frame\"\nblank = []";

#[test]
fn build_is_replaced_without_losing_a_mask() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(4), Mosquitto::start());
    let [old, new] = [("old", 64), ("new", 32)].map(|(version, side)| {
        fs::write(place.folder.path().join(version), bytes(&right(version, side))).unwrap();
        sha256_hex(&fs::read(place.folder.path().join(version)).unwrap())
    });
    switch(&place, "old");
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let more = "[records]\nfolder = \"kept\"\n[http]\nlisten = \"127.0.0.1:0\"\ncontrol = true";
    let settings = format!("{}\n{more}", external(&broker.url()));
    let mut edge = Edge::run(&place.config(EVERY_FRAME, &settings));
    let line = edge.logged("metrics and health at http://");
    let address = line.rsplit('/').next().unwrap();
    assert_eq!(hex::encode(observer.wait("what runs", as_info).build_sha256), old);
    observer.send("medsa/bench/prompt", &click_at(20.0, 20.0));
    let first = observer.wait_for_mask("the new place", is_left).frame_id;

    switch(&place, "new");
    let json = "Content-Type: application/json\r\n";
    assert_eq!(request(address, "POST", "/command", json, b"\"Reload\"").0, 202);
    let (mut seen, mut received, mut after) = (BTreeSet::from([first]), None, 0);
    observer.wait("masks of the new build", |message| {
        received = as_info(message).or(received.take());
        if let Some(mask) = as_mask(message).filter(|mask| mask.frame_id > first) {
            assert_ne!(mask.state, MaskState::Lost);
            assert!(at_left(&mask), "frame {}", mask.frame_id);
            // The old build never returns.
            assert!(after == 0 || mask.mask.width() == 32);
            after += u32::from(mask.mask.width() == 32);
            seen.insert(mask.frame_id);
        }
        (received.is_some() && after > 50).then_some(())
    });
    let last = *seen.last().unwrap();
    let missing: Vec<_> = (first..last).filter(|frame_id| !seen.contains(frame_id)).collect();
    assert!(missing.is_empty(), "{missing:?} of {first} to {last}");
    let received = received.unwrap();
    assert_eq!((hex::encode(received.build_sha256), received.input_size_px), (new.clone(), 32));
    let health: serde_json::Value = serde_json::from_str(&get(address, "/health").1).unwrap();
    assert_eq!(health["build"], "tiny new");
    let build = format!("medsa_build_info{{name=\"tiny\",version=\"new\",sha256=\"{new}\"}} 1");
    assert!(get(address, "/metrics").1.contains(&build));

    observer.send("medsa/bench/command", &Command::Capture);
    edge.logged("stored as record");
    edge.signal("TERM");
    assert!(edge.wait().success());
    assert!(edge.printed("frames failed").ends_with(" 0"));
    let records = Records::open(Path::new(&place.path("kept")), BUDGET).unwrap();
    let record = records.read(&records.list(1).unwrap()[0]).unwrap();
    assert_eq!((record.build.version, record.build.sha256), ("new".to_owned(), new));
}

#[test]
fn frozen_frame_keeps_its_build() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let edge = Edge::run(&place.config(LOOP, &external(&broker.url())));
    observer.wait_for_mask("a mask", |_| true);
    observer.send("medsa/bench/command", &Command::Freeze);
    edge.logged("frozen");
    put(&place, &right("new", 32));
    edge.signal("HUP");
    edge.logged("build tiny new replaces tiny 1.0.0");
    observer.send("medsa/bench/prompt", &click_at(20.0, 20.0));
    let mask = observer.wait_for_mask("an answer on the frozen frame", at_left);
    assert_eq!(mask.mask.width(), 64);
    observer.send("medsa/bench/command", &Command::Unfreeze);
    observer.wait_for_mask("a mask of the new build", |mask| {
        at_left(mask) && mask.mask.width() == 32 && mask.segmented
    });
}

#[test]
fn build_that_fails_acceptance_is_not_used() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let config = place.config(LOOP, &external(&broker.url()));
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("id = \"bench\"", "id = \"bench\"\nboard = \"pi\"")).unwrap();
    let mut edge = Edge::run(&config);
    observer.wait_for_mask("a mask", |_| true);
    edge.signal("HUP");
    edge.logged("tiny.medsa is already in use; nothing to do");

    let mut corrupt = bytes(&right("new", 32));
    let middle = corrupt.len() / 2;
    corrupt[middle] ^= 1;
    let wrong = build("new", 32, |vector| vector.mask_runs = vec![96 * 80], &[]);
    let unasked = build_of("new", 32, Acceptance::default());
    let slow = LatencyLimits { encoder_ms: 0.0, decoder_ms: 0.0 };
    let slow = build("new", 32, |_| (), &[("pi", slow)]);
    for (file, reason) in [
        (Some(corrupt), "has SHA-256"),
        (Some(bytes(&wrong)), "expected at least 0.95"),
        (Some(bytes(&unasked)), "there is none, expected at least one"),
        (Some(bytes(&slow)), "too slow for pi: encoder"),
        (None, "No such file"),
    ] {
        let path = place.path("tiny.medsa");
        match file {
            Some(bytes) => fs::write(path, bytes).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
        observer.send("medsa/bench/command", &Command::Reload);
        let line = edge.logged("was not accepted, build tiny 1.0.0 stays in use");
        assert!(line.contains(reason), "{line}");
        observer.wait_for_mask("a mask of the old build", |mask| mask.mask.width() == 64);
    }
    // The device does not apply another board's limits.
    let limits = LatencyLimits { encoder_ms: 0.0, decoder_ms: 0.0 };
    put(&place, &build("new", 32, |_| (), &[("tv", limits)]));
    edge.signal("HUP");
    edge.logged("no limits for the board pi, expected one of tv: its times are not checked");
    edge.logged("build tiny new replaces tiny 1.0.0");
    observer.wait_for_mask("a mask of the new build", |mask| mask.mask.width() == 32);
    edge.signal("TERM");
    assert!(edge.wait().success());
    assert!(edge.printed("reloads failed").ends_with(" 5"));
}

#[test]
fn objects_are_followed_during_the_acceptance_test() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    for index in 0..2 {
        // A texture that can be followed.
        let wave = |x: u32, slope: f32| 60.0 * (x as f32 * slope).sin();
        let grey = |x, y| (128.0 + wave(x, 0.5) + wave(y, 0.4)) as u8;
        let frame = RgbImage::from_fn(FRAME.0, FRAME.1, |x, y| image::Rgb([grey(x + index, y); 3]));
        frame.save(place.clip.join(format!("{index:03}.png"))).unwrap();
    }
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let edge = Edge::run(&place.config(LOOP, &external(&broker.url())));
    observer.wait_for_mask("a mask", |_| true);
    let mut files = files(64);
    files.insert(Manifest::ENCODER.to_owned(), tiny::slow_encoder());
    let vectors = vec![vector(64)];
    let acceptance = Acceptance { vectors, boards: BTreeMap::new() };
    let slow = Build::new(tiny::manifest("0.1.0"), files, acceptance);
    put(&place, &slow);
    edge.signal("HUP");
    edge.logged("its times are not checked");
    wait_for(&observer, |status| status.build == BuildStatus::Loading);
    let mut followed = 0;
    observer.wait_for_mask("masks that follow the frame", |mask| {
        followed = if !mask.segmented { followed + 1 } else { 0 };
        followed == 100
    });
    edge.signal("HUP");
    edge.logged("another build is being loaded; try again later");
}

pub fn right(version: &str, side: usize) -> Build {
    build(version, side, |_| (), &[])
}

/// A build with one changed acceptance vector, and limits for boards.
pub fn build(
    version: &str,
    side: usize,
    change: impl FnOnce(&mut AcceptanceVector),
    boards: &[(&str, LatencyLimits)],
) -> Build {
    let mut vector = vector(side);
    change(&mut vector);
    let boards = boards.iter().map(|(name, limits)| ((*name).to_owned(), *limits)).collect();
    build_of(version, side, Acceptance { vectors: vec![vector], boards })
}

/// A build for another task.
pub fn for_task(name: &str, classes: &[&str], side: usize) -> Build {
    let classes = classes.iter().map(|&class| class.to_owned()).collect();
    let manifest = tiny::manifest("0.1.0");
    let preprocess = preprocess(side);
    let manifest = Manifest { name: name.to_owned(), classes, preprocess, ..manifest };
    let acceptance = Acceptance { vectors: vec![vector(side)], boards: BTreeMap::new() };
    Build::new(manifest, files(side), acceptance)
}

fn build_of(version: &str, side: usize, acceptance: Acceptance) -> Build {
    let preprocess = preprocess(side);
    let manifest = Manifest { version: version.to_owned(), preprocess, ..tiny::manifest("0.1.0") };
    Build::new(manifest, files(side), acceptance)
}

fn preprocess(side: usize) -> Preprocess {
    Preprocess { input_size: side, ..tiny::PREPROCESS }
}

fn files(side: usize) -> BTreeMap<String, Vec<u8>> {
    let mut png = Cursor::new(Vec::new());
    frame().write_to(&mut png, ImageFormat::Png).unwrap();
    BTreeMap::from([
        (Manifest::ENCODER.to_owned(), tiny::encoder_for(side as i64)),
        (Manifest::DECODER.to_owned(), tiny::decoder_for(side as i64)),
        ("acceptance/0.png".to_owned(), png.into_inner()),
    ])
}

/// Output of the tiny network with an input of this side.
fn vector(side: usize) -> AcceptanceVector {
    let files = files(side);
    let (encoder, decoder) = (&files[Manifest::ENCODER], &files[Manifest::DECODER]);
    let engine = Engine::from_onnx(encoder, decoder, preprocess(side), NonZeroUsize::MIN).unwrap();
    let frame = frame();
    let (image, geometry) = engine.preprocess().run(RgbView::new(96, 80, frame.as_raw()).unwrap());
    let click = Point { x: 40.0, y: 44.0, positive: true };
    let prompt = Prompt::new(vec![click], None, (96, 80)).unwrap();
    let embedding = engine.encode(&image).unwrap();
    let decoded = engine.decode(&embedding, &prompt.tokens(&geometry), None).unwrap();
    let mask = geometry.mask_in_frame(decoded.single().0);
    AcceptanceVector {
        frame: "acceptance/0.png".into(),
        clicks: vec![[40.0, 44.0]],
        bbox: None,
        mask_runs: AcceptanceVector::runs(mask.iter().copied()),
        min_iou: 0.95,
    }
}

fn frame() -> RgbImage {
    RgbImage::from_fn(96, 80, |x, y| image::Rgb([x as u8, y as u8, 60]))
}

pub fn bytes(build: &Build) -> Vec<u8> {
    build.write_to(Vec::new()).unwrap()
}

/// Replaces the configured build file.
fn put(place: &Place, build: &Build) {
    fs::write(place.path("tiny.medsa"), bytes(build)).unwrap();
}

/// Switches like an updater, in one step.
fn switch(place: &Place, to: &str) {
    symlink(to, place.path("next")).unwrap();
    fs::rename(place.path("next"), place.path("tiny.medsa")).unwrap();
}

/// True if the disc is at (20, 20), for masks of any size.
fn at_left(mask: &MaskMessage) -> bool {
    let width = usize::from(mask.mask.width());
    mask.mask.bits().nth(20 * width / 128 * (width + 1)) == Some(true)
}

pub fn as_info(message: &Message) -> Option<Info> {
    message.topic.ends_with("/info").then(|| Info::decode(&message.payload).unwrap())
}
