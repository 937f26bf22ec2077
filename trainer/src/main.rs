//! `medsa-train`: base models, data sets, training and evaluation of adapters.

mod command;

use std::num::NonZero;
use std::process::ExitCode;
use std::{env, thread};

use clap::Parser;

/// See [`keep_memory`].
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    use_all_cores();
    keep_memory();
    // The message says it all: what it came from is in it.
    let Err(error) = command::run(command::Cli::parse()) else { return ExitCode::SUCCESS };
    eprintln!("medsa-train: {error}");
    ExitCode::FAILURE
}

/// Gives candle's matrix products and our operators all cores, and what is left of candle's own
/// operations one: its pool for them waits by spinning, which takes a core from the others.
///
/// Candle counts physical cores, by reading a file of the kernel's in every matrix product, unless
/// it is told how many threads to use.
fn use_all_cores() {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    for (name, threads) in [("RAYON_NUM_THREADS", cores), ("CANDLE_NUM_THREADS", 1)] {
        if env::var_os(name).is_none() {
            // SAFETY: no other thread runs yet that could read the environment at the same time.
            unsafe { env::set_var(name, threads.to_string()) };
        }
    }
}

/// Has the allocator keep what is freed: maps of many megabytes come and go in every step, and
/// what went back to the kernel would come again page by page, each cleared.
fn keep_memory() {
    /// `mi_option_purge_delay`, which the bindings do not name.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    // SAFETY: no other thread runs yet that could use the allocator at the same time.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) };
}
