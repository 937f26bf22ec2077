//! The open study. It is kept in a file of the records folder: an examination goes on after a restart.
//!
//! **Architecture invariant:** no capture gets into the study of another patient. So a study is closed
//! after a time without captures, a file that cannot be read means that no study is open, and images
//! from before the end of the last study are not captured in the next one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::dicom::new_uid;
use super::error::Error;
use crate::files::replace;
use crate::port::{Study, StudyDetails};

/// Name of the file, in the folder of records.
const FILE: &str = ".study.json";

/// Format of the file. A newer one is not read: no study is open then.
const FORMAT: u32 = 1;

/// Largest step backwards of the clock that does not close a study: the clock may be set by the network.
const CLOCK_STEP: Duration = Duration::from_secs(300);

/// The study that captures belong to, if one is open.
pub(super) struct OpenStudy {
    path: PathBuf,
    timeout: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: Option<Used>,
    /// A study that was not used for too long, until its end is noticed.
    expired: Option<Study>,
    /// Time at which the last study ended; images before it show its patient.
    ended_us: u64,
}

/// Result of opening a study.
pub(super) struct Opened {
    pub study: Study,
    /// False if it was open already.
    pub is_new: bool,
    /// The study that was open before.
    pub ended: Option<Study>,
}

/// A study, and the time of its last use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Used {
    format: u32,
    study: Study,
    used_us: u64,
}

impl OpenStudy {
    /// Reads the study that was open when the service ended.
    pub(super) fn read(folder: &Path, timeout: Duration) -> Self {
        let path = folder.join(FILE);
        let open = fs::read(&path).ok().and_then(|bytes| {
            let read = serde_json::from_slice::<Used>(&bytes);
            let known = read.ok().filter(|used| used.format == FORMAT);
            if known.is_none() {
                tracing::error!("{} cannot be read: no study is open", path.display());
            }
            known
        });
        let state = State { open, ..State::default() };
        Self { path, timeout, state: Mutex::new(state) }
    }

    /// The open study, and one that was closed because it was not used for too long; the latter once.
    pub(super) fn current(&self) -> (Option<Study>, Option<Study>) {
        self.current_at(now_us())
    }

    fn current_at(&self, now_us: u64) -> (Option<Study>, Option<Study>) {
        let mut state = self.unexpired(now_us);
        (state.open.as_ref().map(|used| used.study.clone()), state.expired.take())
    }

    /// The open study for a capture, and the time from which images belong to it.
    pub(super) fn for_capture(&self) -> (Option<Study>, u64) {
        let state = self.unexpired(now_us());
        (state.open.as_ref().map(|used| used.study.clone()), state.ended_us)
    }

    /// Counts a capture of the study `uid` as its use.
    ///
    /// # Errors
    /// [`Error::File`].
    pub(super) fn used(&self, uid: &str) -> Result<(), Error> {
        let mut state = self.lock();
        match &mut state.open {
            Some(used) if used.study.uid == uid => {
                used.used_us = now_us();
                self.write(used)
            }
            _ => Ok(()),
        }
    }

    /// Opens a study; the same one again stays as it is.
    ///
    /// # Errors
    /// [`Error::File`]; nothing is changed then.
    pub(super) fn open(&self, details: StudyDetails) -> Result<Opened, Error> {
        self.open_at(details, now_us())
    }

    fn open_at(&self, details: StudyDetails, now_us: u64) -> Result<Opened, Error> {
        let mut state = self.unexpired(now_us);
        if let Some(Used { study, .. }) = &state.open
            && study.details == details
        {
            return Ok(Opened { study: study.clone(), is_new: false, ended: None });
        }
        let uid = if details.study_uid.is_empty() { new_uid() } else { details.study_uid.clone() };
        let study = Study { uid, opened_us: now_us, details };
        let used = Used { format: FORMAT, study: study.clone(), used_us: now_us };
        self.write(&used)?;
        let before = state.open.replace(used).map(|used| used.study);
        if before.is_some() {
            state.ended_us = now_us;
        }
        let ended = before.or_else(|| state.expired.take());
        Ok(Opened { study, is_new: true, ended })
    }

