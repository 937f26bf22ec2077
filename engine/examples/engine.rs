//! Times the engine in a separate process: `engine SIZE THREADS RUNS ENCODER DECODER`, with the
//! side of the input in pixels and the two ONNX files. The input is a made-up image with one box.
//!
//! Further arguments are pairs `INPUT OUTPUT` of files with little-endian floats. INPUT is `[4 *
//! BOXES + 3 * SIZE * SIZE]`: corners of boxes in input pixels, then an image. OUTPUT becomes the
//! embedding and, for each box, the logits of its mask.
//!
//! Prints JSON: milliseconds of each run of encoder and decoder, the first one cold, and the peak
//! memory of the process in megabytes. The end of each step is written to standard error in a
//! single write, so that an emulator that counts instructions can use these writes as markers.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::time::Instant;
use std::{env, fs};

use medsa_engine::Engine;
use medsa_sam::image::{Fit, Normalization, Preprocess};
use medsa_sam::prompt::PromptTokens;
use ndarray::Array4;
use serde_json::json;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (settings, files) = arguments.split_at(arguments.len().min(5));
    let ([size, threads, runs, encoder, decoder], true) = (settings, files.len() % 2 == 0) else {
        eprintln!("usage: engine SIZE THREADS RUNS ENCODER DECODER [INPUT OUTPUT]...");
        std::process::exit(2);
    };
    let size: usize = size.parse().expect("a side in pixels");
    let threads: NonZeroUsize = threads.parse().expect("a number of threads");
    let runs: usize = runs.parse().expect("a number of runs");
    let read = |path: &String| fs::read(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let preprocess =
        Preprocess { input_size: size, normalization: Normalization::MinMax, fit: Fit::Pad };
    let engine = Engine::from_onnx(&read(encoder), &read(decoder), preprocess, threads);
    let engine = engine.unwrap_or_else(|e| panic!("{e}"));
    ended("load");

    // Same corners as in benches/python/runtimes.py.
    let corners = [0.3, 0.3, 0.7, 0.7].map(|share| share * size as f32);
    let image = Array4::from_shape_fn((1, 3, size, size), |(_, c, y, x)| {
        ((c * 7919 + y * 104_729 + x * 31) % 1009) as f32 / 1009.0
    });
    let a_box = tokens(&corners);
    ended("input");
    let (mut encoder_ms, mut decoder_ms) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let begin = Instant::now();
        let embedding = engine.encode(&image).expect("the encoder runs");
        encoder_ms.push(1e3 * begin.elapsed().as_secs_f64());
        ended("encoder");
        let begin = Instant::now();
        engine.decode(&embedding, &a_box, None).expect("the decoder runs");
        decoder_ms.push(1e3 * begin.elapsed().as_secs_f64());
        ended("decoder");
    }
    for pair in files.chunks_exact(2) {
        let (input, output) = (read(&pair[0]), &pair[1]);
        let floats = input.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let mut floats: Vec<f32> = floats.collect();
        let boxes = floats.len().checked_sub(image.len()).unwrap_or_else(|| {
            panic!("{}: {} numbers, expected at least {}", pair[0], floats.len(), image.len())
        });
        let image = Array4::from_shape_vec(image.raw_dim(), floats.split_off(boxes));
        let embedding = engine.encode(&image.expect("as many numbers")).expect("the encoder runs");
        let mut found: Vec<f32> = embedding.view().expect("it is a map").iter().copied().collect();
        for corners in floats.chunks_exact(4) {
            let decoded =
                engine.decode(&embedding, &tokens(corners), None).expect("the decoder runs");
            found.extend(decoded.single().0);
        }
        fs::write(output, found.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())
            .unwrap_or_else(|e| panic!("{output}: {e}"));
    }
    println!("{}", json!({ "encoder": encoder_ms, "decoder": decoder_ms, "peak_mb": [peak_mb()] }));
}

/// Tokens of a box given by its corners in input pixels.
fn tokens(corners: &[f32]) -> PromptTokens {
    PromptTokens::new(&[([corners[0], corners[1]], 2.0), ([corners[2], corners[3]], 3.0)])
}

fn ended(step: &str) {
    // A single unformatted write, since formatting would write in pieces. Errors are ignored, since
    // nobody may be reading.
    let _ = io::stderr().write_all(format!("{step}\n").as_bytes());
}

fn peak_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.split_whitespace().next()?.parse().ok()).unwrap_or(0.0) / 1e3
}
