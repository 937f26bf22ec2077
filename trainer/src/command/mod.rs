//! The commands.

mod check;
mod eval;
mod fit;
mod import;
mod split;

use clap::{Parser, Subcommand};

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
    /// Split a data set for training and validation; pictures that look alike stay together
    Split(split::SplitCommand),
    /// Train an adapter
    Fit(fit::FitCommand),
    /// Measure how well a model, with or without an adapter, answers prompts
    Eval(eval::Eval),
}

/// Runs a command.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Import(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Split(command) => command.run(),
        Command::Fit(command) => command.run(),
        Command::Eval(command) => command.run(),
    }
}

/// The device to compute on: a GPU if there is one that this program was built for.
fn device() -> anyhow::Result<candle_core::Device> {
    Ok(candle_core::Device::cuda_if_available(0)?)
}
