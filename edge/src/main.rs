//! `medsa-edge`: see `medsa-edge --help`.

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use medsa_edge::Error;
use medsa_edge::command::{accept, check, run, segment, watch};
use tracing_subscriber::EnvFilter;

/// Outlines structures in medical images on the device, and tells over MQTT.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Segment(segment::Args),
    Accept(accept::Args),
    Check(check::Args),
    Run(run::Args),
    Watch(watch::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr();
    let Err(error) = run(&cli.command) else { return ExitCode::SUCCESS };
    eprintln!("medsa-edge: {error}");
    // As clap does for what it refuses itself.
    let usage = error.downcast_ref::<Error>().is_some_and(Error::is_usage);
    ExitCode::from(if usage { 2 } else { 1 })
}

fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Segment(args) => {
            let report = segment::run(args)?;
            println!("{}", serde_json::to_string_pretty(&report)?);
        }
        Command::Accept(args) => accept::run(args, |accepted| -> anyhow::Result<()> {
            println!("{}", serde_json::to_string_pretty(accepted)?);
            Ok(())
        })?,
        Command::Check(args) => println!("{}", check::run(args)?),
        Command::Run(args) => tokio_runtime()?.block_on(run::run(args))?,
        Command::Watch(args) => tokio_runtime()?.block_on(watch::run(args))?,
    }
    Ok(())
}

fn tokio_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    // Two threads belong to the pipeline; all that is left to do here is waiting.
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")
}

/// One line per event; `MEDSA_LOG` says what is of interest, as in `MEDSA_LOG=debug`.
fn log_to_stderr() {
    // The embedded broker reports every client that leaves as an error, and tract what it thinks
    // of a model: what matters of both comes back as our own errors.
    const DEFAULT: &str = "info,rumqttd=off,tract_core=error,tract_onnx=error,tract_hir=error";
    let filter = EnvFilter::try_from_env("MEDSA_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}
