//! Reports of performed examinations to the system that planned them (MPPS).
//!
//! A file holds each report until the system has been told about the end of the examination. What
//! fails is tried again, except for what the system refuses.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Local};
use medsa_hospital::{
    EndedStep, Node, PerformedSeries, PerformedStep, Reference, WorklistItem, begin_step, end_step,
};
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::peer::node;
use crate::back_off::BackOff;
use crate::config::WorklistConfig;
use crate::files::{self, UNFINISHED, replace, sync_parent};
use crate::port::{Failures, Steps, Study, StudySeries};
use crate::threads;

/// Name of the thread.
const NAME: &str = "steps";

/// Folder of the reports, in the folder of records.
const FOLDER: &str = ".steps";

/// Format of the files.
const FORMAT: u32 = 1;

/// Longest wait after a failure.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Reports to the system of the worklist.
pub struct RisSteps {
    node: Node,
    folder: PathBuf,
    /// True if there may be something to send. Also guards the files.
    work: Mutex<bool>,
    changed: Condvar,
}

/// A file.
#[derive(Clone, Serialize, Deserialize)]
struct Step {
    format: u32,
    /// UID of the step.
    uid: String,
    study: Study,
    /// True once the system knows that the examination has begun.
    reported: bool,
    end: Option<End>,
}

#[derive(Clone, Serialize, Deserialize)]
struct End {
    at_us: u64,
    series: Vec<StudySeries>,
}

impl RisSteps {
    /// Opens the reports of the records in `records`, a folder.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn open(config: &WorklistConfig, records: &Path) -> Result<Self, Error> {
        let folder = records.join(FOLDER);
        fs::create_dir_all(&folder).map_err(files::Error::io(&folder))?;
        sync_parent(&folder)?;
        let node = node(&config.peer)?;
        Ok(Self { node, folder, work: Mutex::new(true), changed: Condvar::new() })
    }

    fn path(&self, study: &Study) -> PathBuf {
        self.folder.join(study.opened_us.to_string())
    }

    fn write(&self, step: &Step) -> Result<(), Error> {
        let json = serde_json::to_vec(step).expect("texts and numbers are JSON");
        Ok(replace(&self.path(&step.study), &json)?)
    }

    /// Reads, changes and writes the report of a study, if there is one.
    fn change(&self, study: &Study, change: impl FnOnce(&mut Step)) -> Result<(), Error> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut step) = self.read(&self.path(study))? else { return Ok(()) };
        change(&mut step);
        self.write(&step)?;
        *work = true;
        self.changed.notify_all();
        Ok(())
    }

    /// `None` for a file that is not there, damaged, or of a newer program.
    fn read(&self, path: &Path) -> Result<Option<Step>, files::Error> {
        match fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(files::Error::io(path)(error)),
            Ok(bytes) => {
                let step = serde_json::from_slice::<Step>(&bytes).ok();
                let step = step.filter(|step| step.format == FORMAT);
                if step.is_none() {
                    tracing::error!("{}: no report of an examination; passed over", path.display());
                }
                Ok(step)
            }
        }
    }

    /// Sends all reports that wait.
    ///
    /// # Errors
    /// The first failure that may pass.
    fn send_all(&self) -> Result<(), Error> {
        let entries = fs::read_dir(&self.folder).map_err(files::Error::io(&self.folder))?;
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.retain(|path| !path.to_string_lossy().ends_with(UNFINISHED));
        paths.sort();
        for path in paths {
            let Some(step) = self.read(&path)? else { continue };
            match self.send(&step) {
                Err(Error::Network(error)) if !error.may_pass() => {
                    tracing::error!("the report of study {} is refused: {error}", step.study.uid);
                    self.remove(&step)?;
                }
                sent => sent?,
            }
        }
        Ok(())
    }

    fn send(&self, step: &Step) -> Result<(), Error> {
        if !step.reported {
            begin_step(&self.node, &begun(step))?;
            tracing::info!("the begin of study {} is reported", step.study.uid);
            // Its end may have come meanwhile.
            self.change(&step.study, |step| step.reported = true)?;
        }
        if let Some(end) = &step.end {
            end_step(&self.node, &ended(step, end))?;
            tracing::info!("the end of study {} is reported", step.study.uid);
            self.remove(step)?;
        }
        Ok(())
    }

    fn remove(&self, step: &Step) -> Result<(), Error> {
        let path = self.path(&step.study);
        fs::remove_file(&path).map_err(files::Error::io(&path))?;
        Ok(sync_parent(&path)?)
    }

    /// Waits until there may be something to send, at most for `limit`.
    fn wait(&self, limit: Duration) {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(work, limit, |work| !*work);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

impl Steps for RisSteps {
    fn begun(&self, study: &Study) -> Result<(), String> {
        if study.details.step_id.is_empty() {
            return Ok(());
        }
        let uid = format!("2.25.{}", uuid::Uuid::new_v4().as_u128());
        let step = Step { format: FORMAT, uid, study: study.clone(), reported: false, end: None };
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(&step).map_err(|error| error.to_string())?;
        *work = true;
        self.changed.notify_all();
        Ok(())
    }

    fn ended(&self, study: &Study, series: Vec<StudySeries>) -> Result<(), String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let end = End { at_us: now.as_micros() as u64, series };
        self.change(study, |step| step.end = Some(end)).map_err(|error| error.to_string())
    }
}

