//! The program `medsa-edge`; see `medsa-edge --help`.
// Standard output and error may be closed: see `medsa-console`.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;

    use clap::{CommandFactory as _, ValueEnum as _};
    use clap_complete::Shell;

    use super::Cli;

    /// Files of a folder by name.
    fn files(folder: &Path) -> BTreeMap<String, String> {
        let read = |entry: std::io::Result<fs::DirEntry>| {
            let entry = entry.unwrap();
            let text = fs::read_to_string(entry.path()).unwrap();
            (entry.file_name().into_string().unwrap(), text)
        };
        fs::read_dir(folder).unwrap().map(read).collect()
    }

    /// Manual pages and completions for shells, which packages contain (`edge/manual`). After a change of
    /// the command line, `MEDSA_WRITE_DOCS=1` writes them anew.
    #[test]
    fn manual_is_that_of_the_program() {
        let made = tempfile::tempdir().unwrap();
        clap_mangen::generate_to(Cli::command(), made.path()).unwrap();
        for shell in Shell::value_variants() {
            if matches!(shell, Shell::Bash | Shell::Fish | Shell::Zsh) {
                clap_complete::generate_to(*shell, &mut Cli::command(), "medsa-edge", made.path())
                    .unwrap();
            }
        }
        let made = files(made.path());
        let folder = medsa_test_inputs::repository().join("edge/manual");
        if std::env::var_os("MEDSA_WRITE_DOCS").is_some() {
            for (name, text) in &made {
                fs::write(folder.join(name), text).unwrap();
            }
        }
        let kept = files(&folder);
        assert_eq!(kept.keys().collect::<Vec<_>>(), made.keys().collect::<Vec<_>>());
        for (name, text) in &made {
            assert!(kept[name] == *text, "{name} is not that of the program: see {}", file!());
        }
    }
}
