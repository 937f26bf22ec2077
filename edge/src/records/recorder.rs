//! The threads that store captures, so that no other thread waits for the disk, and no capture for a
//! clip, whose encoding takes seconds.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use medsa_wire::topic::{DeviceId, ObjectId};
use medsa_wire::{MaskState, json};
use serde_json::Value;

use super::announced::{Announced, unknown};
use super::capture::{Capture, CapturedObject, ObjectState, label};
use super::error::Error;
use super::id::RecordId;
use super::record::Record;
use super::stick::Stick;
use super::store::Records;
use super::study::{OpenStudy, Opened};
use crate::measure::Measured;
use crate::meter::{Counter, Meter};
use crate::port::{
    Activity, Announcements, Archive, CaptureSummary, Captures, Change, Cine, CineFrame, Copied,
    Deletion, Described, DescribedObject, DescribedPatient, Failures, Names, NoShot, Objects,
    Recent, Refusal, Requester, Shot, ShotObject, Steps, Studies, Study, StudyDetails, Subject,
    Upload,
};
use crate::threads::{self, Panic};

/// Name of the thread for captures without a clip.
const NAME: &str = "records";

/// Name of the thread for clips.
const CLIPS: &str = "clips";

/// Largest number of captures that wait for the disk; each is one request of a user.
const WAITING: usize = 16;

/// Queues captures for the threads that store them.
pub struct Recorder {
    recent: Recent,
    cine: Cine,
    objects: Arc<Objects>,
    names: Names,
    records: Arc<Announced>,
    meter: Arc<Meter>,
    /// `None` after [`Recorder::finish`].
    running: Mutex<Option<Running>>,
    open: OpenCaptures,
    /// The clip that is being stored; at most one, because it holds the cine buffer in memory.
    open_clips: OpenCaptures,
    refused_because: Arc<Mutex<Option<&'static str>>>,
    stick: Option<Stick>,
    archive: Option<Arc<dyn Archive>>,
    study: Arc<OpenStudy>,
    steps: Option<Arc<dyn Steps>>,
}

struct Running {
    jobs: SyncSender<CaptureJob>,
    clips: SyncSender<CaptureJob>,
    threads: [JoinHandle<()>; 2],
}

struct CaptureJob {
    shot: Shot,
    clip: Vec<CineFrame>,
    names: BTreeMap<u8, String>,
    by: Requester,
    study: Option<Study>,
    _open: OpenCapture,
    _clip: Option<OpenCapture>,
}

/// Number of accepted captures that are not on the disk yet.
#[derive(Clone, Default)]
pub struct OpenCaptures(Arc<(Mutex<usize>, Condvar)>);

impl OpenCaptures {
    /// Waits until there are none, at most `limit`; returns the number left.
    pub fn wait(&self, limit: Duration) -> usize {
        let (count, changed) = &*self.0;
        let count = count.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(count, limit, |count| *count > 0);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn begin(&self) -> OpenCapture {
        self.change(|count| count + 1);
        OpenCapture(self.clone())
    }

    fn change(&self, change: impl FnOnce(usize) -> usize) {
        let (count, changed) = &*self.0;
        let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
        *count = change(*count);
        changed.notify_all();
    }
}

/// An accepted capture; it is stored or lost when this is dropped.
struct OpenCapture(OpenCaptures);

impl Drop for OpenCapture {
    fn drop(&mut self) {
        self.0.change(|count| count - 1);
    }
}

/// Device of the captures, and destinations of reports.
pub struct RecorderOptions {
    /// Name of the device.
    pub device: DeviceId,
    /// Name of its board.
    pub board: String,
    /// Announces records, if there is an outbox.
    pub announcements: Option<Arc<dyn Announcements>>,
    /// Counters.
    pub meter: Arc<Meter>,
    /// Failures of tasks.
    pub failures: Failures,
    /// Folder at which a stick is mounted, if records can be copied.
    pub stick: Option<PathBuf>,
    /// Time without a capture after which a study is closed.
    pub study_timeout: Duration,
    /// Archive that records are sent to, if there is one.
    pub archive: Option<Arc<dyn Archive>>,
    /// Reports of performed examinations, if the system of the worklist wants them.
    pub steps: Option<Arc<dyn Steps>>,
}

impl Recorder {
    /// Starts the threads.
    ///
    /// # Errors
    /// [`Error::Thread`].
    pub fn start(
        records: Records,
        recent: Recent,
        cine: Cine,
        objects: Arc<Objects>,
        names: Names,
        options: RecorderOptions,
    ) -> Result<Self, Error> {
        let study = Arc::new(OpenStudy::read(records.folder(), options.study_timeout));
        let records = Arc::new(Announced::new(records, options.announcements.clone()));
        let (open, open_clips) = (OpenCaptures::default(), OpenCaptures::default());
        let meter = options.meter.clone();
        let refused_because = Arc::default();
        let device = options.device.to_string();
        let (archive, steps) = (options.archive.clone(), options.steps.clone());
        let stick = options.stick.clone().map(|mounted_at| Stick { mounted_at, device });
        let writer = Arc::new(Writer {
            records: records.clone(),
            options,
            study: study.clone(),
            refused_because: Arc::clone(&refused_because),
        });
        let start = |name, waiting| -> Result<_, Error> {
            let (jobs, received) = sync_channel(waiting);
            let writer = Arc::clone(&writer);
            let run = move || {
                // A panic loses the capture at hand; the thread goes on with the next one.
                while let Err(panic) = threads::caught(name, || writer.run(&received)) {
                    writer.options.failures.panicked(&panic);
                }
            };
            Ok((jobs, threads::spawn(name, run)?))
        };
        let (jobs, captures) = start(NAME, WAITING)?;
        let (clips, encoding) = start(CLIPS, 1)?;
        let running = Running { jobs, clips, threads: [captures, encoding] };
        let running = Mutex::new(Some(running));
        Ok(Self {
            recent,
            cine,
            objects,
            names,
            records,
            meter,
            running,
            open,
            open_clips,
            refused_because,
            stick,
            archive,
            study,
            steps,
        })
    }

