//! `medsa-train`: base models, data sets, training and evaluation of adapters.

mod command;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // The message says it all: what it came from is in it.
    let Err(error) = command::run(command::Cli::parse()) else { return ExitCode::SUCCESS };
    eprintln!("medsa-train: {error}");
    ExitCode::FAILURE
}
