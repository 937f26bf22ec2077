//! The thread that sends records.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use medsa_hospital::{
    Instance, Node, Reference, Report, Reports, Stored, WebServer, request_commitment, store,
    store_web,
};

use super::error::Error;
use super::peer::{node, web_server};
use super::progress::Progresses;
use crate::back_off::BackOff;
use crate::config::ArchiveConfig;
use crate::meter::{Counter, Meter};
use crate::port::{Archive, Captures, Failures, Progress};
use crate::threads;

/// Name of the thread.
const NAME: &str = "archive";

/// Folder of the progress of records, in the folder of records.
const FOLDER: &str = ".archive";

/// Longest wait after a failure.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Time after which the archive is asked again to keep a record, because its report may be lost.
const ASK_AGAIN: Duration = Duration::from_secs(3600);

/// The archive of the configuration.
pub struct PacsArchive {
    to: Target,
    /// The archive that is asked to keep records, and the address for its reports.
    commitment: Option<(Node, SocketAddr)>,
    progresses: Progresses,
    /// True if there may be something to send.
    work: Mutex<bool>,
    changed: Condvar,
    meter: Arc<Meter>,
}

enum Target {
    Dicom(Node),
    Web(WebServer),
}

impl Target {
    fn store(&self, instances: &[Instance]) -> Result<Stored, medsa_hospital::Error> {
        match self {
            Self::Dicom(node) => store(node, instances),
            Self::Web(server) => store_web(server, instances),
        }
    }
}

impl PacsArchive {
    /// Opens the progress of the records in `records`, a folder.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::NewerFormat`], [`Error::Network`].
    pub fn open(config: &ArchiveConfig, records: &Path, meter: Arc<Meter>) -> Result<Self, Error> {
        let (to, commitment) = match config {
            ArchiveConfig::Dicom { peer, commitment } => {
                let node = node(peer)?;
                (Target::Dicom(node.clone()), commitment.map(|address| (node, address)))
            }
            ArchiveConfig::Web(config) => (Target::Web(web_server(config)?), None),
        };
        Ok(Self {
            to,
            commitment,
            progresses: Progresses::open(&records.join(FOLDER))?,
            work: Mutex::new(true),
            changed: Condvar::new(),
            meter,
        })
    }

    /// Waits until there may be something to send, at most for `limit`.
    fn wait(&self, limit: Duration) {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(work, limit, |work| !*work);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }

    /// Sends all records that wait, and asks the archive to keep those that it has.
    ///
    /// # Errors
    /// The first failure that may pass.
    fn send_all(&self, captures: &dyn Captures) -> Result<(), String> {
        let mut ids = captures.ids()?;
        self.progresses.keep_only(&ids);
        // The oldest first.
        ids.reverse();
        for id in &ids {
            let done = match self.progresses.get(id) {
                Progress::Waiting => self.send(id, captures),
                Progress::Sent if self.commitment.is_some() => self.ask_again(id, captures),
                Progress::Asked { at_s, .. } if now_s() >= at_s + ASK_AGAIN.as_secs() => {
                    self.ask_again(id, captures)
                }
                _ => continue,
            };
            let Err(error) = done else { continue };
            let passes = match &error {
                Error::Network(error) => error.may_pass(),
                _ => true,
            };
            if passes {
                return Err(error.to_string());
            }
            self.refuse(id, error.to_string())?;
        }
        Ok(())
    }

    fn send(&self, id: &str, captures: &dyn Captures) -> Result<(), Error> {
        let instances = match instances(id, captures) {
            Ok(instances) => instances,
            Err(None) => return Ok(()),
            Err(Some(reason)) => {
                self.progresses.set(id, Progress::Refused { reason })?;
                return Ok(());
            }
        };
        let stored = self.to.store(&instances)?;
        for (uid, status) in stored.warnings {
            tracing::warn!("record {id}: the archive stored {uid} with the warning {status:04X}H");
        }
        self.progresses.set(id, Progress::Sent)?;
        self.meter.count(Counter::RecordsArchived);
        tracing::info!("record {id} is in the archive");
        self.ask(id, &instances)
    }

    fn ask_again(&self, id: &str, captures: &dyn Captures) -> Result<(), Error> {
        let Ok(instances) = instances(id, captures) else { return Ok(()) };
        self.ask(id, &instances)
    }

