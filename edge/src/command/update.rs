//! `medsa-edge update`: another build out of a repository into a slot of this device.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use medsa_bundle::Limits;
use medsa_update::{Client, Permit, Phase, Running, Source, address, ask, continue_as_owner};
use semver::Version;
use url::Url;

use crate::config::{self, Config, UpdateConfig};
use crate::error::Error;
use crate::files;
use crate::updates::open_slots;

/// Longest time for a file from a server.
const PATIENCE: Duration = Duration::from_secs(600);

/// Fetches a build into the slot that is not in use, verifies it, lets it answer its acceptance
/// vectors here, and uses it, on trial. A service that runs notices by itself, holds its times to
/// the build's limits for this board, and confirms it when it has been well, or goes back.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The configuration of the service.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Folder or address of the repository; `update.repository` when not given.
    #[arg(long, value_name = "REPOSITORY")]
    repository: Option<String>,
    /// Name of the build; `update.name`, or that of the build in use, when not given.
    #[arg(long)]
    name: Option<String>,
    /// Its version; the newest when not given.
    #[arg(long)]
    version: Option<Version>,
    /// Only stage it.
    #[arg(long)]
    stage: bool,
    /// Seconds in which the build has to have answered.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    within: u64,
    /// Take a version that is older than one that ran here.
    #[arg(long)]
    danger_allow_downgrade: bool,
    /// Take a build that failed its trial here.
    #[arg(long)]
    again: bool,
}

/// Runs the command; what was done.
///
/// # Errors
/// [`Error`]; the build in use stays in use.
pub fn run(args: &Args) -> Result<String, Error> {
    let config = Config::read(&args.config)?;
    let misses = |key, expected: &str| config::Error::value(&config.file, key, "missing", expected);
    let Some(update) = &config.update else {
        return Err(misses("update", "a section that names the root of who signs builds").into());
    };
    continue_as_owner(&config.build.path, |who| tracing::info!("{who}"))?;
    let mut slots = open_slots(&config.build.path)?;
    let in_use = slots.state().in_use().cloned();
    let name = args.name.clone().or(update.name.clone());
    let name = name.or_else(|| in_use.as_ref().map(|build| build.name.clone()));
    let name = name.ok_or_else(|| misses("update.name", "a name, as no build is in use"))?;
    let source = source(update, repository(args, update, &config)?)?;
    let mut client = Client::open(source, &config.build.path.join("trust"))?;
    let listing = client.look()?;
    let offer = listing.find(&name, args.version.as_ref())?;
    let build = &offer.build;
    if in_use.as_ref() == Some(build) {
        return Ok(format!("{build} is in use already"));
    }
    let state = slots.state();
    let staged =
        state.phase == Phase::Staged && [&state.a, &state.b].contains(&&Some(build.clone()));
    if !staged {
        let Args { danger_allow_downgrade: downgrade, again: failed_before, .. } = *args;
        let permit = Permit { downgrade, failed_before };
        listing.stage(offer, &mut slots, permit, &mut |file| accept(args, &config, file))?;
    }
    if args.stage {
        return Ok(format!("{build} is staged: signed, whole and accepted on this device"));
    }
    let Running { slot, on_trial, .. } = slots.switch()?;
    let trial = if on_trial { ", on trial until it has been well for a while" } else { "" };
    Ok(format!("{build} is in use in slot {slot}{trial}"))
}

fn repository(args: &Args, update: &UpdateConfig, config: &Config) -> Result<Url, Error> {
    match (&args.repository, &update.repository) {
        (Some(named), _) => Ok(address(named, Path::new(""))?),
        (None, Some(configured)) => Ok(configured.clone()),
        (None, None) => Err(config::Error::value(
            &config.file,
            "update.repository",
            "missing",
            "where builds come from, here or as --repository",
        )
        .into()),
    }
}

fn source(update: &UpdateConfig, url: Url) -> Result<Source, Error> {
    let root = std::fs::read(&update.root).map_err(files::Error::io(&update.root))?;
    let (without_clock, limits) = (update.without_clock, Limits::default());
    Ok(Source { url, root, without_clock, limits, patience: PATIENCE })
}

/// Lets the build answer, in a process that can be ended. Its times are those beside a service that
/// runs, and say nothing.
fn accept(args: &Args, config: &Config, build: &Path) -> Result<(), String> {
    let mut program = Command::new("/proc/self/exe");
    program.args(["accept", "--build"]).arg(build);
    program.args(["--threads", &config.build.threads.to_string()]);
    ask(&mut program, Duration::from_secs(args.within))
}
