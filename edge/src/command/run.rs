//! `medsa-edge run`: the service.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::app::Service;
use crate::config::Config;
use crate::error::Error;
use crate::log;
use crate::meter::Meter;
use crate::systemd::{self, SignOfLife};
use crate::watchdog::Stuck;

/// Exit code if a stage is stuck: EX_SOFTWARE of sysexits.h.
const STUCK: i32 = 70;

/// Longest wait for accepted captures if a stage is stuck. With the default of `[watchdog]`, the
/// process ends within 5 s.
const LAST_CAPTURES: Duration = Duration::from_millis(800);

/// Runs the service until its source ends, or until SIGTERM or SIGINT.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Configuration file; `edge.example.toml` documents every key.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Runs the command. SIGHUP loads the build again. SIGUSR1 prints the table of counters and
/// latencies; the table is also printed at the end. If a stage is stuck, the process ends with
/// code 70, so that systemd restarts it.
///
/// # Errors
/// [`Error`].
pub async fn run(args: &Args) -> Result<(), Error> {
    let config = Config::read(&args.config)?;
    let log = Arc::new(log::install(&config.log)?);
    let stop = stop_signal()?;
    let mut table_wanted = signal(SignalKind::user_defined1()).map_err(Error::Signal)?;
    let mut reload_wanted = signal(SignalKind::hangup()).map_err(Error::Signal)?;
    let stuck_after = config.stuck_after;
    let service = Service::start(config)?;
    let (meter, builds) = (service.meter(), service.builds());
    let mut observer = service.observer();
    let captures = service.open_captures();
    let mut sign_of_life = SignOfLife::new();
    let (last_lines, failures) = (log.clone(), observer.failures.clone());
    let _supervisor = service.watch().supervise(
        stuck_after,
        move || sign_of_life.healthy(),
        move |Stuck { stage, worked }| {
            let worked_s = worked.as_secs_f32();
            tracing::error!("{stage} is stuck for {worked_s:.1} s; the process ends");
            let lost = captures.wait(LAST_CAPTURES);
            if lost > 0 {
                tracing::error!("the disk was too slow: {lost} captures were NOT stored");
            }
            last_lines.finish();
            std::process::exit(STUCK);
        },
        move |panic| failures.panicked(panic),
    )?;
    systemd::ready();
    systemd::status(&observer.snapshot().to_string());
    let mut running = std::pin::pin!(service.run(stop));
    loop {
        tokio::select! {
            ended = &mut running => {
                print_table(&meter);
                return ended;
            }
            () = observer.changed() => systemd::status(&observer.snapshot().to_string()),
            _ = reload_wanted.recv() => match builds.reload() {
                Ok(begun) => tracing::info!("SIGHUP: {begun}"),
                Err(reason) => tracing::warn!("SIGHUP: {reason}"),
            },
            _ = table_wanted.recv() => print_table(&meter),
        }
    }
}

/// Prints counters and latencies. A closed or full standard output does not end the service.
fn print_table(meter: &Meter) {
    if let Err(error) = medsa_console::try_print(&format!("{}\n", meter.table())) {
        tracing::warn!("cannot print the table of latencies: {error}");
    }
}

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
/// [`Error::Signal`] if the handlers cannot be installed.
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
