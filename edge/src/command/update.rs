//! `medsa-edge update`: installation of a build from a repository into a slot of this device.

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
const TIMEOUT: Duration = Duration::from_secs(600);

/// Downloads a build into the unused slot, verifies its signature, tests it here, and switches to
/// it on trial. A running service loads it within a second, checks its times against the build's
/// limits for this board, and confirms it after a healthy trial, or rolls back.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Configuration file of the service.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Folder or URL of the repository; by default `update.repository`.
    #[arg(long, value_name = "REPOSITORY")]
    repository: Option<String>,
    /// Name of the build; by default `update.name`, or else that of the build in use.
    #[arg(long)]
    name: Option<String>,
    /// Version of the build; by default the newest.
    #[arg(long)]
    version: Option<Version>,
    /// Only stage the build, without switching to it.
    #[arg(long)]
    stage: bool,
    /// Longest time for the acceptance test in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    within: u64,
    /// Accept a version that is older than one that ran here.
    #[arg(long)]
    danger_allow_downgrade: bool,
    /// Accept a build that failed its trial here.
    #[arg(long)]
    again: bool,
}

/// Runs the command; returns a description of the result.
///
/// # Errors
/// The build in use stays in use.
pub fn run(args: &Args) -> Result<String, Error> {
    let config = Config::read(&args.config)?;
    let misses = |key, expected: &str| config::Error::value(&config.file, key, "missing", expected);
    let Some(update) = &config.update else {
        return Err(misses(
            "update",
            "a section with update.root, the root metadata of the repository",
        )
        .into());
    };
    continue_as_owner(&config.build.path, |who| tracing::info!("{who}"))?;
    let mut slots = open_slots(&config.build.path)?;
    let in_use = slots.state().in_use().cloned();
    let name = args.name.clone().or(update.name.clone());
    let name = name.or_else(|| in_use.as_ref().map(|build| build.name.clone()));
    let name = name.ok_or_else(|| misses("update.name", "a name, because no build is in use"))?;
    let source = source(update, repository(args, update, &config)?)?;
    let mut client = Client::open(source, &config.build.path.join("trust"))?;
    let listing = client.look()?;
    let offer = listing.find(&name, args.version.as_ref())?;
    let build = &offer.build;
    if in_use.as_ref() == Some(build) {
        return Ok(format!("{build} is already in use"));
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
        return Ok(format!("{build} is staged: signature verified and accepted on this device"));
    }
    let Running { slot, on_trial, .. } = slots.switch()?;
    let trial = if on_trial { ", on trial until the service confirms it" } else { "" };
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
            "a repository, here or as --repository",
        )
        .into()),
    }
}

fn source(update: &UpdateConfig, url: Url) -> Result<Source, Error> {
    let root = std::fs::read(&update.root).map_err(files::Error::io(&update.root))?;
    let (without_clock, limits) = (update.without_clock, Limits::default());
    Ok(Source { url, root, without_clock, limits, patience: TIMEOUT })
}

/// Runs the acceptance test in a child process that can be killed. Times are not checked, because
/// the service may be running at the same time.
fn accept(args: &Args, config: &Config, build: &Path) -> Result<(), String> {
    let mut program = Command::new("/proc/self/exe");
    program.args(["accept", "--build"]).arg(build);
    program.args(["--threads", &config.build.threads.to_string()]);
    ask(&mut program, Duration::from_secs(args.within))
}
