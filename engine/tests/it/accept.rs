//! A device refuses a build that missed its limits or gives other masks than where it was made.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::num::NonZeroUsize;

use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};
use medsa_bundle::{Acceptance, AcceptanceVector, Build, LatencyLimits, Limits, Manifest};
use medsa_engine::Engine;
use medsa_engine::acceptance::{Accepted, accept, limits_of};
use medsa_sam::image::RgbView;
use medsa_sam::prompt::{Point, Prompt};

use crate::tiny;

const SIZE: (usize, usize) = (96, 80);

#[test]
fn build_that_missed_its_limits_is_refused() {
    let unfit = vec!["mask IoU with f32 is 0.5".to_owned()];
    let build = build(unfit, Acceptance::default(), &[]);
    let Err(error) = Engine::load(&build, NonZeroUsize::MIN) else { panic!("loaded") };
    assert_eq!(error.to_string(), "build tiny 1.0.0 is marked as unfit: mask IoU with f32 is 0.5");
}

#[test]
fn device_checks_all_acceptance_vectors() {
    let vector = |mask_runs: Vec<u32>| {
        let (frame, clicks) = ("acceptance/0.png".to_owned(), vec![[40.0, 44.0]]);
        let vectors =
            vec![AcceptanceVector { frame, clicks, bbox: None, mask_runs, min_iou: 0.95 }];
        let limits = LatencyLimits { encoder_ms: 1e9, decoder_ms: 0.0 };
        Acceptance { vectors, boards: BTreeMap::from([("pi".to_owned(), limits)]) }
    };
    let tested = |acceptance: Acceptance, png: &[u8]| {
        let build = build(Vec::new(), acceptance, png);
        let engine = Engine::load(&build, NonZeroUsize::MIN).unwrap();
        accept(&build, &engine)
    };
    let refused =
        |acceptance: Acceptance, png: &[u8]| tested(acceptance, png).unwrap_err().to_string();
    let empty = vec![(SIZE.0 * SIZE.1) as u32];
    let large = png_of(GrayImage::new(4096, 2048).into());

    let right = tested(vector(expected()), &png()).unwrap();
    assert_eq!(right.vectors[0].iou, 1.0, "{right:?}");
    right.check(None).unwrap();
    let wrong = tested(vector(empty.clone()), &png()).unwrap().check(None).unwrap_err().to_string();
    assert!(wrong.ends_with("with the expected mask is 0.0000, expected at least 0.95"), "{wrong}");

    let build = build(Vec::new(), vector(expected()), &png());
    let limits = limits_of(&build, "pi").unwrap();
    let slow = Accepted { encoder_ms: 2.0, decoder_ms: 1.25, ..right };
    let slow = slow.check(Some(("pi", limits))).unwrap_err().to_string();
    assert_eq!(
        slow,
        "too slow for pi: encoder 2.0 ms, at most 1000000000.0 ms are accepted; \
         decoder 1.2 ms, at most 0.0 ms"
    );
    let unknown = limits_of(&build, "tv").unwrap_err().to_string();
    assert_eq!(unknown, "the build has no limits for the board tv, expected one of pi");

    let reason = refused(vector(vec![7]), &png());
    assert!(
        reason.ends_with("mask_runs do not add up to the 96 x 80 pixels of its frame"),
        "{reason}"
    );
    let reason = refused(vector(empty), b"not an image");
    assert!(reason.starts_with("acceptance vector 0 of the build: acceptance/0.png: "), "{reason}");
    let reason = refused(vector(vec![7]), &large);
    assert!(reason.contains("is 4096 x 2048, at most 4194304 pixels are accepted"), "{reason}");
    let reason = refused(Acceptance::default(), &png());
    assert!(reason.ends_with("there is none, expected at least one"), "{reason}");
}

fn build(unfit: Vec<String>, acceptance: Acceptance, png: &[u8]) -> Build {
    let folder = tempfile::tempdir().unwrap();
    let manifest = Manifest { unfit, ..tiny::manifest("0.1.0") };
    let files = BTreeMap::from([
        (Manifest::ENCODER.to_owned(), tiny::encoder()),
        (Manifest::DECODER.to_owned(), tiny::decoder()),
        ("acceptance/0.png".to_owned(), png.to_vec()),
    ]);
    let path = folder.path().join("build.medsa");
    Build::new(manifest, files, acceptance).write(&path).unwrap();
    Build::read(&path, &Limits::default()).unwrap()
}

fn pixels() -> Vec<u8> {
    (0..SIZE.0 * SIZE.1 * 3).map(|i| (i % 251) as u8).collect()
}

fn png() -> Vec<u8> {
    png_of(RgbImage::from_raw(SIZE.0 as u32, SIZE.1 as u32, pixels()).unwrap().into())
}

fn png_of(image: DynamicImage) -> Vec<u8> {
    let mut png = Cursor::new(Vec::new());
    image.write_to(&mut png, ImageFormat::Png).unwrap();
    png.into_inner()
}

/// Expected mask for the click, from the tiny network.
fn expected() -> Vec<u32> {
    let (encoder, decoder) = (tiny::encoder(), tiny::decoder());
    let engine =
        Engine::from_onnx(&encoder, &decoder, tiny::PREPROCESS, NonZeroUsize::MIN).unwrap();
    let pixels = pixels();
    let view = RgbView::new(SIZE.0, SIZE.1, &pixels).unwrap();
    let (image, geometry) = engine.preprocess().run(view);
    let click = Point { x: 40.0, y: 44.0, positive: true };
    let prompt = Prompt::new(vec![click], None, SIZE).unwrap();
    let embedding = engine.encode(&image).unwrap();
    let decoded = engine.decode(&embedding, &prompt.tokens(&geometry), None).unwrap();
    let mask = geometry.mask_in_frame(decoded.single().0);
    AcceptanceVector::runs(mask.iter().copied())
}
