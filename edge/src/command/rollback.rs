//! `medsa-edge rollback`: back to the build before.

use std::path::PathBuf;

use medsa_update::{Permit, Running, continue_as_owner};

use crate::config::Config;
use crate::error::Error;
use crate::updates::open_slots;

/// Goes back to the build before. A service that runs notices by itself.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The configuration of the service.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Also from a build that was confirmed.
    #[arg(long)]
    danger_allow_downgrade: bool,
}

/// Runs the command; what was done.
///
/// # Errors
/// [`Error`]; the build in use stays in use.
pub fn run(args: &Args) -> Result<String, Error> {
    let config = Config::read(&args.config)?;
    continue_as_owner(&config.build.path, |who| tracing::info!("{who}"))?;
    let mut slots = open_slots(&config.build.path)?;
    let permit = Permit { downgrade: args.danger_allow_downgrade, ..Permit::default() };
    let Running { build, slot, .. } = slots.roll_back(permit)?;
    Ok(format!("back to {build} in slot {slot}"))
}
