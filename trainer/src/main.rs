//! `medsa-train`: base models and adapters.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use medsa_trainer::Checkpoint;

/// Train Med-SA adapters.
#[derive(Parser)]
#[command(version)]
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

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
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
