//! `medsa-edge run`: the service.

use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::error::Error;
use crate::service::Service;

/// Runs the service until its source ends, or SIGTERM or SIGINT tells it to stop.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The configuration; `edge.example.toml` documents every key.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Runs the command; SIGUSR1 prints the table of counters and latencies, and so does the end.
///
/// # Errors
/// [`Error`].
pub async fn run(args: &Args) -> Result<(), Error> {
    let config = Config::read(&args.config)?;
    let stop = stop_signal()?;
    let mut table_wanted = signal(SignalKind::user_defined1()).map_err(Error::Signal)?;
    let service = Service::start(config)?;
    let meter = service.meter();
    let mut running = std::pin::pin!(service.run(stop));
    loop {
        tokio::select! {
            ended = &mut running => {
                println!("{}", meter.table());
                return ended;
            }
            _ = table_wanted.recv() => println!("{}", meter.table()),
        }
    }
}

/// Completes at SIGTERM or SIGINT.
///
/// # Errors
/// [`Error::Signal`] when the system refuses the handlers.
pub fn stop_signal() -> Result<impl Future<Output = ()>, Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signal)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
