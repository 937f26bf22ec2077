//! `medsa-edge rollback`: return to the previous build.

use std::path::PathBuf;

use medsa_update::{Permit, Running, continue_as_owner};

use crate::config::Config;
use crate::error::Error;
use crate::updates::open_slots;

/// Rolls back to the previous build. A running service loads it within a second.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Configuration file of the service.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Also roll back from a build that was confirmed.
    #[arg(long)]
    danger_allow_downgrade: bool,
}

/// Runs the command; returns a description of the result.
///
/// # Errors
/// The build in use stays in use.
pub fn run(args: &Args) -> Result<String, Error> {
    let config = Config::read(&args.config)?;
    continue_as_owner(&config.build.path, |who| tracing::info!("{who}"))?;
    let mut slots = open_slots(&config.build.path)?;
    let permit = Permit { downgrade: args.danger_allow_downgrade, ..Permit::default() };
    let Running { build, slot, .. } = slots.roll_back(permit)?;
    Ok(format!("rolled back to {build} in slot {slot}"))
}
