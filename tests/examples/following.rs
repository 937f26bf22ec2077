//! Measures how well objects stay outlined, and prints tables.
//!
//! `following BUILD CLIP [DATA]`: CLIP is the echocardiography cine of `make demo`; DATA is the folder
//! of whole data sets, without which annotated sequences are left out.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use medsa_bundle::{Build, Limits};
use medsa_engine::Engine;
use medsa_tests::following::{self, Error, Event, Measured, PLACES, Still, sequences};

/// Durations of an encoder run in milliseconds.
const ENCODER_MS: [usize; 3] = [100, 250, 500];

/// Standard deviation of the noise, in grey values of 255.
const NOISE: f32 = 8.0;

/// Seconds for which the cine is played.
const SECONDS: usize = 60;

/// Sequences that are annotated: folder, value of the object in its masks, frames per second, and
/// those that no shipped adapter was trained on.
const SEQUENCES: [(&str, Option<u8>, usize, &[&str]); 2] =
    [("carotid", None, 2, &["0027", "0032", "0033"]), ("vocalfolds", Some(3), 4, &["seq4"])];

fn main() -> Result<(), Error> {
    let args: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [build, clip, data @ ..] = &args[..] else {
        return Err("usage: following BUILD CLIP [DATA]".into());
    };
    let build = Build::read(build, &Limits::default())?;
    let engine = Engine::load(&build, NonZeroUsize::MIN)?;
    cine(&engine, clip)?;
    stills(&engine)?;
    if let [data] = data {
        annotated(&engine, data)?;
    }
    Ok(())
}

fn cine(engine: &Engine, clip: &Path) -> Result<(), Error> {
    println!("Cine, forth and back for {SECONDS} s, one click at each of ten places:\n");
    cine_rows(engine, clip, 0.0)?;
    println!("\nThe same with noise of {NOISE} grey values, so that no frame returns unchanged:\n");
    cine_rows(engine, clip, NOISE)
}

fn cine_rows(engine: &Engine, clip: &Path, noise: f32) -> Result<(), Error> {
    println!("| encoder ms | outlined, least | places with >= 0.97 | overlap, least | mean |");
    println!("|---|---|---|---|---|");
    let all = following::cine(engine, clip, SECONDS, &PLACES, &ENCODER_MS, noise)?;
    for (ms, places) in ENCODER_MS.iter().zip(&all) {
        let outlined = places.iter().map(|place| place.outlined);
        let good = outlined.clone().filter(|share| *share >= 0.97).count();
        let overlaps: Vec<f32> = places.iter().flat_map(|place| place.overlaps.clone()).collect();
        println!(
            "| {ms} | {:.3} | {good} of {} | {:.2} | {:.2} |",
            outlined.fold(1.0, f32::min),
            places.len(),
            overlaps.iter().copied().fold(1.0, f32::min),
            overlaps.iter().sum::<f32>() / overlaps.len().max(1) as f32
        );
    }
    Ok(())
}

fn stills(engine: &Engine) -> Result<(), Error> {
    let root = medsa_test_inputs::repository().join("tests/data");
    let still = |set: &str, image: &str, class: u8| {
        let mask = Path::new(image).with_extension("png");
        Still::read(
            &root.join(set).join("images").join(image),
            &root.join(set).join("masks").join(mask),
            class,
        )
    };
    let stills = [
        still("usgra-nerve", "0022.jpg", 2)?,
        still("usgra-nerve", "0106.jpg", 2)?,
        still("hc18-fetal-head", "100_HC.png", 255)?,
    ];
    println!("\nStills in motion for 8 s at 30 frames/s, with an event from 3 to 5 s:\n");
    head();
    for event in Event::ALL {
        for by_box in [false, true] {
            for encoder_ms in ENCODER_MS {
                let mut sum = Vec::new();
                for (index, still) in stills.iter().enumerate() {
                    let other = &stills[(index + 1) % stills.len()];
                    let scene = still.scene(engine, event, other)?;
                    sum.push((scene.measure(by_box, encoder_ms)?, scene.rate));
                }
                let prompt = if by_box { "box" } else { "click" };
                row(&format!("{event:?}, {prompt}"), encoder_ms, &sum, None);
            }
        }
    }
    Ok(())
}

fn annotated(engine: &Engine, data: &Path) -> Result<(), Error> {
    println!("\nAnnotated sequences, every image encoded:\n");
    head();
    for (set, class, rate, held_out) in SEQUENCES {
        let scenes = sequences(engine, &data.join(set), class, rate)?;
        for scene in &scenes {
            let clicked = scene.clicked_anew()?;
            let measured = [(scene.measure(false, 0)?, scene.rate)];
            let note = if held_out.contains(&scene.name.as_str()) { " (held out)" } else { "" };
            let frames = scene.truth.len();
            row(&format!("{set} {}{note}, {frames}", scene.name), 0, &measured, Some(clicked));
        }
    }
    Ok(())
}

fn head() {
    println!(
        "| scene | encoder ms | outlined | J | clicked anew | false outlines | return s | \
         jitter px | lag p95 ms |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
}

/// Prints the mean over plays, and the longest return and lag.
fn row(name: &str, encoder_ms: usize, of: &[(Measured, usize)], clicked_anew: Option<f32>) {
    let mean = |f: &dyn Fn(&Measured) -> f32| {
        of.iter().map(|(measured, _)| f(measured)).sum::<f32>() / of.len().max(1) as f32
    };
    let longest = |f: &dyn Fn(&Measured) -> Option<f32>, unit: f32| {
        let times = of.iter().filter_map(|(m, rate)| Some(f(m)? / *rate as f32 * unit));
        times.reduce(f32::max).map_or_else(|| "-".into(), |time| format!("{time:.2}"))
    };
    println!(
        "| {name} | {encoder_ms} | {:.3} | {:.3} | {} | {:.3} | {} | {:.1} | {} |",
        mean(&|m| m.outlined),
        mean(&|m| m.j),
        clicked_anew.map_or_else(|| "-".into(), |j| format!("{j:.3}")),
        mean(&|m| m.false_outlines),
        longest(&|m| m.frames_to_return.map(|frames| frames as f32), 1.0),
        mean(&|m| m.jitter_px),
        longest(&|m| m.lag_frames, 1e3)
    );
}
