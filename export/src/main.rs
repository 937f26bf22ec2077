//! `medsa-export`: builds for devices.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use medsa_bundle::Precision;
use medsa_export::{Folded, Recipe, Step};

/// Export networks to builds that devices run.
#[derive(Parser)]
#[command(name = "medsa-export", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fold the network, fit it to 8 bits, compare it with f32 on real frames, and pack
    Build(BuildCommand),
    /// Write an ONNX file out without local functions, for tools that know none
    Inline {
        /// The file with functions
        model: PathBuf,
        /// The file to write
        #[arg(long)]
        out: PathBuf,
    },
}

#[derive(Args)]
struct BuildCommand {
    /// The base model: .pth, or .safetensors made by `medsa-train import`
    #[arg(long)]
    base: PathBuf,
    /// The adapter that was trained on it
    #[arg(long)]
    adapter: Option<PathBuf>,
    /// Frames to which 8 bits are fitted, and others on which they are compared with f32: a DICOM
    /// file or a folder of pictures
    #[arg(long)]
    calibration: PathBuf,
    /// The build to write; its ONNX files, and those in f32, go into a folder beside it
    #[arg(long)]
    out: PathBuf,
    /// Side of the network input in pixels; by default that of the base's training
    #[arg(long)]
    input_size: Option<usize>,
    /// Arithmetic that goes into the build
    #[arg(long, value_enum, default_value = "int8")]
    precision: PrecisionArg,
    /// Fit and compare on at most this many frames each, spread evenly
    #[arg(long, default_value = "8")]
    frames: NonZeroUsize,
    /// Version of the build
    #[arg(long, default_value = "0.1.0")]
    build_version: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum PrecisionArg {
    F32,
    Int8,
}

fn main() -> ExitCode {
    // The message says it all: what it came from is in it.
    let Err(error) = run(Cli::parse().command) else { return ExitCode::SUCCESS };
    eprintln!("medsa-export: {error}");
    ExitCode::FAILURE
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Build(command) => build(command),
        Command::Inline { model, out } => Ok(medsa_export::inline(&model, &out)?),
    }
}

fn build(command: BuildCommand) -> anyhow::Result<()> {
    let recipe = Recipe {
        base: command.base,
        adapter: command.adapter,
        calibration: command.calibration,
        frames: command.frames,
        input_size: command.input_size,
        precision: match command.precision {
            PrecisionArg::F32 => Precision::F32,
            PrecisionArg::Int8 => Precision::Int8,
        },
        version: command.build_version,
        out: command.out,
    };
    let style = ProgressStyle::with_template("{msg:16} {bar:30} {pos}/{len}")?;
    let bar = ProgressBar::hidden().with_style(style);
    let show = |what: &'static str, done: usize, all: usize| {
        bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
        bar.set_message(what);
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    };
    let build = recipe.build(|step| match step {
        Step::Done(what) => println!("{what}"),
        Step::Folded(folded) => print!("{}", text(folded)),
        Step::Quantizing(what, done, all) => show(what, done, all),
        Step::Comparing(done, all) => show("comparing frames", done, all),
        Step::Compared(agreement, quantization) => {
            bar.finish_and_clear();
            println!(
                "in 8 bits: {:.1} % of all multiply-accumulates; in float stay {}",
                100.0 * quantization.int8_macs,
                quantization.in_float.join(", ")
            );
            println!(
                "int8 against f32: mask IoU {:.4} mean, {:.4} lowest, of {} masks on {} frames",
                agreement.mean_iou, agreement.min_iou, agreement.masks, agreement.frames
            );
        }
    })?;
    let bytes: u64 = build.manifest().files.values().map(|file| file.bytes).sum();
    println!("{} ({:.1} MB)", recipe.out.display(), bytes as f64 / 1e6);
    Ok(())
}

fn text(folded: &Folded) -> String {
    let mut text = "folded     parameters         GMAC           products\n".to_owned();
    for (part, (before, after)) in
        ["encoder", "decoder"].iter().zip(folded.before.iter().zip(&folded.after))
    {
        let giga = |macs: u64| macs as f64 / 1e9;
        text += &format!(
            "{part:9}  {:>7} > {:>7}  {:>6.3} > {:>6.3}  {:>4} > {:>4}\n",
            before.parameters,
            after.parameters,
            giga(before.macs),
            giga(after.macs),
            before.products,
            after.products
        );
    }
    let Folded { difference, largest, .. } = folded;
    text + &format!(
        "largest difference of a mask logit {difference:.1e}, of logits up to {largest:.1}\n"
    )
}
