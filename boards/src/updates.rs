//! Builds from the operator's hand to a device's slots.

use std::fs;
use std::io;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use medsa_update::{
    Client, Folder, Name, Permit, Repository, Role, Running, Slots, Source, Terms, WithoutClock,
    address, ask, continue_as_owner,
};
use semver::Version;

use crate::fleet::{self, Fleet};

/// Make the keys of a new, empty repository; or replace those of one role
#[derive(Args)]
pub struct Keygen {
    /// Folder of the repository
    #[arg(long)]
    repository: PathBuf,
    /// Folder of keys; for a new repository, where they are put
    #[arg(long, required = true)]
    keys: Vec<PathBuf>,
    /// How many keys have to sign, for root and for targets
    #[arg(long, default_value = "1", conflicts_with = "replace")]
    threshold: NonZeroU64,
    /// How many keys there are, of each of these
    #[arg(long, default_value_t = 1, conflicts_with = "replace")]
    number: u64,
    /// Replace the keys of this role, as many as there were, into the first folder of keys
    #[arg(long)]
    replace: Option<RoleName>,
    /// Days until the root expires
    #[arg(long, default_value_t = Terms::default().root_days)]
    root_days: i64,
}

/// Put builds into a repository; without any, sign anew that what there is is the latest
#[derive(Args)]
pub struct Publish {
    /// Folder of the repository
    #[arg(long)]
    repository: PathBuf,
    /// Folder of keys; several where several people sign
    #[arg(long, required = true)]
    keys: Vec<PathBuf>,
    /// Days after which devices want to see the repository signed anew
    #[arg(long, default_value_t = Terms::default().online_days)]
    days: i64,
    /// Days until the list of builds expires
    #[arg(long, default_value_t = Terms::default().targets_days)]
    targets_days: i64,
    /// The builds (`.medsa`)
    builds: Vec<PathBuf>,
}

/// Fetch a build into the slot of this device that is not in use, verify it, and let it answer
#[derive(Args)]
pub struct Stage {
    /// Folder of the device's slots
    #[arg(long)]
    device: PathBuf,
    /// Folder or address of the repository
    #[arg(long)]
    repository: String,
    /// The root that came with the device (`root.json` beside the keys)
    #[arg(long)]
    root: PathBuf,
    /// Name of the build
    #[arg(long)]
    name: String,
    /// Its version; the newest if it is not given
    #[arg(long)]
    version: Option<Version>,
    /// The program that lets the build answer on this device, as `PROGRAM accept --build FILE`
    #[arg(long, default_value = "medsa-edge")]
    edge: PathBuf,
    /// Hold the times to the build's limits for this board
    #[arg(long)]
    board: Option<String>,
    /// Seconds in which the build has to have answered
    #[arg(long, default_value_t = 600)]
    within: u64,
    /// Use the build, on trial
    #[arg(long)]
    switch: bool,
    /// What to do when the clock is wrong
    #[arg(long, value_enum, default_value = "refuse")]
    without_clock: Clockless,
    /// Take a version that is older than one that ran here
    #[arg(long)]
    danger_allow_downgrade: bool,
    /// Take a build that failed its trial here
    #[arg(long)]
    again: bool,
}

/// What is in the slots of a device, or of many
#[derive(Args)]
pub struct Status {
    /// Folder of the slots of a device that is mounted, or of this one
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["to", "devices"])]
    device: Option<PathBuf>,
    #[command(flatten)]
    fleet: Fleet,
    /// For programs
    #[arg(long)]
    json: bool,
}

/// Go back to the build before
#[derive(Args)]
pub struct Rollback {
    /// Folder of the slots of a device that is mounted, or of this one
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["to", "devices", "json"])]
    device: Option<PathBuf>,
    #[command(flatten)]
    fleet: Fleet,
    /// Also from a build that was confirmed
    #[arg(long)]
    danger_allow_downgrade: bool,
    /// For programs
    #[arg(long)]
    json: bool,
}

/// Whose keys.
#[derive(Clone, Copy, ValueEnum)]
enum RoleName {
    Root,
    Targets,
    Online,
}

/// What to do when the clock is wrong.
#[derive(Clone, Copy, ValueEnum)]
enum Clockless {
    /// Nothing
    Refuse,
    /// Do not look at when metadata expires
    IgnoreExpiry,
}

pub fn keygen(args: &Keygen) -> anyhow::Result<()> {
    let Keygen { repository: folder, keys, threshold, number, replace, root_days } = args;
    let terms = Terms { root_days: *root_days, ..Terms::default() };
    let into = &keys[0];
    let Some(role) = replace else {
        Repository::create(folder, into, (*threshold, *number), &terms)?;
        println!("keys are in {}: keep those of root and targets offline", into.display());
        println!("devices come with {}", into.join("root.json").display());
        return Ok(());
    };
    let role = match role {
        RoleName::Root => Role::Root,
        RoleName::Targets => Role::Targets,
        RoleName::Online => Role::Online,
    };
    Repository::open(folder)?.replace_keys(role, keys, into, &terms)?;
    println!("new keys are in {}; devices follow by themselves", into.display());
    Ok(())
}

pub fn publish(args: &Publish) -> anyhow::Result<()> {
    let Publish { repository, keys, days, targets_days, builds } = args;
    let terms = Terms { online_days: *days, targets_days: *targets_days, ..Terms::default() };
    for build in Repository::open(repository)?.publish(keys, builds, &terms)? {
        println!("{build} is published (SHA-256 {})", build.sha256);
    }
    println!("devices want to see the repository signed anew in {days} days");
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
    println!("{} is staged: signed, whole and accepted on this device", offer.build);
    if args.switch {
        let Running { slot, on_trial, .. } = slots.switch()?;
        let trial = if on_trial { ", on trial until it has been well for a while" } else { "" };
        println!("it is in use in slot {slot}{trial}");
    }
    Ok(())
}

pub fn status(args: &Status) -> anyhow::Result<()> {
    let Some(device) = &args.device else { return fleet::status(&args.fleet, args.json) };
    let slots = Slots::open(Folder::to_start(device))?;
    let state = slots.state();
    if args.json {
        println!("{}", state.describe());
        return Ok(());
    }
    for slot in [Name::A, Name::B] {
        match state.slot(slot).zip(state.standing(slot)) {
            Some((build, standing)) => println!("slot {slot}: {build}, {standing}"),
            None => println!("slot {slot}: empty"),
        }
    }
    for (name, version) in &state.floors {
        println!("{name}: versions before {version} are refused");
    }
    for sha256 in &state.failed {
        println!("failed here: SHA-256 {sha256}");
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
    println!("back to {build} in slot {slot}");
    Ok(())
}

fn open(device: &Path) -> anyhow::Result<Slots<Folder>> {
    Ok(Slots::open(Folder::open(device).map_err(at(device))?)?)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> anyhow::Error + '_ {
    move |error| anyhow!("{}: {error}", path.display())
}

/// Lets the build answer; what is wrong with its answers, as the program says.
fn accept(args: &Stage, build: &Path) -> Result<(), String> {
    let mut command = Command::new(&args.edge);
    command.args(["accept", "--build"]).arg(build);
    if let Some(board) = &args.board {
        command.args(["--board", board]);
    }
    ask(&mut command, Duration::from_secs(args.within))
}
