//! `medsa-edge accept`: whether a build may run here.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use medsa_bundle::{Build, Limits};

use crate::acceptance::{Accepted, accept};
use crate::engine::Engine;
use crate::error::Error;

/// Asks a build what it answered where it was made, and prints overlaps and times as JSON.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The build (`.medsa`).
    #[arg(long, value_name = "FILE")]
    build: PathBuf,
    /// Threads of the runtime; all cores when not given.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=64))]
    threads: Option<u8>,
}

impl Args {
    /// The build.
    pub fn build(&self) -> &Path {
        &self.build
    }
}

/// Runs the command.
///
/// # Errors
/// [`Error`].
pub fn run(args: &Args) -> Result<Accepted, Error> {
    let build = Build::read(&args.build, &Limits::default())?;
    let threads = args.threads.and_then(|threads| NonZeroUsize::new(threads.into()));
    let threads = threads.or_else(|| std::thread::available_parallelism().ok());
    accept(&build, &Engine::load(&build, threads.unwrap_or(NonZeroUsize::MIN))?)
}
