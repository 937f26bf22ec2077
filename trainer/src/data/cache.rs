//! Cache of recently read volumes and recordings, so that reading a slice does not decode its whole
//! volume.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use medsa_frames::{Clip, Sequence};

use super::problem::Problem;
use super::volume::Volume;
use crate::stray;

/// Memory limit of each cache, in bytes. The file opened last stays in any case.
const MAX_CACHED_BYTES: u64 = 1 << 30;

/// Open files, shared by all threads that read items of one data set.
#[derive(Debug, Default)]
pub(super) struct Cache {
    volumes: Mutex<Recent<Volume>>,
    clips: Mutex<Recent<Clip>>,
    sequences: Mutex<Recent<Sequence>>,
}

impl Cache {
    pub(super) fn volume(&self, image: &Path, mask: &Path) -> Result<Arc<Volume>, Problem> {
        lock(&self.volumes).find_or_open(image, || {
            let volume = Volume::open(image, mask)?;
            let bytes = volume.bytes();
            Ok((volume, bytes))
        })
    }

    pub(super) fn clip(&self, image: &Path) -> Result<Arc<Clip>, Problem> {
        lock(&self.clips).find_or_open(image, || {
            let clip = Clip::open(image).map_err(|e| unreadable(image, &e))?;
            // A clip keeps its whole file in memory.
            let bytes = std::fs::metadata(image).map_err(|e| unreadable(image, &e))?.len();
            Ok((clip, bytes))
        })
    }

    /// A sequence file of masks.
    pub(super) fn sequence(&self, mask: &Path) -> Result<Arc<Sequence>, Problem> {
        lock(&self.sequences).find_or_open(mask, || {
            let sequence = Sequence::open(mask).map_err(|e| unreadable(mask, &e))?;
            let bytes = sequence.bytes();
            Ok((sequence, bytes))
        })
    }
}

fn unreadable(path: &Path, reason: &dyn ToString) -> Problem {
    let words = stray::describe_file(path).unwrap_or_else(|| reason.to_string());
    Problem::unreadable(path, words)
}

/// Locks the list. Files are opened under the lock, so that no two threads open the same file.
fn lock<T>(recent: &Mutex<Recent<T>>) -> std::sync::MutexGuard<'_, Recent<T>> {
    // A thread that panicked did not change the list.
    recent.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opened files; the most recently used is last.
#[derive(Debug)]
struct Recent<T> {
    opened: Vec<(PathBuf, Arc<T>, u64)>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { opened: Vec::new() }
    }
}

impl<T> Recent<T> {
    fn find_or_open(
        &mut self,
        path: &Path,
        open: impl FnOnce() -> Result<(T, u64), Problem>,
    ) -> Result<Arc<T>, Problem> {
        let entry = match self.opened.iter().position(|(known, ..)| known == path) {
            Some(at) => self.opened.remove(at),
            None => {
                let (opened, bytes) = open()?;
                (path.to_owned(), Arc::new(opened), bytes)
            }
        };
        let found = Arc::clone(&entry.1);
        self.opened.push(entry);
        while self.opened.len() > 1 && self.bytes() > MAX_CACHED_BYTES {
            self.opened.remove(0);
        }
        Ok(found)
    }

    fn bytes(&self) -> u64 {
        self.opened.iter().map(|&(_, _, bytes)| bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_recently_used_file_is_dropped() {
        let mut recent = Recent::default();
        let half = MAX_CACHED_BYTES / 2;
        let mut opened = Vec::new();
        for name in ["a", "b", "a", "c", "a", "b"] {
            let found = recent.find_or_open(Path::new(name), || {
                opened.push(name);
                Ok((name, half))
            });
            assert_eq!(*found.unwrap(), name);
        }
        assert_eq!(opened, ["a", "b", "c", "b"]);
        assert!(recent.bytes() <= MAX_CACHED_BYTES);
        let large = recent.find_or_open(Path::new("large"), || Ok(("large", u64::MAX / 4)));
        assert_eq!(*large.unwrap(), "large");
        assert_eq!(recent.opened.len(), 1);
    }
}
