//! `medsa-train`: base models.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use medsa_trainer::Checkpoint;

/// Base models for Med-SA.
#[derive(Parser)]
#[command(name = "medsa-train", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check an original SAM checkpoint and write it in the form that the other tools read
    Import {
        /// The checkpoint, .pth or .safetensors
        #[arg(long)]
        base: PathBuf,
        /// The file to write
        #[arg(long)]
        out: PathBuf,
    },
}

fn main() -> ExitCode {
    // The message says it all: what it came from is in it.
    let Err(error) = run(Cli::parse().command) else { return ExitCode::SUCCESS };
    eprintln!("medsa-train: {error}");
    ExitCode::FAILURE
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Import { base, out } => import(base, out),
    }
}

fn import(base: PathBuf, out: PathBuf) -> anyhow::Result<()> {
    let checkpoint = Checkpoint::read(&base)?;
    // Building the network once is what proves that every tensor is there and fits.
    checkpoint.sam(None)?;
    checkpoint.write(&out)?;
    let parameters: usize = checkpoint.weights.values().map(|value| value.len()).sum();
    println!(
        "{}: {} tensors, {:.2} M parameters, input {} px, sha256 {}",
        out.display(),
        checkpoint.weights.len(),
        parameters as f64 / 1e6,
        checkpoint.config.preprocess.input_size,
        checkpoint.origin.sha256
    );
    Ok(())
}
