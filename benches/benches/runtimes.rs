//! The engine compared with other runtimes: the same network, input, threads and machine. Runtimes
//! take turns, so that other load on the machine affects all of them.
//!
//! `cargo bench -p medsa-benches --bench runtimes -- ENGINE FILES SIZE PYTHON CHECKPOINT ROUNDS
//! OUT` is run by `make bench`, which also makes these files. ENGINE is the built
//! `engine/examples/engine.rs`. FILES is a folder of ONNX files with one folder for each form in
//! [`RUNTIMES`]. SIZE is the side of the input in pixels. PYTHON is an interpreter with the other
//! runtimes. CHECKPOINT is LiteMedSAM's, for PyTorch. OUT, the table in Markdown, is rewritten
//! after each measured process, so that results are kept if the benchmark is stopped. Times of all
//! runs are printed to standard error.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use serde_json::Value;

/// A runtime with its arithmetic.
struct Runtime {
    name: &'static str,
    precision: &'static str,
    program: Program,
    /// Folder with its files; unused for PyTorch.
    form: &'static str,
    pace: Pace,
}

enum Program {
    Engine,
    /// Name of the runtime for runtimes.py.
    Python(&'static str),
}

#[derive(Clone, Copy, PartialEq)]
enum Pace {
    /// One cold run in each round, and some warm ones.
    EveryRound,
    /// A single run, because it takes long.
    Once,
}

/// Our int8 comes first.
#[rustfmt::skip]
const RUNTIMES: [Runtime; 12] = {
    use Pace::{EveryRound, Once};
    use Program::{Engine, Python};
    const fn runtime(
        name: &'static str,
        precision: &'static str,
        program: Program,
        form: &'static str,
        pace: Pace,
    ) -> Runtime {
        Runtime { name, precision, program, form, pace }
    }
    [
        runtime("ours", "int8", Engine, "int8", EveryRound),
        runtime("ours", "f32", Engine, "f32", EveryRound),
        runtime("stock tract", "f32", Engine, "f32-plain", EveryRound),
        runtime("onnxruntime", "f32", Python("onnxruntime"), "f32-plain", EveryRound),
        runtime("onnxruntime", "int8 (dynamic)", Python("onnxruntime"), "dynamic", EveryRound),
        runtime("onnxruntime", "int8 (QDQ)", Python("onnxruntime"), "qdq", EveryRound),
        runtime("OpenVINO", "f32", Python("openvino-f32"), "f32-plain", EveryRound),
        runtime(OPENVINO_BF16.0, OPENVINO_BF16.1, Python("openvino-bf16"), "f32-plain", EveryRound),
        runtime("OpenVINO", "int8 (QDQ)", Python("openvino-f32"), "qdq", EveryRound),
        runtime("PyTorch", "f32", Python("pytorch"), "", EveryRound),
        // Our file, which is not made for these runtimes: they quantize layers node by node.
        runtime("stock tract", "int8 (ours)", Engine, "int8-plain", Once),
        runtime("onnxruntime", "int8 (ours)", Python("onnxruntime"), "int8-plain", Once),
    ]
};

const OPENVINO_BF16: (&str, &str) = ("OpenVINO", "bf16");

const PARTS: [&str; 2] = ["encoder", "decoder"];
const THREADS: [usize; 2] = [1, 2];
/// Runs of a process; the first one is cold and not counted.
const RUNS: usize = 4;

/// Results of one runtime with one number of threads.
#[derive(Default)]
struct Measured {
    /// Milliseconds of the runs, for encoder and decoder.
    ms: [Vec<f64>; 2],
    peak_mb: f64,
    note: String,
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).filter(|a| a != "--bench").collect();
    let [engine, files, size, python, checkpoint, rounds, out] = &arguments[..] else {
        println!(
            "runtimes: not run, because no files were given (see the beginning of benches/benches/runtimes.rs)"
        );
        return;
    };
    let rounds: usize = rounds.parse().expect("a number of rounds");
    let mut all = THREADS.map(|_| RUNTIMES.map(|_| Measured::default()));
    for round in 0..rounds {
        for (of_threads, threads) in THREADS.into_iter().enumerate() {
            for (of_runtime, runtime) in RUNTIMES.iter().enumerate() {
                if runtime.pace == Pace::Once && round > 0 {
                    continue;
                }
                let runs = if runtime.pace == Pace::Once { 1 } else { RUNS };
                let mut command = match runtime.program {
                    Program::Engine => Command::new(engine),
                    Program::Python(kind) => {
                        let benches = env::var("CARGO_MANIFEST_DIR").expect("cargo runs it");
                        let mut command = Command::new(python);
                        command.arg(Path::new(&benches).join("python/runtimes.py")).arg(kind);
                        command
                    }
                };
                command.args([size, &threads.to_string(), &runs.to_string()]);
                if runtime.form.is_empty() {
                    command.arg(checkpoint);
                } else {
                    let folder = Path::new(files).join(runtime.form);
                    command.args(PARTS.map(|part| folder.join(format!("{part}.onnx"))));
                }
                let Runtime { name, precision, .. } = runtime;
                let answer = run(&mut command);
                eprintln!("round {round}, {threads} threads, {name} {precision}: {answer}");
                all[of_threads][of_runtime].add(&answer);
                fs::write(out, table(&all)).unwrap_or_else(|e| panic!("{out}: {e}"));
            }
        }
    }
    print!("{}", table(&all));
}

