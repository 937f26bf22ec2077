//! The engine loads valid networks, and names what is wrong with others.

use std::num::NonZeroUsize;

use medsa_bundle::{Build, Limits};
use medsa_engine::{Engine, Error};
use medsa_sam::image::{Geometry, RgbView};
use medsa_sam::prompt::{Point, Prompt};
use ndarray::Array2;

use crate::tiny::{self, PREPROCESS, RADIUS, SIDE};

const ONE: NonZeroUsize = NonZeroUsize::MIN;

fn load(encoder: &[u8], decoder: &[u8]) -> Result<Engine, Error> {
    Engine::from_onnx(encoder, decoder, PREPROCESS, ONE)
}

fn refusal(encoder: &[u8], decoder: &[u8]) -> String {
    match load(encoder, decoder) {
        Ok(_) => panic!("loaded what it should refuse"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn frames_become_masks() {
    let two = NonZeroUsize::new(2).unwrap();
    let engine = Engine::from_onnx(&tiny::encoder(), &tiny::decoder(), PREPROCESS, two).unwrap();
    let pixels: Vec<u8> = (0..128 * 96 * 3).map(|i| (i % 251) as u8).collect();
    let view = RgbView::new(128, 96, &pixels).unwrap();
    let (image, geometry) = engine.preprocess().run(view);
    let embedding = engine.encode(&image).unwrap();
    assert_eq!(embedding.view().unwrap().dim(), (1, 3, 16, 16));
    let point = Point { x: 64.0, y: 48.0, positive: true };
    let prompt = Prompt::new(vec![point], None, (128, 96)).unwrap();
    let decoded = engine.decode(&embedding, &prompt.tokens(&geometry), None).unwrap();
    assert_eq!(decoded.masks.dim(), (4, SIDE, SIDE));
    let (logits, score) = decoded.single();
    assert!((score - 0.9).abs() < 1e-6);
    let area = geometry.mask_in_frame(logits).iter().filter(|&&inside| inside).count() as f32;
    // The disc is drawn in the input, which has half the frame's size.
    let expected = std::f32::consts::PI * (2.0 * RADIUS).powi(2);
    assert!((area / expected - 1.0).abs() < 0.05, "{area} {expected}");
}

#[test]
fn earlier_mask_is_used() {
    let engine = load(&tiny::encoder(), &tiny::decoder()).unwrap();
    let pixels = vec![9u8; SIDE * SIDE * 3];
    let (image, geometry) = engine.preprocess().run(RgbView::new(SIDE, SIDE, &pixels).unwrap());
    let embedding = engine.encode(&image).unwrap();
    let point = Point { x: 5.0, y: 5.0, positive: true };
    let tokens = Prompt::new(vec![point], None, (SIDE, SIDE)).unwrap().tokens(&geometry);
    let everything = Array2::from_elem((SIDE, SIDE), 1e5);
    let decoded = engine.decode(&embedding, &tokens, Some(everything.view())).unwrap();
    assert!(decoded.single().0.iter().all(|&logit| logit > 0.0));
    let small = Array2::zeros((8, 8));
    let error = engine.decode(&embedding, &tokens, Some(small.view())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "decoder.onnx: input mask_input is f32 [8, 8], expected f32 [64, 64]"
    );
    assert_eq!(geometry, Geometry::new((SIDE, SIDE), SIDE));
}

#[test]
fn corrupt_files_are_named() {
    let (encoder, decoder) = (tiny::encoder(), tiny::decoder());
    assert!(refusal(b"not a protocol buffer at all", &decoder).starts_with("encoder.onnx: "));
    assert!(refusal(&encoder, &[]).starts_with("decoder.onnx: "));
}

/// Half a file is an error and not a panic, whatever tract does with it.
#[test]
fn files_truncated_or_altered_anywhere_never_panic() {
    let (encoder, decoder) = (tiny::encoder(), tiny::decoder());
    for length in (0..decoder.len()).step_by(7) {
        assert!(load(&encoder, &decoder[..length]).is_err(), "cut after {length}");
    }
    for at in (0..decoder.len()).step_by(11) {
        let mut altered = decoder.clone();
        altered[at] ^= 0x15;
        // Most bytes belong to constants and names, so some of these files do load.
        drop(load(&encoder, &altered));
    }
}

#[test]
fn other_input_size_is_refused_with_both_shapes() {
    assert_eq!(
        refusal(&tiny::encoder_for(32), &tiny::decoder()),
        "encoder.onnx: input image is f32 [1, 3, 32, 32], expected f32 [1, 3, 64, 64]"
    );
}

#[test]
fn swapped_files_are_refused_with_the_missing_input() {
    assert_eq!(
        refusal(&tiny::decoder(), &tiny::encoder()),
        "encoder.onnx: input image is missing, expected f32 [1, 3, 64, 64]"
    );
}

#[test]
fn build_for_a_newer_service_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = tiny::build_of(folder.path(), tiny::encoder(), tiny::decoder(), "99.0.0");
    let build = Build::read(&path, &Limits::default()).unwrap();
    let Err(error) = Engine::load(&build, ONE) else { panic!("loaded") };
    let message = error.to_string();
    assert!(message.starts_with("build tiny 1.0.0 needs medsa-edge 99.0.0 or later"), "{message}");
}
