//! `medsa-edge status`: builds of this device, and state of the service.

use std::fmt::Write;
use std::path::PathBuf;

use medsa_update::{DeviceStatus, HealthStatus, Name, State};
use serde_json::Map;

use crate::config::Config;
use crate::error::Error;
use crate::http;
use crate::updates::slots_state;

/// Prints the builds in the slots and the state of the service with this configuration.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Configuration file of the service.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command; returns the report.
///
/// # Errors
/// A service that does not run is part of the report, not an error.
pub async fn run(args: &Args) -> Result<String, Error> {
    let config = Config::read(&args.config)?;
    let path = &config.build.path;
    let state = slots_state(path)?;
    let health = match &config.http {
        Some(http) => http::health_of(http).await.and_then(|report| {
            let health = serde_json::from_value::<HealthStatus>(report);
            health.map_err(|error| format!("cannot read its health report: {error}"))
        }),
        None => Err("unknown, because the configuration has no section [http]".to_owned()),
    };
    if !args.json {
        return Ok(for_people(&config, state.as_ref(), &health));
    }
    let (health, health_error) = match health {
        Ok(health) => (Some(health), None),
        Err(reason) => (None, Some(reason)),
    };
    let status = DeviceStatus {
        device: config.device.to_string(),
        board: config.board.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        slots: state.as_ref().map(State::describe),
        health,
        health_error,
        unknown: Map::new(),
    };
    Ok(serde_json::to_string(&status).expect("texts and numbers are JSON"))
}

fn for_people(
    config: &Config,
    state: Option<&State>,
    health: &Result<HealthStatus, String>,
) -> String {
    let (device, board) = (&config.device, &config.board);
    let mut report = format!("device {device}, board {board}\n");
    let mut line = |line: String| {
        // Invariant: writing to a string cannot fail.
        let _ = writeln!(report, "{line}");
    };
    match state {
        None => line(format!("build: the file {}", config.build.path.display())),
        Some(state) => {
            for slot in [Name::A, Name::B] {
                line(match state.slot(slot).zip(state.standing(slot)) {
                    Some((build, standing)) => format!("slot {slot}: {build}, {standing}"),
                    None => format!("slot {slot}: empty"),
                });
            }
        }
    }
    line(match health {
        Err(reason) => format!("service: {reason}"),
        Ok(HealthStatus { status, source, build, .. }) => {
            format!("service: {status}, source {}, build {build}", source.state)
        }
    });
    report.trim_end().to_owned()
}
