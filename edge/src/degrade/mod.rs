//! Degradation: less accuracy or a lower frame rate while the device is hot or slow. The task
//! ([`Degrading`]) reads the device, and the [`Ladder`] computes the level.

mod ladder;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use medsa_engine::Engine;
use medsa_wire::{Cause, Degradation, Stage};
use tokio::time::sleep;

use crate::config::DegradeConfig;
use crate::meter::Meter;
use crate::pipeline::Slot;
use crate::vitals::{Vitals, temperature_c};

pub use ladder::{Ladder, Reading};

/// The state of the device cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configured file holds no temperature.
    #[error("{}: no temperature, expected a number of thousandths of a degree Celsius", path.display())]
    Temperature {
        /// Path of the file.
        path: PathBuf,
    },
}

/// Longest time between two readings.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Sets the level of degradation.
#[derive(Clone)]
pub struct Degrading {
    slot: Slot<Engine>,
    meter: Arc<Meter>,
    ladder: Ladder,
    interval: Duration,
    thermal_file: Option<PathBuf>,
    /// Number of encoder runs so far, and their total duration.
    spent: (u64, Duration),
}

impl Degrading {
    /// Starts without degradation.
    ///
    /// # Errors
    /// [`Error::Temperature`].
    pub fn new(
        config: &DegradeConfig,
        slot: Slot<Engine>,
        meter: Arc<Meter>,
    ) -> Result<Self, Error> {
        check(config)?;
        let spent = meter.spent(Stage::Encoder);
        Ok(Self {
            slot,
            meter,
            ladder: Ladder::new(config.limits, config.smaller_build.is_some()),
            interval: POLL_INTERVAL.min(config.limits.hold / 4),
            thermal_file: config.thermal_file.clone(),
            spent,
        })
    }

    /// Runs until it is aborted.
    pub async fn run(mut self) {
        let begun = Instant::now();
        let mut before = None;
        loop {
            sleep(self.interval).await;
            let reading = self.reading();
            let now = self.ladder.read(begun.elapsed(), &reading);
            if now != before {
                log_change(now, &reading);
                self.slot.degrade(now);
                before = now;
            }
        }
    }

    fn reading(&mut self) -> Reading {
        let vitals = Vitals::read(Path::new("/"));
        let before = std::mem::replace(&mut self.spent, self.meter.spent(Stage::Encoder));
        let runs = self.spent.0 - before.0;
        let took = self.spent.1.saturating_sub(before.1);
        Reading {
            temperature_c: match &self.thermal_file {
                Some(file) => temperature_c(file),
                None => vitals.temperature_c,
            },
            throttled: vitals.throttled,
            encoder_ms: (runs > 0).then(|| took.as_secs_f64() * 1e3 / runs as f64),
        }
    }
}

/// Checks that the configured file can be read.
///
/// # Errors
/// [`Error::Temperature`].
pub(crate) fn check(config: &DegradeConfig) -> Result<(), Error> {
    match &config.thermal_file {
        Some(path) if temperature_c(path).is_none() => {
            Err(Error::Temperature { path: path.clone() })
        }
        _ => Ok(()),
    }
}

fn log_change(now: Option<Degradation>, reading: &Reading) {
    let Reading { temperature_c, encoder_ms, .. } = reading;
    let number =
        |value: &Option<f64>| value.map_or("unknown".into(), |value| format!("{value:.1}"));
    let read = format!("{} °C, encoder {} ms", number(temperature_c), number(encoder_ms));
    match now {
        Some(Degradation { level, cause }) => {
            tracing::warn!("degraded to level {level} because of {}: {read}", cause_name(cause));
        }
        None => tracing::info!("no longer degraded: {read}"),
    }
}

/// Name of a cause, for people.
pub(crate) fn cause_name(cause: Cause) -> &'static str {
    match cause {
        Cause::Heat => "heat",
        Cause::Throttling => "throttling",
        Cause::Slowness => "slowness",
    }
}
