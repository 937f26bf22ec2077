//! Commands for builds: keys, repositories, and the slots of a device that is mounted.

use std::fs;
use std::io;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use medsa_console::{eprintln, println};
use medsa_update::{
    Client, Folder, Name, Permit, Repository, Role, Running, Slots, Source, Terms, WithoutClock,
    address, ask, continue_as_owner,
};
use semver::Version;

use crate::fleet::{self, Fleet};

/// Create a repository and its keys, or replace the keys of a role
#[derive(Args)]
pub struct Keygen {
    /// Folder of the repository
    #[arg(long)]
    repository: PathBuf,
    /// Folder of keys; a new repository puts its keys there
    #[arg(long, required = true)]
    keys: Vec<PathBuf>,
    /// Number of keys that have to sign, for root and for targets
    #[arg(long, default_value = "1", conflicts_with = "replace")]
    threshold: NonZeroU64,
    /// Number of keys to create, for root and for targets
    #[arg(long, default_value_t = 1, conflicts_with = "replace")]
    number: u64,
    /// Replace the keys of this role by as many new ones, in the first folder of keys
    #[arg(long)]
    replace: Option<RoleName>,
    /// Days until the root expires
    #[arg(long, default_value_t = Terms::default().root_days)]
    root_days: i64,
}

/// Publish builds in a repository; without builds, renew the metadata before it expires
#[derive(Args)]
pub struct Publish {
    /// Folder of the repository
    #[arg(long)]
    repository: PathBuf,
    /// Folder of keys; name several if several people sign
    #[arg(long, required = true)]
    keys: Vec<PathBuf>,
    /// Days until the metadata expires: publish again before
    #[arg(long, default_value_t = Terms::default().online_days)]
    days: i64,
    /// Days until the list of builds expires
    #[arg(long, default_value_t = Terms::default().targets_days)]
    targets_days: i64,
    /// Builds (`.medsa`)
    builds: Vec<PathBuf>,
}

/// Download a build into the unused slot of this device, verify it, and run its acceptance test
#[derive(Args)]
pub struct Stage {
    /// Folder of the device's slots
    #[arg(long)]
    device: PathBuf,
    /// Folder or address of the repository
    #[arg(long)]
    repository: String,
    /// Root that the device was shipped with (`root.json` beside the keys)
    #[arg(long)]
    root: PathBuf,
    /// Name of the build
    #[arg(long)]
    name: String,
    /// Version of the build [default: the newest]
    #[arg(long)]
    version: Option<Version>,
    /// Program that tests the build on this device, as `PROGRAM accept --build FILE`
    #[arg(long, default_value = "medsa-edge")]
    edge: PathBuf,
    /// Test the build's time limits for this board
    #[arg(long)]
    board: Option<String>,
    /// Seconds within which the test has to end
    #[arg(long, default_value_t = 600)]
    within: u64,
    /// Switch to the build, on trial
    #[arg(long)]
    switch: bool,
    /// Behaviour if the clock is wrong
    #[arg(long, value_enum, default_value = "refuse")]
    without_clock: Clockless,
    /// Install the build even if a newer version was confirmed on this device
    #[arg(long)]
    danger_allow_downgrade: bool,
    /// Install the build even if it has failed its trial on this device
    #[arg(long)]
    again: bool,
}

/// Print the builds in the slots of a device, or of many devices
#[derive(Args)]
pub struct Status {
    /// Folder of the slots, of a mounted device or of this one
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["to", "devices"])]
    device: Option<PathBuf>,
    #[command(flatten)]
    fleet: Fleet,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Roll back to the previous build
#[derive(Args)]
pub struct Rollback {
    /// Folder of the slots, of a mounted device or of this one
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["to", "devices", "json"])]
    device: Option<PathBuf>,
    #[command(flatten)]
    fleet: Fleet,
    /// Roll back even from a confirmed build
    #[arg(long)]
    danger_allow_downgrade: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Role of keys.
#[derive(Clone, Copy, ValueEnum)]
enum RoleName {
    Root,
    Targets,
    Online,
}

/// Behaviour if the clock is wrong.
#[derive(Clone, Copy, ValueEnum)]
enum Clockless {
    /// Refuse the update
    Refuse,
    /// Ignore the expiry of metadata
    IgnoreExpiry,
}

