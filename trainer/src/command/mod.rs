//! The commands.

mod check;
mod distill;
mod eval;
mod fit;
mod import;
mod inspect;
mod measure;
mod predict;
mod sheet;
mod split;
mod table;
mod teach;

use std::fmt::Display;
use std::path::Path;

use clap::{Parser, Subcommand};
use medsa_trainer::data::Dataset;

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
    /// Report what is wrong with a data set
    Check(check::Check),
    /// Split a data set into training, validation and test; images of one subject, or images that
    /// look alike, stay together
    Split(split::SplitCommand),
    /// Find masks with the base model in unlabelled images, to train on beside labels so that an
    /// adapter does not forget what the base can do
    Teach(teach::Teach),
    /// Train an adapter
    Fit(fit::FitCommand),
    /// Make a base model with a strided stem, at a quarter of the cost, and fit the stem to the
    /// original's embeddings of unlabelled frames
    Distill(distill::DistillCommand),
    /// Measure how well a model, with or without an adapter, answers prompts
    Eval(eval::Eval),
    /// Segment one picture; prints score and area as JSON
    Predict(predict::Predict),
    /// Tell what a base model or an adapter is
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
        Command::Distill(command) => command.run(),
        Command::Eval(command) => command.run(),
        Command::Predict(command) => command.run(),
        Command::Inspect(command) => command.run(),
    }
}

/// The device to compute on: a GPU if there is one that this program was built for.
fn device() -> anyhow::Result<candle_core::Device> {
    Ok(candle_core::Device::cuda_if_available(0)?)
}

/// Says which files of a data set are not used, and why.
fn warn_of_problems(data: &Path) -> anyhow::Result<()> {
    let (_, problems) = Dataset::open(data)?;
    problems.iter().for_each(|problem| eprintln!("warning: left out: {problem}"));
    Ok(())
}

/// An error that names a file.
fn at<E: Display>(path: &Path) -> impl Fn(E) -> anyhow::Error {
    move |error| anyhow::anyhow!("{}: {error}", path.display())
}
