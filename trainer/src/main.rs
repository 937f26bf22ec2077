//! `medsa-train`: base models, data sets, training and evaluation of adapters.
// Standard output and error may be closed: see `medsa-console`.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

mod command;
mod warnings;

use std::process::ExitCode;

use clap::Parser;
use medsa_console::eprintln;

/// Allocator, configured by [`keep_memory`].
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // SAFETY: no other thread runs yet.
    unsafe { medsa_trainer::use_all_cores() };
    keep_memory();
    warnings::print();
    let done = command::run(command::Cli::parse()).and_then(|()| Ok(medsa_console::finish()?));
    let Err(error) = done else { return ExitCode::SUCCESS };
    if let Some(stopped) = error.downcast_ref::<command::Stopped>() {
        return stopped.exit_code();
    }
    // The message already contains the cause.
    eprintln!("medsa-train: {error}");
    ExitCode::FAILURE
}

/// Makes the allocator keep freed memory. Maps of many megabytes are allocated in every step;
/// memory returned to the kernel would have to be mapped and cleared again page by page.
fn keep_memory() {
    /// `mi_option_purge_delay`, which the bindings do not define.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    // SAFETY: no other thread runs yet that could use the allocator at the same time.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) };
}
