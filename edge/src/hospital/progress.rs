//! Progress of each record to the archive: a small file per record, replaced at once or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::error::Error;
use crate::files::{self, UNFINISHED, replace, sync_parent};
use crate::port::Progress;

/// Format of the files.
const FORMAT: u64 = 1;

/// A file.
#[derive(Serialize, Deserialize)]
struct Stored {
    format: u64,
    #[serde(flatten)]
    progress: Progress,
}

/// Progress of all records that do not wait.
pub(super) struct Progresses {
    folder: PathBuf,
    known: Mutex<BTreeMap<String, Progress>>,
}

impl Progresses {
    /// Opens `folder`, or creates it. Files that a power cut has damaged are removed: their records are
    /// sent again, which does no harm.
    pub(super) fn open(folder: &Path) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(files::Error::io(folder))?;
        sync_parent(folder)?;
        let mut known = BTreeMap::new();
        for entry in fs::read_dir(folder).map_err(files::Error::io(folder))? {
            let path = entry.map_err(files::Error::io(folder))?.path();
            let Some(id) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let bytes = fs::read(&path).map_err(files::Error::io(&path))?;
            match serde_json::from_slice::<Format>(&bytes) {
                Ok(Format { format }) if format > FORMAT => {
                    return Err(Error::NewerFormat { path, found: format, supported: FORMAT });
                }
                _ => {}
            }
            match serde_json::from_slice::<Stored>(&bytes) {
                Ok(stored) if !id.ends_with(UNFINISHED) => {
                    known.insert(id.to_owned(), stored.progress);
                }
                _ => fs::remove_file(&path).map_err(files::Error::io(&path))?,
            }
        }
        Ok(Self { folder: folder.to_owned(), known: Mutex::new(known) })
    }

    pub(super) fn get(&self, id: &str) -> Progress {
        self.lock().get(id).cloned().unwrap_or(Progress::Waiting)
    }

    /// Number of records in these states that `counts` accepts.
    pub(super) fn find(&self, accepts: impl Fn(&Progress) -> bool) -> Option<(String, Progress)> {
        let known = self.lock();
        let found = known.iter().find(|(_, progress)| accepts(progress));
        found.map(|(id, progress)| (id.clone(), progress.clone()))
    }

    /// Sets the progress of a record; it survives a power cut when this returns.
    pub(super) fn set(&self, id: &str, progress: Progress) -> Result<(), Error> {
        let stored = Stored { format: FORMAT, progress };
        let bytes = serde_json::to_vec(&stored).expect("names and numbers are JSON");
        replace(&self.folder.join(id), &bytes)?;
        self.lock().insert(id.to_owned(), stored.progress);
        Ok(())
    }

    /// Removes what is known of records that are gone. After a power cut it may be there again.
    pub(super) fn keep_only(&self, ids: &[String]) {
        let mut known = self.lock();
        let gone: Vec<_> = known.keys().filter(|id| !ids.contains(id)).cloned().collect();
        for id in gone {
            let path = self.folder.join(&id);
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!("{}: {error}", path.display());
            }
            known.remove(&id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Progress>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Deserialize)]
struct Format {
    format: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Progress {
        Progress::Asked { transaction: "2.25.7".into(), at_s: 1_795_416_273 }
    }

    #[test]
    fn progress_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let refused = Progress::Refused { reason: "A900H".into() };
        let progresses = Progresses::open(folder.path()).unwrap();
        progresses.set("1-a", Progress::Sent).unwrap();
        progresses.set("1-a", asked()).unwrap();
        progresses.set("2-b", refused.clone()).unwrap();
        drop(progresses);
        let progresses = Progresses::open(folder.path()).unwrap();
        assert_eq!((progresses.get("1-a"), progresses.get("2-b")), (asked(), refused));
        assert_eq!(progresses.get("3-c"), Progress::Waiting);
        progresses.keep_only(&["2-b".into()]);
        assert_eq!(progresses.get("1-a"), Progress::Waiting);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn records_of_damaged_files_are_sent_again_and_newer_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let progresses = Progresses::open(folder.path()).unwrap();
        progresses.set("1-a", Progress::Kept).unwrap();
        let whole = fs::read(folder.path().join("1-a")).unwrap();
        for length in 0..whole.len() {
            fs::write(folder.path().join("1-a"), &whole[..length]).unwrap();
            fs::write(folder.path().join("2-b.unfinished"), &whole).unwrap();
            let progresses = Progresses::open(folder.path()).unwrap();
            assert_eq!(progresses.get("1-a"), Progress::Waiting);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        }
        let newer = String::from_utf8(whole).unwrap().replace("\"format\":1", "\"format\":2");
        fs::write(folder.path().join("1-a"), newer).unwrap();
        let said = Progresses::open(folder.path()).err().unwrap().to_string();
        assert!(said.contains("1-a: its format is 2, this program supports up to 1"), "{said}");
    }
}