    /// Accepted captures that are not on the disk yet.
    pub fn open(&self) -> OpenCaptures {
        self.open.clone()
    }

    /// Waits until all accepted captures are stored; later captures are refused.
    pub fn finish(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running { jobs, clips, threads }) = running else { return };
        drop((jobs, clips));
        for thread in threads {
            // The thread has reported its failures.
            let _ = thread.join();
        }
    }
}

impl Captures for Recorder {
    fn capture(&self, subject: &Subject, by: &Requester) -> Result<(), Refusal> {
        let (study, from_us) = self.study.for_capture();
        if let Subject::Shown { study: Some(shown), .. } = subject
            && shown != study.as_ref().map_or("", |study| &study.uid)
        {
            let reason = "the page shows another patient than the one of the open study";
            return Err(Refusal::new("other-patient", reason));
        }
        let mut clip = match subject {
            Subject::Shown { clip: true, .. } => self.cine.frames().map_err(Refusal::from)?,
            _ => Vec::new(),
        };
        clip.retain(|frame| frame.captured_us() >= from_us);
        let shot = self.shot(subject).map_err(|error| {
            let code = match error {
                NoShot::NothingYet => "no-frame-yet",
                NoShot::FrameGone(_) | NoShot::MaskGone(_) => "frame-gone",
                NoShot::Old(_) => "frame-old",
            };
            Refusal::new(code, error.to_string())
        })?;
        if shot.captured.captured_us < from_us {
            let reason =
                "the image is from before the end of the last study: it shows that patient";
            return Err(Refusal::new("earlier-patient", reason));
        }
        let ended = |reason| Refusal::new("shutting-down", reason);
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let running = running.as_ref().ok_or_else(|| ended("the service is shutting down"))?;
        let (queue, open_clip) = if clip.is_empty() {
            (&running.jobs, None)
        } else if self.open_clips.wait(Duration::ZERO) > 0 {
            let reason = "another clip is being stored; try again later";
            return Err(Refusal::new("clip-busy", reason));
        } else {
            (&running.clips, Some(self.open_clips.begin()))
        };
        let (names, open) = (self.names.all(), self.open.begin());
        let by = by.clone();
        let job = CaptureJob { shot, clip, names, by, study, _open: open, _clip: open_clip };
        queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => {
                let reason = format!("{WAITING} captures are already waiting for the disk");
                Refusal::new("disk-busy", reason)
            }
            TrySendError::Disconnected(_) => ended("the thread that stores records has ended"),
        })
    }

    fn refused_because(&self) -> Option<&'static str> {
        *self.refused_because.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn list(&self, limit: usize) -> Result<Vec<CaptureSummary>, String> {
        let ids = self.records.records.list(limit).map_err(|error| error.to_string())?;
        Ok(ids.iter().map(|id| self.summary(id)).collect())
    }

    fn ids(&self) -> Result<Vec<String>, String> {
        let ids = self.records.records.list(usize::MAX).map_err(|error| error.to_string())?;
        Ok(ids.iter().map(RecordId::to_string).collect())
    }

    fn describe(&self, id: &str) -> Result<Option<Value>, String> {
        let Some(parsed) = RecordId::parse(id) else { return Ok(None) };
        let record = there(self.records.records.describe(&parsed))?;
        let upload = self.upload(id);
        Ok(record.map(|record| {
            let mut description = json::value(&record);
            description["upload"] = json::value(&upload);
            if let Some(archive) = &self.archive {
                description["archive"] = json::value(&archive.progress(id));
            }
            description
        }))
    }

    fn image(&self, id: &str, name: &str) -> Result<Option<Vec<u8>>, String> {
        let Some(id) = RecordId::parse(id) else { return Ok(None) };
        Ok(there(self.records.records.image(&id, name))?.flatten())
    }

    fn dicom_files(&self, id: &str) -> Result<Option<Vec<PathBuf>>, String> {
        let Some(id) = RecordId::parse(id) else { return Ok(None) };
        let Some(record) = there(self.records.records.read(&id))? else { return Ok(None) };
        let folder = self.records.records.folder_of(&id);
        let files = record.files.keys().filter(|name| name.ends_with(".dcm"));
        Ok(Some(files.map(|name| folder.join(name)).collect()))
    }

    fn delete(&self, id: &str, why: &Deletion) -> Result<(), Refusal> {
        self.records.delete(id, why)?;
        self.meter.count(Counter::RecordsDeleted);
        Ok(())
    }

    fn stick(&self) -> Option<bool> {
        self.stick.as_ref().map(Stick::is_there)
    }

    fn copy(&self, ids: &[String]) -> Result<Copied, Refusal> {
        let stick = self.stick.as_ref();
        let stick = stick.ok_or_else(|| Refusal::new("no-stick", "records.stick is not set"))?;
        let parse = |id: &String| RecordId::parse(id).ok_or_else(|| unknown(id));
        let ids = ids.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let copied = stick.copy(&self.records.records, &ids)?;
        tracing::info!("{} records copied onto the stick, {} were there", copied.new, copied.there);
        Ok(copied)
    }
}

