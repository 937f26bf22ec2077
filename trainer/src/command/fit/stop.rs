//! Stop of a training by a signal.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use medsa_trainer::train::Group;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;

/// Requests to stop after the current step: SIGTERM, SIGUSR1 or SIGINT (Ctrl-C). A second SIGINT ends
/// the process at once. Slurm may send the others twice.
pub struct Stop {
    requested: Arc<AtomicBool>,
}

impl Stop {
    /// Handles these signals from now on.
    pub fn on_signals() -> io::Result<Self> {
        let requested = Arc::new(AtomicBool::new(false));
        flag::register_conditional_shutdown(SIGINT, 128 + SIGINT, requested.clone())?;
        for signal in [SIGTERM, SIGUSR1, SIGINT] {
            flag::register(signal, requested.clone())?;
        }
        Ok(Self { requested })
    }

    /// True if any process of the group got a signal. All processes call this after each step, and
    /// all get the same result.
    pub fn is_requested(&self, group: &Group) -> bool {
        let mut requests = [f64::from(self.requested.load(Ordering::Relaxed))];
        group.sum_scalars(&mut requests);
        requests[0] > 0.0
    }
}

/// A training that a signal stopped before its last step. Its state was saved, and this reported.
#[derive(Debug, thiserror::Error)]
#[error("stopped by a signal")]
pub struct Stopped;

impl Stopped {
    /// `EX_TEMPFAIL` of `sysexits.h`: the same command with `--resume` continues.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(75)
    }
}
