//! The program `medsa-edge`; see `medsa-edge --help`.
// Standard output and error may be closed: see `medsa-console`.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

#[cfg(test)]
mod manual;

use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use medsa_console::{eprintln, println};
use medsa_edge::command::{
    accept, check, init, pin, rollback, run, segment, status, update, watch,
};
use medsa_edge::config::LogConfig;
use medsa_edge::{Error, log};

/// Segments structures in medical images on the device and publishes the masks over MQTT.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Segment(segment::Args),
    Status(status::Args),
    Update(update::Args),
    Accept(accept::Args),
    Check(check::Args),
    Init(init::Args),
    Pin(pin::Args),
    Rollback(rollback::Args),
    Run(run::Args),
    Watch(watch::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = run(&cli.command).and_then(|()| Ok(medsa_console::finish()?));
    let Err(error) = done else { return ExitCode::SUCCESS };
    eprintln!("medsa-edge: {error}");
    // The same exit code as clap uses for invalid arguments.
    let usage = error.downcast_ref::<Error>().is_some_and(Error::is_usage);
    ExitCode::from(if usage { 2 } else { 1 })
}

fn run(command: &Command) -> anyhow::Result<()> {
    // The service logs as its configuration says. This log needs no closing.
    if !matches!(command, Command::Run(_)) {
        log::install(&LogConfig::default())?;
    }
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
        Command::Init(args) => println!("{}", init::run(args)?),
        Command::Pin(args) => println!("{}", pin::run(args)?),
        Command::Update(args) => println!("{}", update::run(args)?),
        Command::Rollback(args) => println!("{}", rollback::run(args)?),
        Command::Status(args) => println!("{}", tokio_runtime()?.block_on(status::run(args))?),
        Command::Run(args) => tokio_runtime()?.block_on(run::run(args))?,
        Command::Watch(args) => tokio_runtime()?.block_on(watch::run(args))?,
    }
    Ok(())
}

fn tokio_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    // The pipeline has its own threads; tasks here mostly wait.
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")
}
