//! A folder of record folders, each of which exists completely or not at all: it is filled under a
//! hidden name, synced to the disk, and then renamed.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::budget::Shortage;
use super::error::Error;
use super::id::RecordId;
use crate::files::{self, sync_folder, sync_parent};

/// A file to write.
pub(super) struct NewFile {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// The folder of all records, locked: a second process would mistake a record being written for
/// the leftover of a killed process.
pub(super) struct Storage {
    folder: PathBuf,
    _lock: File,
}

/// Prefix of folders that are being filled.
const UNFINISHED: &str = ".unfinished-";

const LOCK: &str = ".lock";

impl Storage {
    pub(super) fn open(folder: &Path) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(files::Error::io(folder))?;
        // `create_dir_all` does not sync.
        sync_parent(folder)?;
        let path = folder.join(LOCK);
        let lock = File::create(&path).map_err(files::Error::io(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::InUse { folder: folder.to_owned() });
            }
            Err(TryLockError::Error(source)) => {
                return Err(files::Error::Io { path, source }.into());
            }
        }
        let storage = Self { folder: folder.to_owned(), _lock: lock };
        storage.remove_unfinished()?;
        Ok(storage)
    }

    pub(super) fn folder_of(&self, id: &RecordId) -> PathBuf {
        self.folder.join(id.to_string())
    }

    /// All records, in no particular order.
    pub(super) fn ids(&self) -> Result<Vec<RecordId>, Error> {
        let names = self.names()?;
        Ok(names.iter().filter_map(|name| RecordId::parse(name)).collect())
    }

    /// Size of all records, in bytes.
    pub(super) fn used_bytes(&self) -> Result<u64, Error> {
        let mut bytes = 0;
        for id in self.ids()? {
            let folder = self.folder_of(&id);
            bytes += match folder_bytes(&folder) {
                // The record was moved away in the meantime.
                Err(error) if error.kind() == ErrorKind::NotFound => 0,
                bytes => bytes.map_err(files::Error::io(&folder))?,
            };
        }
        Ok(bytes)
    }

    /// Free space on the disk for users other than root, in bytes.
    pub(super) fn free_bytes(&self) -> Result<u64, Error> {
        let disk = rustix::fs::statvfs(&self.folder);
        let disk = disk.map_err(|error| files::Error::io(&self.folder)(error.into()))?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Writes a record; if that fails, nothing of it remains.
    pub(super) fn write(&self, id: &RecordId, files: &[NewFile]) -> Result<(), Error> {
        let unfinished = self.folder.join(format!("{UNFINISHED}{id}"));
        let finished = self.folder_of(id);
        let written = fill(&unfinished, files).and_then(|()| {
            fs::rename(&unfinished, &finished).map_err(files::Error::io(&finished))?;
            // If the rename may not be durable, the record must not stay. It is hidden first,
            // because removing it takes several steps.
            let synced = sync_folder(&self.folder);
            Ok::<_, Error>(synced.inspect_err(|_| drop(fs::rename(&finished, &unfinished)))?)
        });
        written.map_err(|error| {
            remove(&unfinished);
            match error {
                Error::File(files::Error::Io { source, .. }) if is_full(&source) => {
                    self.full(total_bytes(files), Shortage::Disk(source))
                }
                error => error,
            }
        })
    }

    /// Error for a record of `needed` bytes that does not fit.
    pub(super) fn full(&self, needed: u64, shortage: Shortage) -> Error {
        Error::Full { folder: self.folder.clone(), needed, shortage }
    }

    fn remove_unfinished(&self) -> Result<(), Error> {
        for name in self.names()?.iter().filter(|name| name.starts_with(UNFINISHED)) {
            let path = self.folder.join(name);
            tracing::warn!(
                "removed {}: the record was incomplete when the process ended",
                path.display()
            );
            fs::remove_dir_all(&path).map_err(files::Error::io(&path))?;
        }
        Ok(())
    }

    /// Names of all entries of the folder; names that are not UTF-8 are not ours.
    fn names(&self) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(files::Error::io(&self.folder))? {
            let entry = entry.map_err(files::Error::io(&self.folder))?;
            names.extend(entry.file_name().into_string());
        }
        Ok(names)
    }
}

fn fill(folder: &Path, files: &[NewFile]) -> Result<(), Error> {
    fs::create_dir(folder).map_err(files::Error::io(folder))?;
    for file in files {
        let path = folder.join(&file.name);
        let write = || {
            let mut to = File::create_new(&path)?;
            to.write_all(&file.bytes)?;
            to.sync_all()
        };
        write().map_err(files::Error::io(&path))?;
    }
    Ok(sync_folder(folder)?)
}

/// Total size of files in bytes.
pub(super) fn total_bytes(files: &[NewFile]) -> u64 {
    files.iter().map(|file| file.bytes.len() as u64).sum()
}

fn folder_bytes(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}

/// Removes a failed attempt; what remains is removed when the folder is opened next.
fn remove(folder: &Path) {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            tracing::warn!("cannot remove {}: {error}", folder.display());
        }
        _ => {}
    }
}

/// True if the disk, a quota or the limit on file sizes is exhausted.
fn is_full(error: &io::Error) -> bool {
    use ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}