impl Studies for Recorder {
    fn current(&self) -> Option<Study> {
        let (current, expired) = self.study.current();
        if let Some(expired) = expired {
            self.ended(&expired);
        }
        current
    }

    fn open(&self, details: StudyDetails, by: &Requester) -> Result<Study, Refusal> {
        let details = details.checked();
        let details = details.map_err(|reason| Refusal::new("study-does-not-fit", reason))?;
        let Opened { study, is_new, ended } = self.study.open(details).map_err(disk)?;
        if let Some(ended) = ended {
            self.forget_patient();
            self.ended(&ended);
        }
        if is_new {
            audit(by, "opened", &study);
            let stored = self.steps.as_ref().map(|steps| steps.begun(&study));
            if let Some(Err(error)) = stored {
                tracing::error!("the begin of study {} is not reported: {error}", study.uid);
            }
        }
        Ok(study)
    }

    fn close(&self, by: &Requester) -> Result<(), Refusal> {
        if let Some(study) = self.study.close().map_err(disk)? {
            self.forget_patient();
            audit(by, "closed", &study);
            self.ended(&study);
        }
        Ok(())
    }
}

fn disk(error: Error) -> Refusal {
    Refusal::new("disk", error.to_string())
}

/// Logs a change of the study: never the patient.
fn audit(by: &Requester, done: &str, study: &Study) {
    match &by.user {
        Some(user) => tracing::info!("audit: {user}: {done} study {}", study.uid),
        None => tracing::info!("study {} {done}", study.uid),
    }
}

/// `None` for a record that does not exist.
fn there<T>(read: Result<T, Error>) -> Result<Option<T>, String> {
    match read {
        Err(error) if error.is_not_found() => Ok(None),
        read => read.map(Some).map_err(|error| error.to_string()),
    }
}

impl Recorder {
    /// Ends what belongs to a patient: outlines, and a frozen image.
    fn forget_patient(&self) {
        for (object, _) in self.objects.prompts() {
            let cleared =
                ObjectId::new(object).map(|object| self.objects.change(object, Change::Clear));
            // Clearing needs no frame.
            debug_assert!(matches!(cleared, Ok(Ok(()))));
        }
        if self.objects.activity() == Activity::Frozen {
            self.objects.set_activity(Activity::Running);
        }
    }

    /// Reports what was captured in a study that has ended.
    fn ended(&self, study: &Study) {
        let Some(steps) = &self.steps else { return };
        let series = self.records.records.series(study).map_err(|error| error.to_string());
        if let Err(error) = series.and_then(|series| steps.ended(study, series)) {
            tracing::error!("the end of study {} is not reported: {error}", study.uid);
        }
    }

    fn shot(&self, subject: &Subject) -> Result<Shot, NoShot> {
        let held = self.objects.held_until();
        match subject {
            Subject::Newest => {
                let present = self.objects.prompts().into_iter().map(|(object, _)| object);
                self.recent.newest(&present.collect::<Vec<_>>(), held)
            }
            Subject::Shown { frame_id, masks, .. } => self.recent.shot(*frame_id, masks, held),
        }
    }

