//! A build onto many devices, a few first: only when all of a wave are well with it comes the next.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use medsa_update::Installed;
use semver::Version;
use serde_json::{Value, json};

use super::parcel::Parcel;
use super::report::{Build, Progress, Report};
use super::ssh::{Device, Update};
use super::table::print;
use super::{Fleet, each};

/// Time between two looks at devices that are waited for.
const LOOK: Duration = Duration::from_secs(2);

/// Send a build to devices, wave by wave, and wait until each has confirmed it
#[derive(Args)]
pub struct Push {
    /// Folder of the repository
    #[arg(long)]
    repository: PathBuf,
    /// Name of the build
    #[arg(long)]
    name: String,
    /// Its version; the newest if it is not given
    #[arg(long)]
    version: Option<Version>,
    #[command(flatten)]
    fleet: Fleet,
    /// How many devices each wave has; another one takes all that are left
    #[arg(long, value_name = "NUMBER", value_delimiter = ',', default_value = "1")]
    waves: Vec<NonZeroUsize>,
    /// Minutes in which all devices of a wave have to be well with it, trial included
    #[arg(long, value_name = "MINUTES", default_value_t = 20.0)]
    within: f64,
    /// Let devices take a version that is older than one that ran there
    #[arg(long)]
    danger_allow_downgrade: bool,
    /// Let devices take a build that failed its trial there
    #[arg(long)]
    again: bool,
    /// For programs
    #[arg(long)]
    json: bool,
}

/// A device, and how it fares.
struct Row<'a> {
    device: &'a Device,
    /// From 1.
    wave: usize,
    /// What it said last.
    report: Result<Report, String>,
    outcome: Outcome,
}

/// What became of a device.
enum Outcome {
    NotBegun,
    HadIt,
    Waiting(String),
    Confirmed,
    Failed(String),
}

/// Runs the command.
///
/// # Errors
/// If there is a device that has not confirmed the build.
pub fn push(args: &Push) -> anyhow::Result<()> {
    let devices = args.fleet.all()?;
    if !(args.within.is_finite() && args.within > 0.0 && args.within <= 10_080.0) {
        bail!("--within is {}, expected more than 0 minutes and at most 10080", args.within);
    }
    let parcel = Parcel::open(&args.repository, &args.name, args.version.as_ref())?;
    let reports = each(&devices, Device::status);
    let mut rows: Vec<_> = devices
        .iter()
        .zip(reports)
        .map(|(device, report)| Row { device, wave: 0, report, outcome: Outcome::NotBegun })
        .collect();
    let waves = number(&mut rows, &args.waves);
    let mut failed = None;
    for of_wave in rows.chunk_by_mut(|a, b| a.wave == b.wave) {
        let wave = of_wave[0].wave;
        let names: Vec<_> = of_wave.iter().map(|row| &*row.device.ssh).collect();
        eprintln!("wave {wave} of {waves}: {}", names.join(", "));
        run_wave(of_wave, &parcel, args);
        let without =
            of_wave.iter().filter(|row| matches!(row.outcome, Outcome::Failed(_))).count();
        if without > 0 {
            failed = Some((wave, without));
            break;
        }
    }
    show(&rows, &parcel.build, args.json);
    match failed {
        None => Ok(()),
        Some((wave, without)) => {
            let rest = if wave < waves { ": the waves after it are not begun" } else { "" };
            bail!("wave {wave} of {waves}: {without} failed{rest}");
        }
    }
}

/// Numbers the waves; how many there are.
fn number(rows: &mut [Row], sizes: &[NonZeroUsize]) -> usize {
    let sizes = sizes.iter().map(|size| size.get()).chain(std::iter::once(usize::MAX));
    let waves = (1..).zip(sizes).flat_map(|(wave, size)| std::iter::repeat_n(wave, size));
    let mut last = 0;
    for (row, wave) in rows.iter_mut().zip(waves) {
        row.wave = wave;
        last = wave;
    }
    last
}

