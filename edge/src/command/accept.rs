//! `medsa-edge accept`: acceptance test of a build.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use medsa_bundle::{Build, Limits};

use crate::error::Error;
use medsa_engine::Engine;
use medsa_engine::acceptance::{Accepted, accept, limits_of};

/// Tests whether a build may run on this machine: compares its masks with its acceptance vectors,
/// prints overlaps and median times as JSON, and fails if a result is not accepted.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Build to test (`.medsa`).
    #[arg(long, value_name = "FILE")]
    build: PathBuf,
    /// Check the times against the build's limits for this board; by default they are only printed.
    #[arg(long, value_name = "NAME")]
    board: Option<String>,
    /// Threads of the runtime, 1 to 64; by default all cores.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=64))]
    threads: Option<u8>,
}

/// Runs the command; `print` receives the results before they are checked.
///
/// # Errors
/// [`Error`].
pub fn run<E: From<Error>>(
    args: &Args,
    print: impl FnOnce(&Accepted) -> Result<(), E>,
) -> Result<(), E> {
    let build = Build::read(&args.build, &Limits::default()).map_err(Error::from)?;
    // Checked first, because it takes no time.
    let board = args.board.as_deref();
    let limits = board
        .map(|board| Ok::<_, medsa_engine::Error>((board, limits_of(&build, board)?)))
        .transpose();
    let limits = limits.map_err(Error::from)?;
    let threads = args.threads.and_then(|threads| NonZeroUsize::new(threads.into()));
    let threads = threads.or_else(|| std::thread::available_parallelism().ok());
    let engine = Engine::load(&build, threads.unwrap_or(NonZeroUsize::MIN)).map_err(Error::from)?;
    let accepted = accept(&build, &engine).map_err(Error::from)?;
    print(&accepted)?;
    Ok(accepted.check(limits).map_err(Error::from)?)
}
