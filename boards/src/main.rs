//! `medsa-flash`: packages of the service for boards, and updates of the builds on devices.
// Standard output and error may be closed: see `medsa-console`.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

mod fleet;
mod updates;

use std::path::{Path, PathBuf};
use std::process::{Command as Program, ExitCode, Stdio};

use anyhow::{Context, anyhow, bail};
use clap::{Parser, Subcommand};
use medsa_boards::Board;
use medsa_boards::package::{self, PROGRAM_BYTES_GOAL, Parts};
use medsa_console::{eprintln, println};

/// Packages of the edge service for boards, and updates of the builds on devices.
#[derive(Parser)]
#[command(name = "medsa-flash", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the supported boards
    List {
        /// Folder with one folder for each board
        #[arg(long, default_value = "boards")]
        boards: PathBuf,
    },
    /// Compile the service for a board and create its Debian package
    Build {
        /// Name of the board's folder
        #[arg(long)]
        board: String,
        /// Folder with one folder for each board, in the source tree of the service
        #[arg(long, default_value = "boards")]
        boards: PathBuf,
        /// Compiled program [default: it is compiled]
        #[arg(long)]
        program: Option<PathBuf>,
        /// Folder for the package
        #[arg(long, default_value = "packages")]
        out: PathBuf,
    },
    Keygen(updates::Keygen),
    Publish(updates::Publish),
    Stage(updates::Stage),
    Push(fleet::Push),
    Status(updates::Status),
    Rollback(updates::Rollback),
}

fn main() -> ExitCode {
    // The message names all causes.
    let done = run(Cli::parse().command).and_then(|()| Ok(medsa_console::finish()?));
    let Err(error) = done else { return ExitCode::SUCCESS };
    eprintln!("medsa-flash: {error}");
    ExitCode::FAILURE
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { boards } => list(&boards),
        Command::Build { board, boards, program, out } => {
            build(&board, &boards, program.as_deref(), &out)
        }
        Command::Keygen(args) => updates::keygen(&args),
        Command::Publish(args) => updates::publish(&args),
        Command::Stage(args) => updates::stage(&args),
        Command::Push(args) => fleet::push(&args),
        Command::Status(args) => updates::status(&args),
        Command::Rollback(args) => updates::rollback(&args),
    }
}

fn list(boards: &Path) -> anyhow::Result<()> {
    println!("{:20} {:28} {:14} {:>5} {:>4}  tried", "board", "target", "core", "cores", "dot");
    for (folder, Board { target, cpu, tried, .. }) in Board::read_all(boards)? {
        let dot = if cpu.dot_product { "yes" } else { "no" };
        println!("{folder:20} {target:28} {:14} {:>5} {dot:>4}  {tried:?}", cpu.core, cpu.cores);
    }
    Ok(())
}

fn build(board: &str, boards: &Path, program: Option<&Path>, out: &Path) -> anyhow::Result<()> {
    let repository = boards.parent().unwrap_or(Path::new(""));
    let program = match program {
        Some(program) => program.to_owned(),
        None => compile(repository, &Board::read(&boards.join(board))?.target)?,
    };
    let service = repository.join("edge");
    let version = env!("CARGO_PKG_VERSION");
    let parts = Parts { boards, board, program: &program, service: &service, version };
    let made = package::make(&parts, out)?;
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let (major, minor) = made.needs.glibc;
    println!(
        "{} ({:.1} MB; the program has {:.1} MB and needs glibc {major}.{minor})",
        made.path.display(),
        megabytes(made.bytes),
        megabytes(made.program_bytes)
    );
    if made.program_bytes > PROGRAM_BYTES_GOAL {
        eprintln!(
            "warning: the program is larger than the goal of {:.0} MB",
            megabytes(PROGRAM_BYTES_GOAL)
        );
    }
    Ok(())
}

/// Compiles the service. Returns the path of the program.
fn compile(repository: &Path, target: &str) -> anyhow::Result<PathBuf> {
    let mut cargo = Program::new("cargo");
    cargo.args(["build", "--profile", "board", "--package", "medsa-edge", "--bin", "medsa-edge"]);
    cargo.args(["--target", target, "--message-format", "json-render-diagnostics"]);
    if repository != Path::new("") {
        cargo.current_dir(repository);
    }
    let output = cargo.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| anyhow!("cannot run cargo: {error}"))?;
    if !output.status.success() {
        bail!("cargo build --target {target}: {}", output.status);
    }
    let made = String::from_utf8_lossy(&output.stdout).lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let executable = message["executable"].as_str()?;
        executable.ends_with("/medsa-edge").then(|| executable.into())
    });
    made.context("cargo did not report the path of the program")
}
