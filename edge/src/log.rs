//! Log of the process: to the terminal, to journald, or to files of limited size.

mod rotating;

use std::io::{self, IsTerminal};
use std::sync::{Mutex, PoisonError};

use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{LogConfig, LogTo};
use crate::{files, systemd};
use rotating::Rotating;

/// Default filter. The embedded broker logs every disconnect as an error, and tract logs details of
/// the model; relevant failures of both are reported by our own errors.
const DEFAULT: &str = "info,rumqttd=off,tract_core=error,tract_onnx=error,tract_hir=error";

/// The log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal cannot be reached.
    #[error("log.to is \"journald\", but the journal cannot be reached: {0}")]
    Journald(io::Error),
    /// The file cannot be opened.
    #[error(transparent)]
    File(#[from] files::Error),
}

/// The log; pending lines are written when it is dropped.
pub struct Log(Mutex<Option<WorkerGuard>>);

impl Log {
    /// Writes all pending lines, before the end of the process.
    pub fn finish(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Sends the log of this process to the destination in `config`, one line per event. `MEDSA_LOG`
/// overrides the level, as in `MEDSA_LOG=debug`. Call it once per process.
///
/// # Errors
/// [`Error`].
pub fn install(config: &LogConfig) -> Result<Log, Error> {
    // Later directives override earlier ones.
    let level = format!("{DEFAULT},{}", config.level.as_deref().unwrap_or_default());
    let filter = EnvFilter::try_from_env("MEDSA_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let registry = tracing_subscriber::registry().with(filter);
    // The layer would report failed writes with a macro that panics on a closed standard error.
    let lines = || fmt::layer().with_target(false).log_internal_errors(false);
    let journal = match &config.to {
        LogTo::Journald => Some(tracing_journald::layer().map_err(Error::Journald)?),
        // Lines on standard error get there, too, but without their levels.
        LogTo::Terminal if systemd::stderr_is_journal() => tracing_journald::layer().ok(),
        LogTo::Terminal | LogTo::Stderr | LogTo::File(_) => None,
    };
    let mut guard = None;
    match (&config.to, journal) {
        (_, Some(journal)) => registry.with(journal).init(),
        (LogTo::Terminal | LogTo::Stderr | LogTo::Journald, None) => {
            let ansi = io::stderr().is_terminal();
            registry.with(lines().with_ansi(ansi).with_writer(io::stderr)).init();
        }
        (LogTo::File(file), None) => {
            // A separate thread writes, so that no stage waits for the disk.
            let (writer, writing) = NonBlocking::new(Rotating::open(file)?);
            guard = Some(writing);
            registry.with(lines().with_ansi(false).with_writer(writer)).init();
        }
    }
    Ok(Log(Mutex::new(guard)))
}

/// Checks that [`install`] would succeed, without changing anything.
///
/// # Errors
/// Those of [`install`].
pub fn check(config: &LogConfig) -> Result<(), Error> {
    match &config.to {
        LogTo::Terminal | LogTo::Stderr => Ok(()),
        LogTo::Journald => tracing_journald::layer().map(drop).map_err(Error::Journald),
        LogTo::File(file) => Ok(rotating::check(file)?),
    }
}
