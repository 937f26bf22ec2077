//! `medsa-train`: base models, data sets, training and evaluation of adapters.

mod command;
mod warnings;

use std::num::NonZero;
use std::process::ExitCode;
use std::{env, thread};

use clap::Parser;

/// Allocator, configured by [`keep_memory`].
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    use_all_cores();
    keep_memory();
    warnings::print();
    let Err(error) = command::run(command::Cli::parse()) else { return ExitCode::SUCCESS };
    if let Some(stopped) = error.downcast_ref::<command::Stopped>() {
        return stopped.exit_code();
    }
    // The message already contains the cause.
    eprintln!("medsa-train: {error}");
    ExitCode::FAILURE
}

/// Lets candle's matrix products and the operators of this crate use all cores, and candle's other
/// operations one: their pool waits by spinning, which would take a core from the others.
///
/// Unless the number of threads is set, candle counts physical cores by reading a file of the
/// kernel in every matrix product.
fn use_all_cores() {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    for (name, threads) in [("RAYON_NUM_THREADS", cores), ("CANDLE_NUM_THREADS", 1)] {
        if env::var_os(name).is_none() {
            // SAFETY: no other thread runs yet that could read the environment at the same time.
            unsafe { env::set_var(name, threads.to_string()) };
        }
    }
}

/// Makes the allocator keep freed memory. Maps of many megabytes are allocated in every step;
/// memory returned to the kernel would have to be mapped and cleared again page by page.
fn keep_memory() {
    /// `mi_option_purge_delay`, which the bindings do not define.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    // SAFETY: no other thread runs yet that could use the allocator at the same time.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) };
}