/// Starts to send reports.
///
/// # Errors
/// [`Error::Thread`].
pub fn report(steps: Arc<RisSteps>, failures: Failures) -> Result<(), Error> {
    let run = move || {
        let mut back_off = BackOff::new(LONGEST_WAIT);
        loop {
            let wait = match threads::caught(NAME, || steps.send_all()) {
                Ok(Ok(())) => {
                    back_off.reset();
                    LONGEST_WAIT
                }
                Ok(Err(error)) => {
                    let wait = back_off.wait();
                    tracing::warn!("{error}; next attempt in {:.2} s", wait.as_secs_f32());
                    wait
                }
                Err(panic) => {
                    failures.panicked(&panic);
                    back_off.wait()
                }
            };
            steps.wait(wait);
        }
    };
    // It ends with the process: what is not reported is in files.
    drop(threads::spawn(NAME, run)?);
    Ok(())
}

/// Date and time of this device's clock, as DICOM writes them.
fn local(time_us: u64) -> (String, String) {
    let time = DateTime::from_timestamp_micros(time_us as i64).unwrap_or_default();
    let time = time.with_timezone(&Local);
    (time.format("%Y%m%d").to_string(), time.format("%H%M%S").to_string())
}

fn begun(Step { uid, study, .. }: &Step) -> PerformedStep {
    let details = study.details.clone();
    let (date, time) = local(study.opened_us);
    PerformedStep {
        uid: uid.clone(),
        // Seconds: 10 digits.
        id: (study.opened_us / 1_000_000).to_string(),
        date,
        time,
        planned: WorklistItem {
            patient_name: details.patient_name,
            patient_id: details.patient_id,
            birth_date: details.birth_date,
            sex: details.sex,
            accession_number: details.accession_number,
            study_uid: study.uid.clone(),
            referring_physician: details.referring_physician,
            procedure_id: details.procedure_id,
            procedure: details.procedure,
            step_id: details.step_id,
            step: details.step,
            modality: details.modality,
            ..WorklistItem::default()
        },
    }
}

fn ended(Step { uid, .. }: &Step, End { at_us, series }: &End) -> EndedStep {
    let (date, time) = local(*at_us);
    let series = series.iter().map(|series| PerformedSeries {
        uid: series.uid.clone(),
        description: series.description.clone(),
        operator: series.operator.clone(),
        instances: vec![Reference { class: series.class.clone(), uid: series.instance.clone() }],
    });
    EndedStep { uid: uid.clone(), date, time, series: series.collect() }
}