    fn upload(&self, id: &str) -> Upload {
        self.records.announcements().map_or(Upload::None, |outbox| outbox.upload(id))
    }

    fn summary(&self, id: &RecordId) -> CaptureSummary {
        let id_text = id.to_string();
        let described = match self.records.records.describe(id) {
            Ok(Record { captured_us, frame, objects, study, .. }) => Described::Whole {
                captured_us,
                patient: study.map(|study| DescribedPatient {
                    id: study.details.patient_id,
                    name: study.details.patient_name,
                    study: study.uid,
                }),
                upload: self.upload(&id_text),
                frame_id: frame.id,
                objects: objects
                    .into_iter()
                    .map(|object| DescribedObject {
                        object: object.object,
                        label: object.label,
                        score: object.score,
                        area_px: object.area_px,
                    })
                    .collect(),
            },
            Err(error) => Described::Damaged { error: error.to_string() },
        };
        CaptureSummary { id: id_text, described }
    }
}

struct Writer {
    records: Arc<Announced>,
    options: RecorderOptions,
    study: Arc<OpenStudy>,
    refused_because: Arc<Mutex<Option<&'static str>>>,
}

impl Writer {
    fn run(&self, jobs: &Receiver<CaptureJob>) {
        let RecorderOptions { meter, failures, .. } = &self.options;
        for job in jobs {
            let frame_id = job.shot.captured.frame_id;
            // A panic loses this capture only.
            let kept = threads::caught("a capture", || self.records.keep(&self.capture(&job)?));
            match kept.unwrap_or_else(|panic| Err(threads::Error::from(panic).into())) {
                Ok(id) => {
                    meter.count(Counter::RecordsKept);
                    if let Some(archive) = &self.options.archive {
                        archive.stored();
                    }
                    tracing::info!("frame {frame_id} stored as record {id}");
                    let used = job.study.as_ref().map(|study| self.study.used(&study.uid));
                    if let Some(Err(error)) = used {
                        tracing::error!("the study may close too early: {error}");
                    }
                    if let Some(user) = &job.by.user {
                        tracing::info!("audit: {user}: captured record {id}");
                    }
                }
                Err(error) => {
                    let mut because =
                        self.refused_because.lock().unwrap_or_else(PoisonError::into_inner);
                    *because = Some(error.code());
                    drop(because);
                    meter.count(Counter::RecordsRefused);
                    match error {
                        Error::Thread(threads::Error::Panicked(Panic { reason, .. })) => {
                            failures.record(NAME, &reason);
                        }
                        Error::NotAnnounced(_) => tracing::error!("frame {frame_id}: {error}"),
                        _ => tracing::error!("frame {frame_id} NOT stored: {error}"),
                    }
                }
            }
        }
    }

    fn capture(
        &self,
        CaptureJob { shot, clip, names, by, study, .. }: &CaptureJob,
    ) -> Result<Capture, Error> {
        let captured = &shot.captured;
        let build = &shot.build;
        let object = |(number, object): (&u8, &ShotObject)| {
            let shown = &object.shown;
            let logits = shown.geometry.logits_in_frame(shown.logits.view());
            Some(CapturedObject {
                object: ObjectId::new(*number).ok()?,
                label: label(names, build, *number),
                measured: Measured::of(logits.view(), captured.frame.pixel_spacing_mm.as_ref()),
                mask: logits.mapv(|logit| logit > 0.0),
                prompt: object.prompt.clone(),
                score: shown.score,
                frame_id: object.frame_id,
                state: match (shown.state, object.segmented) {
                    (MaskState::Tracking, true) => ObjectState::Segmented,
                    (MaskState::Tracking, false) => ObjectState::Followed,
                    _ => ObjectState::Uncertain,
                },
            })
        };
        Ok(Capture {
            frame: captured.frame.clone(),
            deidentification: captured.deidentification,
            captured_us: captured.captured_us,
            frame_id: captured.frame_id,
            trigger: by.trigger,
            operator: by.user.clone(),
            study: study.clone(),
            device: self.options.device.clone(),
            board: self.options.board.clone(),
            edge_version: env!("CARGO_PKG_VERSION").into(),
            build: (**build).clone(),
            objects: shot.objects.iter().filter_map(object).collect(),
            clip: clip.clone(),
            names: names.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_ends_when_no_capture_is_open_or_time_is_up() {
        let open = OpenCaptures::default();
        assert_eq!(open.wait(Duration::MAX), 0);
        let captures = [open.begin(), open.begin()];
        assert_eq!(open.wait(Duration::ZERO), 2);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| open.wait(Duration::from_secs(60)));
            drop(captures);
            assert_eq!(waiting.join().unwrap(), 0);
        });
    }
}
