//! `medsa-export`: makes and verifies builds for devices.
// Standard output and error may be closed: see `medsa-console`.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use clap::{Args, Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use medsa_bundle::QuantizationReport;
use medsa_console::{eprintln, print, println};
use medsa_export::{
    Calibrate, Calibration, CalibrationFrames, CalibrationSource, FitnessLimits, Folded, Progress,
    QuantizeBase, Recipe, Verified, Verify,
};
use medsa_trainer::data::{IgnoredValue, ValueTable};
use medsa_trainer::prompts::PromptKind;
use medsa_trainer::train::{DataConfig, Stock};

/// Make builds that devices run from trained networks
#[derive(Parser)]
#[command(name = "medsa-export", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a build: fold the network, calibrate int8, compare with f32 on real frames, and pack
    Build(BuildCommand),
    /// Calibrate int8 and write the result to a file, with which `build` needs no frames
    Calibrate(CalibrateCommand),
    /// Compare a build with the trained network, on images with ground truth
    Verify(VerifyCommand),
    /// Calibrate int8 for a base model, for `medsa-train fit --quantized-base`
    Quantize(QuantizeCommand),
    /// Write an ONNX file without local functions, for tools that do not support them
    Inline {
        /// ONNX file with local functions
        model: PathBuf,
        /// ONNX file to write
        #[arg(long)]
        out: PathBuf,
    },
}

#[derive(Args)]
struct BuildCommand {
    #[command(flatten)]
    network: NetworkArgs,
    /// Calibration of int8: a file from `medsa-export calibrate` for the same base, adapter and
    /// input size; or frames, a DICOM file or a folder of images. Frames may be given several
    /// times, for example once for each task of the adapter; other frames than those used for
    /// calibration are compared with f32
    #[arg(long, value_name = "PATH")]
    calibration: Vec<PathBuf>,
    #[command(flatten)]
    frames: FramesArg,
    /// Build file to write; its ONNX files, int8 and f32, are written to a folder next to it
    #[arg(long)]
    out: PathBuf,
    /// Arithmetic of the models in the build
    #[arg(long, value_enum, default_value = "int8")]
    precision: PrecisionArg,
    /// File with a licence text to include. May be given several times
    #[arg(long, value_name = "FILE")]
    licence: Vec<PathBuf>,
    /// TOML file with the limits that the build must meet; see export/limits.example.toml
    #[arg(long, value_name = "FILE")]
    limits: Option<PathBuf>,
    /// Write a build that misses its limits, marked as unfit; devices refuse it
    #[arg(long)]
    danger_allow: bool,
    /// Version of the build
    #[arg(long, default_value = "0.1.0")]
    build_version: String,
}

#[derive(Args)]
struct CalibrateCommand {
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    calibration: CalibrationArgs,
    /// File to write
    #[arg(long)]
    out: PathBuf,
}

#[derive(Args)]
struct QuantizeCommand {
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    calibration: CalibrationArgs,
    /// File to write; it does not contain the adapter
    #[arg(long)]
    out: PathBuf,
}

#[derive(Args)]
struct NetworkArgs {
    /// Base model: .pth, or .safetensors made by `medsa-train import`
    #[arg(long)]
    base: PathBuf,
    /// Adapter trained on the base model
    #[arg(long)]
    adapter: Option<PathBuf>,
    /// Side of the network input in pixels; by default that of training
    #[arg(long)]
    input_size: Option<usize>,
}

#[derive(Args)]
struct CalibrationArgs {
    /// Frames for int8 calibration: a DICOM file or a folder of images. May be given several times,
    /// for example once for each task of the adapter
    #[arg(long, required = true, value_name = "FRAMES")]
    calibration: Vec<PathBuf>,
    #[command(flatten)]
    frames: FramesArg,
}

impl CalibrationArgs {
    fn frames(self) -> CalibrationFrames {
        CalibrationFrames { paths: self.calibration, limit: self.frames.frames }
    }
}

#[derive(Args)]
struct FramesArg {
    /// Largest number of frames per --calibration, evenly spread, for calibration and for
    /// comparison each
    #[arg(long, default_value = "8")]
    frames: NonZeroUsize,
}

