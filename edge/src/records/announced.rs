//! Records and the messages about them: each message leaves in the order of what it reports.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use medsa_wire::RecordDeleted;

use super::capture::Capture;
use super::error::Error;
use super::id::RecordId;
use super::storage::Deletion;
use super::store::Records;
use crate::port::{self, Announcements, Refusal};

/// Records that are announced, if there is an outbox.
pub(super) struct Announced {
    pub records: Records,
    announcements: Option<Arc<dyn Announcements>>,
    /// Held while a record and its message change, so that none overtakes another.
    changing: Mutex<()>,
}

impl Announced {
    /// Also reports deletions that were not reported before the process ended.
    pub(super) fn new(records: Records, announcements: Option<Arc<dyn Announcements>>) -> Self {
        let announced = Self { records, announcements, changing: Mutex::default() };
        for Deletion { id, reason, .. } in announced.unreported() {
            tracing::info!("record {id} was deleted before the start: {reason:?}");
        }
        announced.report_deletions();
        announced
    }

    /// The outbox, if there is one.
    pub(super) fn announcements(&self) -> Option<&dyn Announcements> {
        self.announcements.as_deref()
    }

    /// Stores and announces a capture.
    ///
    /// # Errors
    /// As [`Records::keep`], and [`Error::NotAnnounced`].
    pub(super) fn keep(&self, capture: &Capture) -> Result<RecordId, Error> {
        let prepared = self.records.prepare(capture)?;
        let _changing = self.lock();
        let kept = self.records.store(prepared)?;
        if let Some(announcements) = self.announcements() {
            announcements.announce(&kept.message).map_err(Error::NotAnnounced)?;
        }
        Ok(kept.id)
    }

    /// Deletes a record and reports that. A report that fails is made with the next deletion, or at
    /// the next start.
    ///
    /// # Errors
    /// There is no such record, it is being announced, or the disk fails.
    pub(super) fn delete(&self, id: &str, why: &port::Deletion) -> Result<(), Refusal> {
        let found = RecordId::parse(id).ok_or_else(|| unknown(id))?;
        let _changing = self.lock();
        if self.announcements().is_some_and(|outbox| outbox.is_sending(id)) {
            let reason = format!("record {id} is being reported to the broker; try again");
            return Err(Refusal::new("record-busy", reason));
        }
        self.records.delete(&found, why.reason()).map_err(|error| {
            if error.is_not_found() { unknown(id) } else { Refusal::new("disk", error.to_string()) }
        })?;
        tracing::info!("record {id} deleted: {why}");
        self.report_deletions();
        Ok(())
    }

    fn report_deletions(&self) {
        for deletion in self.unreported() {
            let reported =
                self.announcements().map_or(Ok(()), |outbox| outbox.withdraw(&message(&deletion)));
            let done = reported
                .and_then(|()| self.records.forget(&deletion).map_err(|error| error.to_string()));
            if let Err(reason) = done {
                tracing::error!(
                    "the deletion of record {} could not be reported: {reason}; next attempt with \
                     the next deletion, or at the next start",
                    deletion.id
                );
            }
        }
    }

