//! `medsa-flash`: the boards that are described.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use medsa_boards::Board;

/// Boards that the edge service runs on.
#[derive(Parser)]
#[command(name = "medsa-flash", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the boards that are described
    List {
        /// Folder with one folder for each board
        #[arg(long, default_value = "boards")]
        boards: PathBuf,
    },
}

fn main() -> ExitCode {
    // The message says it all: what it came from is in it.
    let Err(error) = run(Cli::parse().command) else { return ExitCode::SUCCESS };
    eprintln!("medsa-flash: {error}");
    ExitCode::FAILURE
}

fn run(command: Command) -> anyhow::Result<()> {
    let Command::List { boards } = command;
    println!("{:20} {:28} {:14} {:>5} {:>4}  tried", "board", "target", "core", "cores", "dot");
    for (folder, Board { target, cpu, tried, .. }) in Board::read_all(&boards)? {
        let dot = if cpu.dot_product { "yes" } else { "no" };
        println!("{folder:20} {target:28} {:14} {:>5} {dot:>4}  {tried:?}", cpu.core, cpu.cores);
    }
    Ok(())
}
