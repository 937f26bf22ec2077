//! `medsa-export`: builds for devices.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use clap::{Args, Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use medsa_bundle::{Precision, QuantizationReport};
use medsa_export::{FitnessLimits, Folded, QuantizeBase, Recipe, Step, Verified, Verify};
use medsa_trainer::prompts::PromptKind;
use medsa_trainer::train::{DataConfig, Stock};

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
    /// Compare a build with the network as it was trained, on pictures whose masks are known
    Verify(VerifyCommand),
    /// Fit a base to 8 bits, for `medsa-train fit --quantized-base`
    Quantize(QuantizeCommand),
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
    #[command(flatten)]
    network: NetworkArgs,
    /// The build to write; its ONNX files, and those in f32, go into a folder beside it
    #[arg(long)]
    out: PathBuf,
    /// Arithmetic that goes into the build
    #[arg(long, value_enum, default_value = "int8")]
    precision: PrecisionArg,
    /// The text of a licence that goes into the build. May be given several times
    #[arg(long, value_name = "FILE")]
    licence: Vec<PathBuf>,
    /// What the build must hold: a TOML file, see export/limits.example.toml
    #[arg(long, value_name = "FILE")]
    limits: Option<PathBuf>,
    /// Write a build that misses these limits, marked as unfit: devices refuse it
    #[arg(long)]
    danger_allow: bool,
    /// Version of the build
    #[arg(long, default_value = "0.1.0")]
    build_version: String,
}

#[derive(Args)]
struct QuantizeCommand {
    #[command(flatten)]
    network: NetworkArgs,
    /// The file to write; the adapter is not in it
    #[arg(long)]
    out: PathBuf,
}

/// A network, and what it is fitted to.
#[derive(Args)]
struct NetworkArgs {
    /// The base model: .pth, or .safetensors made by `medsa-train import`
    #[arg(long)]
    base: PathBuf,
    /// The adapter that was trained on it
    #[arg(long)]
    adapter: Option<PathBuf>,
    /// Frames to which 8 bits are fitted; a build is compared with f32 on others of them. A DICOM
    /// file or a folder of pictures. May be given several times: the tasks of an adapter differ
    #[arg(long, required = true)]
    calibration: Vec<PathBuf>,
    /// Side of the network input in pixels; by default that of training
    #[arg(long)]
    input_size: Option<usize>,
    /// At most this many frames of each source for either purpose, spread evenly
    #[arg(long, default_value = "8")]
    frames: NonZeroUsize,
}

#[derive(Args)]
struct VerifyCommand {
    /// The build
    build: PathBuf,
    /// The base model that it was made of
    #[arg(long)]
    base: PathBuf,
    /// The adapter that it was made of
    #[arg(long)]
    adapter: Option<PathBuf>,
    /// The folder with images/ and masks/
    #[arg(long)]
    data: PathBuf,
    /// The split whose validation part is used; without it all pictures
    #[arg(long)]
    split: Option<PathBuf>,
    /// Names of the classes 1, 2, ...
    #[arg(long, value_delimiter = ',')]
    classes: Vec<String>,
    /// Kinds of prompts, comma-separated
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_values_t = [PromptKind::Center, PromptKind::Box75]
    )]
    prompt: Vec<PromptKind>,
    /// Run the edge's runtime on so many of the pictures, too
    #[arg(long, default_value_t = 2)]
    edge_frames: usize,
    /// Write a page with these figures and pictures of the data set
    #[arg(long, value_name = "FILE")]
    card: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
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
        Command::Verify(command) => verify(command),
        Command::Quantize(command) => quantize(command),
        Command::Inline { model, out } => Ok(medsa_export::inline(&model, &out)?),
    }
}

fn quantize(command: QuantizeCommand) -> anyhow::Result<()> {
    let QuantizeCommand { network, out } = command;
    let NetworkArgs { base, adapter, calibration, input_size, frames } = network;
    let quantize = QuantizeBase { base, adapter, calibration, frames, input_size, out };
    let bar = bar()?;
    let report = quantize.run(|what, done, all| show(&bar, what, done, all))?;
    bar.finish_and_clear();
    println!("{}", in_8_bits(&report));
    Ok(())
}

fn in_8_bits(report: &QuantizationReport) -> String {
    let in_float = match report.in_float.as_slice() {
        [] => "nothing".to_owned(),
        names => names.join(", "),
    };
    let part = 100.0 * report.int8_macs;
    format!("in 8 bits: {part:.1} % of all multiply-accumulates; in float stays {in_float}")
}

fn verify(command: VerifyCommand) -> anyhow::Result<()> {
    let stock = match &command.split {
        Some(split) => Stock::open(&DataConfig::new(&command.data, Some(split), &command.classes))?,
        None => Stock::whole(&command.data, &command.classes)?,
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
    let mut text =
        "                            Dice                      IoU of build and trained\n\
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
            "the edge's runtime: IoU with the same arithmetic {:.4} mean, {:.4} lowest, of {} masks; \
             encoder {:.0} ms, decoder {:.0} ms\n",
            edge.mean_iou, edge.min_iou, edge.masks, edge.encoder_ms, edge.decoder_ms
        );
    }
    if !verified.worst_layers.is_empty() {
        text += "change of masks by one layer in 8 bits (mean square of probabilities)\n";
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
    let recipe = Recipe {
        base: command.network.base,
        adapter: command.network.adapter,
        calibration: command.network.calibration,
        frames: command.network.frames,
        input_size: command.network.input_size,
        precision: match command.precision {
            PrecisionArg::F32 => Precision::F32,
            PrecisionArg::Int8 => Precision::Int8,
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
        Step::Done(what) => println!("{what}"),
        Step::Folded(folded) => print!("{}", text(folded)),
        Step::Quantizing(what, done, all) => show(&bar, what, done, all),
        Step::Comparing(done, all) => show(&bar, "comparing frames", done, all),
        Step::Compared(agreement, quantization) => {
            bar.finish_and_clear();
            println!("{}", in_8_bits(quantization));
            println!(
                "int8 against f32: mask IoU {:.4} mean, {:.4} lowest, of {} masks on {} frames",
                agreement.mean_iou, agreement.min_iou, agreement.masks, agreement.frames
            );
        }
    })?;
    let bytes: u64 = build.manifest().files.values().map(|file| file.bytes).sum();
    for missed in &build.manifest().unfit {
        println!("UNFIT: {missed}");
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
        "largest difference of a mask logit {difference:.1e}, of logits up to {largest:.1}\n"
    )
}
