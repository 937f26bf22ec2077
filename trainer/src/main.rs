//! `medsa-train`: base models, data sets, training and evaluation of adapters.

mod command;

use std::num::NonZero;
use std::process::ExitCode;
use std::{env, thread};

use clap::Parser;

/// Maps of many megabytes come and go in every step: the system's allocator would give each
/// back to the kernel and take the page faults again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    use_all_cores();
    // The message says it all: what it came from is in it.
    let Err(error) = command::run(command::Cli::parse()) else { return ExitCode::SUCCESS };
    eprintln!("medsa-train: {error}");
    ExitCode::FAILURE
}

/// Candle counts physical cores, by reading a file of the kernel's in every matrix product, unless
/// it is told how many threads to use.
fn use_all_cores() {
    const THREADS: &str = "RAYON_NUM_THREADS";
    if env::var_os(THREADS).is_none() {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        // SAFETY: no other thread runs yet that could read the environment at the same time.
        unsafe { env::set_var(THREADS, cores.to_string()) };
    }
}