/// Sends the build to all that lack it, and waits for what comes of it.
fn run_wave(rows: &mut [Row], parcel: &Parcel, args: &Push) {
    let until = Instant::now() + Duration::from_secs_f64(60.0 * args.within);
    let update = Update { parcel, downgrade: args.danger_allow_downgrade, again: args.again };
    let begun = each(rows, |row| begin(row, &update, until));
    for (row, outcome) in rows.iter_mut().zip(begun) {
        set(row, outcome);
    }
    loop {
        let mut waiting: Vec<_> =
            rows.iter_mut().filter(|row| matches!(row.outcome, Outcome::Waiting(_))).collect();
        if waiting.is_empty() {
            return;
        }
        let reports = each(&waiting, |row| row.device.status());
        let is_late = Instant::now() >= until;
        for (row, report) in waiting.iter_mut().zip(reports) {
            let outcome = match &report {
                Err(reason) => Outcome::Waiting(reason.clone()),
                Ok(report) => match report.progress(&parcel.build) {
                    Progress::Well => Outcome::Confirmed,
                    Progress::Failed(reason) => Outcome::Failed(reason),
                    Progress::Waiting(reason) => Outcome::Waiting(reason),
                },
            };
            row.report = report;
            set(
                row,
                match outcome {
                    Outcome::Waiting(reason) if is_late => {
                        Outcome::Failed(format!("not well within {} min: {reason}", args.within))
                    }
                    outcome => outcome,
                },
            );
        }
        if !is_late {
            sleep(LOOK);
        }
    }
}

/// What a device is at when it has the build, or is to take it.
fn begin(row: &Row, update: &Update, until: Instant) -> Outcome {
    let build = &update.parcel.build;
    match &row.report {
        Err(reason) => Outcome::Failed(reason.clone()),
        Ok(report) if report.has(build) => Outcome::HadIt,
        Ok(report) if report.uses(build) => Outcome::Waiting("on trial already".into()),
        Ok(_) => match row.device.update(update, until.saturating_duration_since(Instant::now())) {
            Ok(()) => Outcome::Waiting("it has taken the build".into()),
            Err(reason) => Outcome::Failed(reason),
        },
    }
}

/// Sets it, and tells those who wait.
fn set(row: &mut Row, outcome: Outcome) {
    if outcome.to_string() != row.outcome.to_string() {
        eprintln!("{}: {outcome}", row.device.ssh);
    }
    row.outcome = outcome;
}

fn show(rows: &[Row], build: &Installed, as_json: bool) {
    let in_use = |row: &Row| row.report.as_ref().ok().and_then(|it| it.in_use().cloned());
    if !as_json {
        let cells = rows.iter().map(|row| {
            let has = in_use(row).map_or("-".to_owned(), |build: Build| build.to_string());
            vec![row.device.ssh.clone(), row.wave.to_string(), has, row.outcome.to_string()]
        });
        return print(&["ssh", "wave", "build", "outcome"], cells);
    }
    let devices = rows.iter().map(|row| {
        let (outcome, reason) = row.outcome.names();
        json!({
            "ssh": row.device.ssh,
            "wave": row.wave,
            "in_use": in_use(row),
            "outcome": outcome,
            "reason": reason,
        })
    });
    println!("{}", json!({ "build": build, "devices": devices.collect::<Value>() }));
}

impl Outcome {
    /// For programs.
    fn names(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::NotBegun => ("not-begun", None),
            Self::HadIt => ("had-it", None),
            Self::Waiting(reason) => ("waiting", Some(reason)),
            Self::Confirmed => ("confirmed", None),
            Self::Failed(reason) => ("failed", Some(reason)),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBegun => formatter.write_str("not begun"),
            Self::HadIt => formatter.write_str("has it already"),
            Self::Waiting(reason) => formatter.write_str(reason),
            Self::Confirmed => formatter.write_str("confirmed"),
            Self::Failed(reason) => write!(formatter, "failed: {reason}"),
        }
    }
}