#[derive(Args)]
struct VerifyCommand {
    /// Build to verify
    build: PathBuf,
    /// Base model that the build was made from
    #[arg(long)]
    base: PathBuf,
    /// Adapter that the build was made from
    #[arg(long)]
    adapter: Option<PathBuf>,
    /// Folder with images/ and masks/, with annotations, or with records of a device
    #[arg(long)]
    data: PathBuf,
    /// Split whose validation part is used [default: all images]
    #[arg(long)]
    split: Option<PathBuf>,
    /// Names of the classes 1, 2, ...
    #[arg(long, value_delimiter = ',')]
    classes: Vec<String>,
    /// Value of mask pixels that are not scored: auto (255, if masks have it beside classes), off,
    /// or a value
    #[arg(long, value_name = "VALUE", default_value_t = IgnoredValue::Auto)]
    ignore: IgnoredValue,
    /// Meaning of the values in masks, as 127=1,200-255=nerve,50=ignore [default: 0 is background,
    /// the others are class numbers, and a lone 255 is class 1]
    #[arg(long, value_name = "VALUE=CLASS,...", default_value = "", hide_default_value = true)]
    values: ValueTable,
    /// Kinds of prompts, comma-separated
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_values_t = [PromptKind::Center, PromptKind::Box75]
    )]
    prompt: Vec<PromptKind>,
    /// Number of images on which the device's runtime is compared, too
    #[arg(long, default_value_t = 2)]
    edge_frames: usize,
    /// HTML page to write, with the results and images of the data set
    #[arg(long, value_name = "FILE")]
    card: Option<PathBuf>,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum PrecisionArg {
    F32,
    Int8,
}

fn main() -> ExitCode {
    // SAFETY: no other thread runs yet.
    unsafe { medsa_trainer::use_all_cores() };
    // The message already contains the cause.
    let done = run(Cli::parse().command).and_then(|()| Ok(medsa_console::finish()?));
    let Err(error) = done else { return ExitCode::SUCCESS };
    eprintln!("medsa-export: {error}");
    ExitCode::FAILURE
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Build(command) => build(command),
        Command::Calibrate(command) => calibrate(command),
        Command::Verify(command) => verify(command),
        Command::Quantize(command) => quantize(command),
        Command::Inline { model, out } => Ok(medsa_export::inline(&model, &out)?),
    }
}

fn quantize(command: QuantizeCommand) -> anyhow::Result<()> {
    let QuantizeCommand { network, calibration, out } = command;
    let NetworkArgs { base, adapter, input_size } = network;
    let quantize = QuantizeBase { base, adapter, frames: calibration.frames(), input_size, out };
    let bar = bar()?;
    let report = quantize.run(|what, done, all| show(&bar, what, done, all))?;
    bar.finish_and_clear();
    println!("{}", int8_text(&report));
    Ok(())
}

fn calibrate(command: CalibrateCommand) -> anyhow::Result<()> {
    let CalibrateCommand { network, calibration, out } = command;
    let NetworkArgs { base, adapter, input_size } = network;
    let calibrate = Calibrate { base, adapter, input_size, frames: calibration.frames(), out };
    let bar = bar()?;
    let calibration = calibrate.run(|what, done, all| show(&bar, what, done, all))?;
    bar.finish_and_clear();
    print!("{}", calibration_text(&calibration));
    let bytes = fs::metadata(&calibrate.out)?.len();
    println!("{} ({:.2} MB)", calibrate.out.display(), bytes as f64 / 1e6);
    Ok(())
}

fn calibration_text(Calibration { report, agreement, .. }: &Calibration) -> String {
    format!(
        "{}\nint8 compared with f32: mask IoU {:.4} mean, {:.4} lowest, {} masks on {} frames\n",
        int8_text(report),
        agreement.mean_iou,
        agreement.min_iou,
        agreement.masks,
        agreement.frames
    )
}

fn int8_text(report: &QuantizationReport) -> String {
    let in_float = match report.in_float.as_slice() {
        [] => "none".to_owned(),
        names => names.join(", "),
    };
    let part = 100.0 * report.int8_macs;
    format!("int8: {part:.1} % of all multiply-accumulates; layers in float: {in_float}")
}