/// JSON output of a process; null if it failed.
fn run(command: &mut Command) -> Value {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        eprintln!("{command:?}: {}", said.lines().last().unwrap_or_default());
    }
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

impl Measured {
    fn add(&mut self, answer: &Value) {
        for (part, ms) in PARTS.iter().zip(&mut self.ms) {
            let runs = answer[part].as_array().map_or(&[][..], Vec::as_slice);
            let cold = usize::from(runs.len() > 1);
            ms.extend(runs.iter().skip(cold).filter_map(Value::as_f64));
            ms.sort_by(f64::total_cmp);
        }
        let peak_mb = answer["peak_mb"][0].as_f64().unwrap_or_default();
        self.peak_mb = self.peak_mb.max(peak_mb);
        if let Some(note) = answer["note"].as_str() {
            self.note = note.to_owned();
        }
    }

    /// Median and minimum time of encoder (0) or decoder (1), in ms.
    fn summary(&self, part: usize) -> Option<[f64; 2]> {
        let ms = &self.ms[part];
        Some([*ms.get(ms.len() / 2)?, *ms.first()?])
    }
}

fn table(all: &[[Measured; RUNTIMES.len()]; THREADS.len()]) -> String {
    let mut text = String::from(
        "| threads | runtime | encoder ms: median, minimum | decoder ms | memory MB | |\n\
         |---|---|---|---|---|---|\n",
    );
    for (threads, all) in THREADS.iter().zip(all) {
        for (Runtime { name, precision, .. }, measured) in RUNTIMES.iter().zip(all) {
            let cell = |part| match measured.summary(part) {
                Some([median, minimum]) => format!("{median:.1}, {minimum:.1}"),
                None => "-".to_owned(),
            };
            let [encoder, decoder] = [cell(0), cell(1)];
            let Measured { peak_mb, note, .. } = measured;
            text += &format!(
                "| {threads} | {name} {precision} | {encoder} | {decoder} | {peak_mb:.0} | {note} |\n"
            );
        }
    }
    text += "\nOurs int8, share of the time of others; medians, minima:\n\n\
             | part | threads | of the fastest other | of OpenVINO bf16 | two threads of one |\n\
             |---|---|---|---|---|\n";
    for (part, part_name) in PARTS.iter().enumerate() {
        for (threads, of_threads) in THREADS.iter().zip(all) {
            let ratio = |measured: Option<[f64; 2]>, to: Option<[f64; 2]>| match (measured, to) {
                (Some(a), Some(b)) => format!("{:.2}, {:.2}", a[0] / b[0], a[1] / b[1]),
                _ => "-".to_owned(),
            };
            let ours = of_threads[0].summary(part);
            let others = RUNTIMES.iter().zip(of_threads).filter(|(other, _)| other.name != "ours");
            let others =
                others.filter_map(|(other, measured)| Some((other, measured.summary(part)?)));
            let fastest = others.clone().min_by(|(_, a), (_, b)| a[0].total_cmp(&b[0]));
            let of_fastest = ratio(ours, fastest.map(|(_, summary)| summary));
            let fastest = fastest.map_or(String::new(), |(Runtime { name, precision, .. }, _)| {
                format!(" ({name} {precision})")
            });
            let bf16 =
                others.clone().find(|(other, _)| (other.name, other.precision) == OPENVINO_BF16);
            let of_bf16 = ratio(ours, bf16.map(|(_, summary)| summary));
            let of_one = match threads {
                1 => String::new(),
                _ => ratio(ours, all[0][0].summary(part)),
            };
            text += &format!(
                "| {part_name} | {threads} | {of_fastest}{fastest} | {of_bf16} | {of_one} |\n"
            );
        }
    }
    text
}
