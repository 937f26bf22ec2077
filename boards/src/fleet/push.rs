//! Push of a build to many devices in waves: a wave begins when all devices of the wave before have
//! confirmed the build and are healthy.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use medsa_console::{eprintln, println};
use medsa_update::Installed;
use semver::Version;

use super::each::each;
use super::list::Fleet;
use super::message::{PushEntry, PushReport};
use super::payload::PushPayload;
use super::report::{Progress, Report};
use super::ssh::{Device, Update};
use super::table;

/// Time between two questions to a device about its progress.
const LOOK: Duration = Duration::from_secs(2);

/// Send a build to devices in waves, and wait until each device has confirmed it
#[derive(Args)]
pub struct Push {
    /// Folder of the repository
    #[arg(long)]
    repository: PathBuf,
    /// Name of the build
    #[arg(long)]
    name: String,
    /// Version of the build [default: the newest]
    #[arg(long)]
    version: Option<Version>,
    #[command(flatten)]
    fleet: Fleet,
    /// Number of devices in each wave; a last wave takes all others
    #[arg(long, value_name = "NUMBER", value_delimiter = ',', default_value = "1")]
    waves: Vec<NonZeroUsize>,
    /// Minutes within which all devices of a wave have to confirm the build and be healthy
    #[arg(long, value_name = "MINUTES", default_value_t = 20.0)]
    within: f64,
    /// Install the build even on devices that have confirmed a newer version
    #[arg(long)]
    danger_allow_downgrade: bool,
    /// Install the build even on devices on which it has failed its trial
    #[arg(long)]
    again: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A device in the push.
struct Row<'a> {
    device: &'a Device,
    /// Number of its wave, from 1.
    wave: usize,
    /// Its last answer.
    report: Result<Report, String>,
    outcome: Outcome,
}

/// Outcome of the push for a device.
enum Outcome {
    /// The push ended before the wave of the device.
    NotBegun,
    /// The device had confirmed the build before the push.
    HadIt,
    /// The device has received the build and not confirmed it yet.
    Waiting(String),
    /// The device has confirmed the build and is healthy.
    Confirmed,
    /// The device has not confirmed the build, for this reason.
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
    let payload = PushPayload::open(&args.repository, &args.name, args.version.as_ref())?;
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
        run_wave(of_wave, &payload, args);
        let without =
            of_wave.iter().filter(|row| matches!(row.outcome, Outcome::Failed(_))).count();
        if without > 0 {
            failed = Some((wave, without));
            break;
        }
    }
    show(&rows, &payload.build, args.json)?;
    match failed {
        None => Ok(()),
        Some((wave, without)) => {
            let rest = if wave < waves { ": later waves were not begun" } else { "" };
            bail!("wave {wave} of {waves}: {without} failed{rest}");
        }
    }
}

/// Assigns devices to waves. Returns the number of waves.
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

/// Sends the build to all devices that lack it, and waits for their outcomes.
fn run_wave(rows: &mut [Row], payload: &PushPayload, args: &Push) {
    let until = Instant::now() + Duration::from_secs_f64(60.0 * args.within);
    let update = Update { payload, downgrade: args.danger_allow_downgrade, again: args.again };
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
                Ok(report) => match report.progress(&payload.build) {
                    Progress::Confirmed => Outcome::Confirmed,
                    Progress::Failed(reason) => Outcome::Failed(reason),
                    Progress::Waiting(reason) => Outcome::Waiting(reason),
                },
            };
            row.report = report;
            set(
                row,
                match outcome {
                    Outcome::Waiting(reason) if is_late => Outcome::Failed(format!(
                        "not confirmed and healthy within {} min: {reason}",
                        args.within
                    )),
                    outcome => outcome,
                },
            );
        }
        if !is_late {
            sleep(LOOK);
        }
    }
}

/// Sends the build to a device unless it has it. Returns the first outcome.
fn begin(row: &Row, update: &Update, until: Instant) -> Outcome {
    let build = &update.payload.build;
    match &row.report {
        Err(reason) => Outcome::Failed(reason.clone()),
        Ok(report) if report.has(build) => Outcome::HadIt,
        Ok(report) if report.uses(build) => Outcome::Waiting("on trial already".into()),
        Ok(_) => match row.device.update(update, until.saturating_duration_since(Instant::now())) {
            Ok(()) => Outcome::Waiting("installed, on trial".into()),
            Err(reason) => Outcome::Failed(reason),
        },
    }
}

/// Sets the outcome, and prints it if it has changed.
fn set(row: &mut Row, outcome: Outcome) {
    if outcome.to_string() != row.outcome.to_string() {
        eprintln!("{}: {outcome}", row.device.ssh);
    }
    row.outcome = outcome;
}

/// Prints the outcomes of all devices.
fn show(rows: &[Row], build: &Installed, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        let devices = rows.iter().map(|row| {
            let (outcome, reason) = row.outcome.names();
            let (ssh, wave, in_use) = (&*row.device.ssh, row.wave, row.in_use());
            PushEntry { ssh, wave, in_use, outcome, reason }
        });
        let report = PushReport { build, devices: devices.collect() };
        println!("{}", serde_json::to_string(&report)?);
        return Ok(());
    }
    let cells = rows.iter().map(|row| {
        let in_use = row.in_use().map_or("-".to_owned(), Installed::to_string);
        vec![row.device.ssh.clone(), row.wave.to_string(), in_use, row.outcome.to_string()]
    });
    table::print(&["ssh", "wave", "build", "outcome"], cells);
    Ok(())
}

impl Row<'_> {
    /// Build that the device used when it last answered.
    fn in_use(&self) -> Option<&Installed> {
        self.report.as_ref().ok()?.in_use()
    }
}

impl Outcome {
    /// Name and reason of the outcome, for scripts.
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