    /// Closes the open study; returns it.
    ///
    /// # Errors
    /// [`Error::File`]; the study stays open then.
    pub(super) fn close(&self) -> Result<Option<Study>, Error> {
        let mut state = self.unexpired(now_us());
        if state.open.is_some() {
            self.remove()?;
            state.ended_us = now_us();
        }
        Ok(state.open.take().map(|used| used.study))
    }

    /// The state, without a study that was not used for too long.
    fn unexpired(&self, now_us: u64) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        let is_over = |used: &Used| match now_us.checked_sub(used.used_us) {
            Some(unused_us) => Duration::from_micros(unused_us) >= self.timeout,
            None => Duration::from_micros(used.used_us - now_us) > CLOCK_STEP,
        };
        if let Some(used) = state.open.take_if(|used| is_over(used)) {
            state.ended_us = now_us;
            tracing::info!("study {} closed: no captures for too long", used.study.uid);
            state.expired = Some(used.study);
            if let Err(error) = self.remove() {
                // At the next start it is over, too.
                tracing::error!("{error}");
            }
        }
        state
    }

    fn write(&self, used: &Used) -> Result<(), Error> {
        let json = serde_json::to_vec(used).expect("texts and numbers are JSON");
        Ok(replace(&self.path, &json)?)
    }

    fn remove(&self) -> Result<(), Error> {
        fs::remove_file(&self.path).map_err(crate::files::Error::io(&self.path))?;
        Ok(crate::files::sync_parent(&self.path)?)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is consistent after every statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now_us() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_micros() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000_000;

    fn details(id: &str) -> StudyDetails {
        StudyDetails { patient_id: id.into(), ..StudyDetails::default() }
    }

    fn read(folder: &Path) -> OpenStudy {
        OpenStudy::read(folder, Duration::from_secs(3600))
    }

    #[test]
    fn study_survives_a_restart_and_closes_when_it_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let begun = now_us();
        let study = read(folder.path()).open_at(details("1"), begun).unwrap().study;
        let open = read(folder.path());
        assert_eq!(open.current_at(begun + 59 * MINUTE), (Some(study.clone()), None));
        // The clock was set back a little, or to another year.
        assert_eq!(open.current_at(begun - 5 * MINUTE), (Some(study.clone()), None));
        assert_eq!(read(folder.path()).current_at(begun - 6 * MINUTE), (None, Some(study)));
        let study = read(folder.path()).open_at(details("1"), begun).unwrap().study;
        let open = read(folder.path());
        let late = begun + 60 * MINUTE;
        assert_eq!(open.current_at(late), (None, Some(study)));
        assert_eq!((open.current_at(late), open.lock().ended_us), ((None, None), late));
        assert_eq!(read(folder.path()).current_at(begun), (None, None));
    }

    #[test]
    fn next_patient_gets_another_study_and_no_earlier_images() {
        let folder = tempfile::tempdir().unwrap();
        let (open, begun) = (read(folder.path()), now_us());
        let first = open.open_at(details("1"), begun).unwrap();
        assert!(first.is_new && first.ended.is_none() && open.lock().ended_us == 0);
        let again = open.open_at(details("1"), begun + 1).unwrap();
        assert!(!again.is_new && again.study == first.study);
        let second = open.open_at(details("2"), begun + 2).unwrap();
        assert!(second.is_new && second.study.uid != first.study.uid);
        assert_eq!((second.ended, open.lock().ended_us), (Some(first.study), begun + 2));
        let given = StudyDetails { study_uid: "1.2.3".into(), ..details("3") };
        assert_eq!(open.open_at(given, begun + 3).unwrap().study.uid, "1.2.3");
    }

    #[test]
    fn damaged_and_newer_files_mean_that_no_study_is_open() {
        let folder = tempfile::tempdir().unwrap();
        read(folder.path()).open(details("1")).unwrap();
        let path = folder.path().join(FILE);
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(read(folder.path()).current(), (None, None));
        }
        let newer = String::from_utf8(whole).unwrap().replace("\"format\":1", "\"format\":2");
        fs::write(&path, newer).unwrap();
        assert_eq!(read(folder.path()).current(), (None, None));
    }
}