fn verify(command: VerifyCommand) -> anyhow::Result<()> {
    let data = DataConfig {
        ignore: command.ignore,
        values: command.values,
        ..DataConfig::new(&command.data, command.split.as_deref(), &command.classes)
    };
    let stock = match &data.split {
        Some(_) => Stock::open(&data)?,
        None => Stock::whole(&data)?,
    };
    let mut kinds = command.prompt;
    kinds.sort();
    kinds.dedup();
    let verify = Verify {
        build: command.build,
        base: command.base,
        adapter: command.adapter,
        kinds,
        edge_frames: command.edge_frames,
        threads: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        card: command.card,
    };
    let bar = bar()?;
    let verified = verify.run(&stock, |what, done, all| show(&bar, what, done, all))?;
    bar.finish_and_clear();
    if command.json {
        println!("{}", serde_json::to_string_pretty(&verified)?);
    } else {
        print!("{}", verified_text(&verified));
    }
    Ok(())
}

fn verified_text(verified: &Verified) -> String {
    let mut text = "                            Dice                      IoU build - trained\n\
                    class            prompt   n    trained  folded   build    mean    lowest\n"
        .to_owned();
    for row in &verified.rows {
        text += &format!(
            "{:16} {:8} {:<4} {:.3}    {:.3}    {:.3}    {:.3}   {:.3}\n",
            row.class,
            row.prompt.name(),
            row.trained.count,
            row.trained.mean,
            row.folded.mean,
            row.build.mean,
            row.agreement.mean,
            row.lowest
        );
    }
    if let Some(edge) = &verified.edge {
        text += &format!(
            "device runtime: IoU with the same arithmetic {:.4} mean, {:.4} lowest, {} masks; \
             encoder {:.0} ms, decoder {:.0} ms\n",
            edge.mean_iou, edge.min_iou, edge.masks, edge.encoder_ms, edge.decoder_ms
        );
    }
    if !verified.worst_layers.is_empty() {
        text += "mean squared change of mask probabilities with only one layer in int8\n";
    }
    for (name, error) in &verified.worst_layers {
        text += &format!("{error:.1e}  {name}\n");
    }
    text + &format!("{:.1} MB\n", verified.bytes as f64 / 1e6)
}

fn bar() -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{msg:16} {bar:30} {pos}/{len}")?;
    Ok(ProgressBar::hidden().with_style(style))
}

fn show(bar: &ProgressBar, what: &'static str, done: usize, all: usize) {
    bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
    bar.set_message(what);
    bar.set_length(all as u64);
    bar.set_position(done as u64);
}

fn build(command: BuildCommand) -> anyhow::Result<()> {
    let (calibration, frames) = (command.calibration, command.frames.frames);
    let recipe = Recipe {
        base: command.network.base,
        adapter: command.network.adapter,
        input_size: command.network.input_size,
        int8: match command.precision {
            PrecisionArg::F32 => None,
            PrecisionArg::Int8 => Some(CalibrationSource::of(calibration, frames)?),
        },
        version: command.build_version,
        licences: command.licence,
        limits: match &command.limits {
            Some(path) => FitnessLimits::read(path)?,
            None => FitnessLimits::default(),
        },
        danger_allow: command.danger_allow,
        out: command.out,
    };
    let bar = bar()?;
    let build = recipe.build(|step| match step {
        Progress::Done(what) => println!("{what}"),
        Progress::Folded(folded) => print!("{}", text(folded)),
        Progress::Calibrating(what, done, all) => show(&bar, what, done, all),
        Progress::Calibrated(calibration) => {
            bar.finish_and_clear();
            print!("{}", calibration_text(calibration));
        }
    })?;
    let bytes: u64 = build.manifest().files.values().map(|file| file.bytes).sum();
    for missed in &build.manifest().unfit {
        println!("UNFIT for devices: {missed}");
    }
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
        "largest difference of a mask logit: {difference:.1e} (largest logit: {largest:.1})\n"
    )
}
