//! `medsa-flash`: the boards that are described.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use medsa_boards::Board;

/// Boards that the edge service runs on.
#[derive(Parser)]
#[command(version)]
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

fn main() -> anyhow::Result<()> {
    let Command::List { boards } = Cli::parse().command;
    println!("{:20} {:28} {:14} {:>5} {:>4}  tried", "board", "target", "core", "cores", "dot");
    for (folder, Board { target, cpu, tried, .. }) in Board::read_all(&boards)? {
        let dot = if cpu.dot_product { "yes" } else { "no" };
        println!("{folder:20} {target:28} {:14} {:>5} {dot:>4}  {tried:?}", cpu.core, cpu.cores);
    }
    Ok(())
}