pub fn keygen(args: &Keygen) -> anyhow::Result<()> {
    let Keygen { repository: folder, keys, threshold, number, replace, root_days } = args;
    let terms = Terms { root_days: *root_days, ..Terms::default() };
    let into = &keys[0];
    let Some(role) = replace else {
        Repository::create(folder, into, (*threshold, *number), &terms)?;
        println!("created keys in {}: keep those of root and targets offline", into.display());
        println!("ship devices with {}", into.join("root.json").display());
        return Ok(());
    };
    let role = match role {
        RoleName::Root => Role::Root,
        RoleName::Targets => Role::Targets,
        RoleName::Online => Role::Online,
    };
    Repository::open(folder)?.replace_keys(role, keys, into, &terms)?;
    println!("created keys in {}; devices accept them with their next update", into.display());
    Ok(())
}

pub fn publish(args: &Publish) -> anyhow::Result<()> {
    let Publish { repository, keys, days, targets_days, builds } = args;
    let terms = Terms { online_days: *days, targets_days: *targets_days, ..Terms::default() };
    for build in Repository::open(repository)?.publish(keys, builds, &terms)? {
        println!("published {build} (SHA-256 {})", build.sha256);
    }
    println!("the metadata expires in {days} days: publish again before");
    Ok(())
}

pub fn stage(args: &Stage) -> anyhow::Result<()> {
    continue_as_owner(&args.device, |who| eprintln!("{who}"))?;
    let root = fs::read(&args.root).map_err(at(&args.root))?;
    let source = Source {
        url: address(&args.repository, Path::new(""))?,
        root,
        without_clock: match args.without_clock {
            Clockless::Refuse => WithoutClock::Refuse,
            Clockless::IgnoreExpiry => WithoutClock::IgnoreExpiry,
        },
        limits: medsa_bundle::Limits::default(),
        patience: Duration::from_secs(600),
    };
    let mut client = Client::open(source, &args.device.join("trust"))?;
    let listing = client.look()?;
    let offer = listing.find(&args.name, args.version.as_ref())?;
    let permit = Permit { downgrade: args.danger_allow_downgrade, failed_before: args.again };
    let mut slots = open(&args.device)?;
    listing.stage(offer, &mut slots, permit, &mut |path| accept(args, path))?;
    println!("staged {}: verified, and accepted on this device", offer.build);
    if args.switch {
        let Running { slot, on_trial, .. } = slots.switch()?;
        let trial = if on_trial { ", on trial until the service confirms it" } else { "" };
        println!("switched to slot {slot}{trial}");
    }
    Ok(())
}

pub fn status(args: &Status) -> anyhow::Result<()> {
    let Some(device) = &args.device else { return fleet::status(&args.fleet, args.json) };
    let slots = Slots::open(Folder::to_start(device))?;
    let state = slots.state();
    if args.json {
        println!("{}", serde_json::to_string(&state.describe())?);
        return Ok(());
    }
    for slot in [Name::A, Name::B] {
        match state.slot(slot).zip(state.standing(slot)) {
            Some((build, role)) => println!("slot {slot}: {build}, {role}"),
            None => println!("slot {slot}: empty"),
        }
    }
    for (name, version) in &state.floors {
        println!("{name}: versions before {version} are refused");
    }
    for sha256 in &state.failed {
        println!("failed on this device: SHA-256 {sha256}");
    }
    Ok(())
}

pub fn rollback(args: &Rollback) -> anyhow::Result<()> {
    let Some(device) = &args.device else {
        return fleet::rollback(&args.fleet, args.danger_allow_downgrade, args.json);
    };
    continue_as_owner(device, |who| eprintln!("{who}"))?;
    let mut slots = open(device)?;
    let permit = Permit { downgrade: args.danger_allow_downgrade, ..Permit::default() };
    let Running { build, slot, .. } = slots.roll_back(permit)?;
    println!("rolled back to {build} in slot {slot}");
    Ok(())
}

fn open(device: &Path) -> anyhow::Result<Slots<Folder>> {
    Ok(Slots::open(Folder::open(device).map_err(at(device))?)?)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> anyhow::Error + '_ {
    move |error| anyhow!("{}: {error}", path.display())
}

/// Runs the acceptance test of the build with the service's program.
///
/// # Errors
/// The message of the program.
fn accept(args: &Stage, build: &Path) -> Result<(), String> {
    let mut command = Command::new(&args.edge);
    command.args(["accept", "--build"]).arg(build);
    if let Some(board) = &args.board {
        command.args(["--board", board]);
    }
    ask(&mut command, Duration::from_secs(args.within))
}