    fn unreported(&self) -> Vec<Deletion> {
        self.records.deletions().unwrap_or_else(|error| {
            tracing::error!("deletions of records cannot be reported: {error}");
            Vec::new()
        })
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn unknown(id: impl fmt::Display) -> Refusal {
    Refusal::new("no-such-record", format!("there is no record {id}"))
}

fn message(Deletion { id, reason, at }: &Deletion) -> RecordDeleted {
    let since_1970 = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    RecordDeleted {
        // Invariant: at most 20 digits, a dash, and 23 characters of a time.
        id: id.to_string().as_str().try_into().expect("a name of at most 44 bytes"),
        deleted_us: u64::try_from(since_1970.as_micros()).unwrap_or(u64::MAX),
        reason: *reason,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use medsa_frames::Frame;
    use medsa_wire::RecordMessage;
    use medsa_wire::topic::DeviceId;

    use super::*;
    use crate::config::{Budget, Deidentification};
    use crate::port::{BuildIdentity, Trigger, Upload};

    /// An outbox that notes all messages.
    #[derive(Default)]
    struct Notes {
        messages: Mutex<Vec<String>>,
        is_sending: bool,
        is_full: bool,
    }

    impl Announcements for Notes {
        fn announce(&self, record: &RecordMessage) -> Result<(), String> {
            self.messages.lock().unwrap().push(format!("{} stored", record.id));
            Ok(())
        }

        fn withdraw(&self, record: &RecordDeleted) -> Result<(), String> {
            if self.is_full {
                return Err("the outbox is full".into());
            }
            let RecordDeleted { id, deleted_us, reason } = record;
            assert!(*deleted_us > 1_700_000_000_000_000, "{deleted_us}");
            self.messages.lock().unwrap().push(format!("{id} deleted: {reason:?}"));
            Ok(())
        }

        fn is_sending(&self, _: &str) -> bool {
            self.is_sending
        }

        fn upload(&self, _: &str) -> Upload {
            Upload::Waiting
        }

        fn waiting(&self) -> Option<u64> {
            None
        }
    }

    fn open(folder: &Path, notes: &Arc<Notes>) -> Announced {
        let budget = Budget { max_bytes: u64::MAX, min_free_bytes: 0 };
        Announced::new(Records::open(folder, budget).unwrap(), Some(notes.clone()))
    }

    fn capture() -> Capture {
        let rgb = vec![90; 3 * 8 * 4];
        Capture {
            frame: Frame { width: 8, height: 4, rgb, pixel_spacing_mm: None },
            deidentification: Deidentification::Masked,
            captured_us: 1_795_416_273_123_456,
            frame_id: 7,
            trigger: Trigger::Touch,
            operator: None,
            study: None,
            device: DeviceId::parse("bedside-1").unwrap(),
            board: "raspberry-pi-5".into(),
            edge_version: "0.1.0".into(),
            build: BuildIdentity {
                name: "plexus".into(),
                version: "1.2.0".into(),
                sha256: [0xab; 32],
                classes: Vec::new(),
            },
            objects: Vec::new(),
            clip: Vec::new(),
            names: BTreeMap::new(),
        }
    }

    fn why(reason: &str) -> port::Deletion {
        serde_json::from_value(serde_json::json!({ "reason": reason })).unwrap()
    }

    fn hidden(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != ".lock").collect()
    }

    #[test]
    fn deletion_is_reported_and_leaves_nothing() {
        let (folder, notes) = (tempfile::tempdir().unwrap(), Arc::<Notes>::default());
        let announced = open(folder.path(), &notes);
        let id = announced.keep(&capture()).unwrap().to_string();
        announced.delete(&id, &why("WrongPatient")).unwrap();
        let expected = [format!("{id} stored"), format!("{id} deleted: WrongPatient")];
        assert_eq!(*notes.messages.lock().unwrap(), expected);
        assert_eq!(hidden(folder.path()), [""; 0]);
        for unknown in [&*id, "..", "", "00000009-20261123T064433.123456Z"] {
            let refusal = announced.delete(unknown, &why("Test")).unwrap_err();
            assert_eq!(refusal.code, "no-such-record", "{unknown}");
        }
    }

    #[test]
    fn record_that_is_being_announced_stays() {
        let folder = tempfile::tempdir().unwrap();
        let notes = Arc::new(Notes { is_sending: true, ..Notes::default() });
        let announced = open(folder.path(), &notes);
        let id = announced.keep(&capture()).unwrap();
        let refusal = announced.delete(&id.to_string(), &why("Test")).unwrap_err();
        assert_eq!(refusal.code, "record-busy");
        announced.records.read(&id).unwrap();
    }

    #[test]
    fn deletion_that_could_not_be_reported_is_reported_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let full = Arc::new(Notes { is_full: true, ..Notes::default() });
        let announced = open(folder.path(), &full);
        let id = announced.keep(&capture()).unwrap().to_string();
        announced.delete(&id, &why("PoorImage")).unwrap();
        // Nothing is left but the name.
        assert_eq!(hidden(folder.path()), [format!(".deleted-{id}.PoorImage")]);
        let left = folder.path().join(format!(".deleted-{id}.PoorImage"));
        assert_eq!(std::fs::read_dir(left).unwrap().count(), 0);
        drop(announced);
        let notes = Arc::<Notes>::default();
        open(folder.path(), &notes);
        assert_eq!(*notes.messages.lock().unwrap(), [format!("{id} deleted: PoorImage")]);
        assert_eq!(hidden(folder.path()), [""; 0]);
    }
}