    fn ask(&self, id: &str, instances: &[Instance]) -> Result<(), Error> {
        let Some((node, _)) = &self.commitment else { return Ok(()) };
        let references: Vec<_> = instances.iter().map(Reference::from).collect();
        let transaction = format!("2.25.{}", uuid::Uuid::new_v4().as_u128());
        // Before the request: the report may come before its response.
        let asked = Progress::Asked { transaction: transaction.clone(), at_s: now_s() };
        self.progresses.set(id, asked)?;
        request_commitment(node, &transaction, &references).inspect_err(|_| {
            if let Err(error) = self.progresses.set(id, Progress::Sent) {
                tracing::error!("record {id}: {error}");
            }
        })?;
        Ok(())
    }

    fn refuse(&self, id: &str, reason: String) -> Result<(), String> {
        tracing::error!("record {id} is NOT in the archive: {reason}");
        self.meter.count(Counter::RecordsNotArchived);
        let refused = Progress::Refused { reason };
        self.progresses.set(id, refused).map_err(|error| error.to_string())
    }

    /// Takes a report of the archive; false if it cannot be stored.
    fn receive(&self, report: &Report) -> bool {
        let is_of = |progress: &Progress| matches!(progress, Progress::Asked { transaction, .. } if *transaction == report.transaction);
        let Some((id, _)) = self.progresses.find(is_of) else {
            tracing::warn!("the archive reports an unknown transaction, {}", report.transaction);
            return true;
        };
        // What the archive does not keep is sent once more.
        let progress = if report.failed.is_empty() { Progress::Kept } else { Progress::Waiting };
        match &report.failed[..] {
            [] => tracing::info!("record {id} is kept by the archive"),
            [(uid, reason), ..] => tracing::error!(
                "record {id}: the archive does not keep {uid} (reason {reason:04X}H); it is sent again"
            ),
        }
        let stored = self.progresses.set(&id, progress);
        stored.inspect_err(|error| tracing::error!("record {id}: {error}")).is_ok()
    }
}

impl Archive for PacsArchive {
    fn stored(&self) {
        *self.work.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    fn progress(&self, id: &str) -> Progress {
        self.progresses.get(id)
    }
}

/// Starts to send the records of `captures`, and to receive reports. The returned value receives them.
///
/// # Errors
/// [`Error::Thread`], [`Error::Network`] if the address for reports cannot be used.
pub fn start(
    archive: Arc<PacsArchive>,
    captures: Arc<dyn Captures>,
    failures: Failures,
) -> Result<Option<Reports>, Error> {
    let reports = archive.commitment.as_ref().map(|(node, address)| {
        let archive = archive.clone();
        Reports::listen(*address, &node.calling, move |report| archive.receive(&report))
    });
    let reports = reports.transpose()?;
    if let Some(reports) = &reports {
        tracing::info!("waiting for reports of the archive at {}", reports.address());
    }
    let run = move || {
        let mut back_off = BackOff::new(LONGEST_WAIT);
        loop {
            archive.wait(wait_after(&archive, &*captures, &failures, &mut back_off));
        }
    };
    // It ends with the process: at every moment, its progress is on the disk.
    drop(threads::spawn(NAME, run)?);
    Ok(reports)
}

/// Sends what waits; returns the time until the next attempt.
fn wait_after(
    archive: &PacsArchive,
    captures: &dyn Captures,
    failures: &Failures,
    back_off: &mut BackOff,
) -> Duration {
    match threads::caught(NAME, || archive.send_all(captures)) {
        Ok(Ok(())) => {
            back_off.reset();
            LONGEST_WAIT
        }
        Ok(Err(reason)) => {
            let wait = back_off.wait();
            tracing::warn!("{reason}; next attempt in {:.2} s", wait.as_secs_f32());
            wait
        }
        Err(panic) => {
            failures.panicked(&panic);
            back_off.wait()
        }
    }
}

/// DICOM files of a record.
///
/// # Errors
/// `None` if there is no such record any more, else the reason why its files cannot be used.
fn instances(id: &str, captures: &dyn Captures) -> Result<Vec<Instance>, Option<String>> {
    let files = captures.dicom_files(id).map_err(Some)?.ok_or(None)?;
    let read = files.iter().map(Instance::read).collect::<Result<Vec<_>, _>>();
    read.map_err(|error| Some(error.to_string()))
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
