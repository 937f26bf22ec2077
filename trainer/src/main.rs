//! `medsa-train`: base models, data sets, training and evaluation of adapters.

mod command;

use std::process::ExitCode;

use clap::Parser;

/// Maps of many megabytes come and go in every step: the system's allocator would give each
/// back to the kernel and take the page faults again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The message says it all: what it came from is in it.
    let Err(error) = command::run(command::Cli::parse()) else { return ExitCode::SUCCESS };
    eprintln!("medsa-train: {error}");
    ExitCode::FAILURE
}
