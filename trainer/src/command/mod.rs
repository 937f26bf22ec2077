//! Commands of `medsa-train`.

mod check;
mod compare;
mod csv;
mod distill;
mod eval;
mod fit;
mod import;
mod inspect;
mod masks;
mod measure;
mod predict;
mod sheet;
mod split;
mod table;
mod teach;
mod to_pytorch;

use std::fmt::Display;
use std::path::Path;

use clap::{Parser, Subcommand};
use medsa_console::eprintln;
use medsa_trainer::data::Dataset;

pub use self::fit::Stopped;

/// Train Med-SA adapters
#[derive(Parser)]
#[command(name = "medsa-train", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check an original SAM checkpoint and write it in the form that the other tools read
    Import(import::Import),
    /// Report problems of a data set
    Check(check::Check),
    /// Split a data set into training, validation and test; images of one subject, or similar
    /// images, stay in one part
    Split(split::SplitCommand),
    /// Label unlabelled images with masks that the base model finds. Training on them, in addition
    /// to your labels, keeps the abilities of the base
    Teach(teach::Teach),
    /// Train an adapter. SIGTERM, SIGUSR1 and Ctrl-C stop it after the current step with exit code
    /// 75; --resume continues
    Fit(fit::FitCommand),
    /// Compare runs of `fit`, finished or running: what they train, their speed, and their last
    /// validation. For runs that differ only in the seed, also the mean and the standard deviation
    Compare(compare::Compare),
    /// Make a base model with a strided stem at a quarter of the cost, and train the stem to
    /// reproduce the original's embeddings of unlabelled frames
    Distill(distill::DistillCommand),
    /// Measure how well a model, with or without an adapter, segments images for prompts
    Eval(eval::Eval),
    /// Segment one image; prints score and area as JSON
    Predict(predict::Predict),
    /// Write a base model and an adapter as a checkpoint of the released Med-SA code, for PyTorch
    ToPytorch(to_pytorch::ToPytorch),
    /// Describe a base model or an adapter
    Inspect(inspect::Inspect),
}

/// Runs a command.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Import(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Split(command) => command.run(),
        Command::Teach(command) => command.run(),
        Command::Fit(command) => command.run(),
        Command::Compare(command) => command.run(),
        Command::Distill(command) => command.run(),
        Command::Eval(command) => command.run(),
        Command::Predict(command) => command.run(),
        Command::ToPytorch(command) => command.run(),
        Command::Inspect(command) => command.run(),
    }
}

/// Device to compute on: a GPU if one is available and this program was built for it.
fn device() -> anyhow::Result<candle_core::Device> {
    Ok(candle_core::Device::cuda_if_available(0)?)
}

/// Warns about files of a data set that are not used, with reasons.
fn warn_of_problems(data: &Path) -> anyhow::Result<()> {
    let (_, problems) = Dataset::open(data)?;
    problems.iter().for_each(|problem| eprintln!("warning: skipped: {problem}"));
    Ok(())
}

/// An error with the name of a file.
fn at<E: Display>(path: &Path) -> impl Fn(E) -> anyhow::Error {
    move |error| anyhow::anyhow!("{}: {error}", path.display())
}
