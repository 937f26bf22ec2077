//! A folder of record folders, each of which exists completely or not at all: it is filled under a
//! hidden name, synced to the disk, and then renamed. A deleted one is first renamed to a hidden
//! name, which states the reason, and then emptied. The empty folder stays until the deletion is
//! reported.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use medsa_wire::DeletionReason;

use super::budget::Shortage;
use super::error::Error;
use super::id::RecordId;
use crate::config::RecordsConfig;
use crate::files::{self, check_writable, free_bytes, sync_folder, sync_parent};

/// A file to write.
pub(super) struct NewFile {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// A deletion that is not reported yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// Name of the deleted record.
    pub id: RecordId,
    /// Reason of the user.
    pub reason: DeletionReason,
    /// Time of the deletion.
    pub at: SystemTime,
}

/// The folder of all records, locked: a second process would mistake a record being written for
/// the leftover of a killed process.
pub(super) struct Storage {
    folder: PathBuf,
    lock: File,
}

/// Prefix of folders that are being filled.
const UNFINISHED: &str = ".unfinished-";

/// Prefix of the folders of deleted records; a name, a dot and a reason follow.
const DELETED: &str = ".deleted-";

const LOCK: &str = ".lock";

/// Checks that records can be stored in a folder, which may not exist yet: it can be written, and has
/// room. Changes nothing.
///
/// # Errors
/// [`Error::File`], [`Error::Full`].
pub(crate) fn check(RecordsConfig { folder, budget, .. }: &RecordsConfig) -> Result<(), Error> {
    check_writable(folder)?;
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    let used = if folder.exists() { used_bytes(folder)? } else { 0 };
    let needed = 1;
    match budget.shortage(used, free_bytes(there)?, needed) {
        Some(shortage) => Err(Error::Full { folder: folder.clone(), needed, shortage }),
        None => Ok(()),
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that is being started has a copy of it for a moment.
        let _ = self.lock.unlock();
    }
}

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
        let storage = Self { folder: folder.to_owned(), lock };
        storage.remove_unfinished()?;
        for Deletion { id, reason, .. } in storage.deletions()? {
            storage.remove_files(&id, reason);
        }
        Ok(storage)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn folder_of(&self, id: &RecordId) -> PathBuf {
        self.folder.join(id.to_string())
    }

    /// All records, in no particular order.
    pub(super) fn ids(&self) -> Result<Vec<RecordId>, Error> {
        ids(&self.folder)
    }

    /// Size of all records, in bytes.
    pub(super) fn used_bytes(&self) -> Result<u64, Error> {
        used_bytes(&self.folder)
    }

    /// Size of a record, in bytes.
    pub(super) fn bytes_of(&self, id: &RecordId) -> Result<u64, Error> {
        bytes_of(&self.folder_of(id))
    }

    /// Free space on the disk for users other than root, in bytes.
    pub(super) fn free_bytes(&self) -> Result<u64, Error> {
        Ok(free_bytes(&self.folder)?)
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

    /// Deletes a record; if that fails, all of it remains. Its files are removed at the next start
    /// at the latest.
    pub(super) fn delete(&self, id: &RecordId, reason: DeletionReason) -> Result<(), Error> {
        let (folder, hidden) = (self.folder_of(id), self.hidden(id, reason));
        fs::rename(&folder, &hidden).map_err(files::Error::io(&folder))?;
        // If the rename may not be durable, the record must not seem to be deleted.
        sync_folder(&self.folder).inspect_err(|_| drop(fs::rename(&hidden, &folder)))?;
        self.remove_files(id, reason);
        Ok(())
    }

    /// Deletions that are not reported yet, in no particular order.
    pub(super) fn deletions(&self) -> Result<Vec<Deletion>, Error> {
        let mut deletions = Vec::new();
        for name in names(&self.folder)? {
            let Some((id, reason)) = deleted(&name) else { continue };
            let path = self.folder.join(&name);
            // Removing the files sets this time.
            let at = path.metadata().and_then(|folder| folder.modified());
            deletions.push(Deletion { id, reason, at: at.map_err(files::Error::io(&path))? });
        }
        Ok(deletions)
    }

    /// Removes the last trace of a deleted record.
    pub(super) fn forget(&self, Deletion { id, reason, .. }: &Deletion) -> Result<(), Error> {
        let hidden = self.hidden(id, *reason);
        fs::remove_dir_all(&hidden).map_err(files::Error::io(&hidden))?;
        Ok(sync_folder(&self.folder)?)
    }

    /// Removes the files of a deleted record. What remains is removed when the folder is opened
    /// next.
    fn remove_files(&self, id: &RecordId, reason: DeletionReason) {
        let hidden = self.hidden(id, reason);
        if let Err(error) = empty(&hidden) {
            tracing::error!("cannot remove all files of a deleted record: {error}");
        }
    }

    fn hidden(&self, id: &RecordId, reason: DeletionReason) -> PathBuf {
        self.folder.join(format!("{DELETED}{id}.{reason:?}"))
    }

    /// Error for a record of `needed` bytes that does not fit.
    pub(super) fn full(&self, needed: u64, shortage: Shortage) -> Error {
        Error::Full { folder: self.folder.clone(), needed, shortage }
    }

    fn remove_unfinished(&self) -> Result<(), Error> {
        for name in names(&self.folder)?.iter().filter(|name| name.starts_with(UNFINISHED)) {
            let path = self.folder.join(name);
            tracing::warn!(
                "removed {}: the record was incomplete when the process ended",
                path.display()
            );
            fs::remove_dir_all(&path).map_err(files::Error::io(&path))?;
        }
        Ok(())
    }
}

/// Names of all entries of a folder; names that are not UTF-8 are not ours.
fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(files::Error::io(folder))? {
        let entry = entry.map_err(files::Error::io(folder))?;
        names.extend(entry.file_name().into_string());
    }
    Ok(names)
}

/// All records of a folder, in no particular order.
fn ids(folder: &Path) -> Result<Vec<RecordId>, Error> {
    Ok(names(folder)?.iter().filter_map(|name| RecordId::parse(name)).collect())
}

/// Size of all records of a folder, in bytes.
fn used_bytes(folder: &Path) -> Result<u64, Error> {
    let mut bytes = 0;
    for id in ids(folder)? {
        bytes += match bytes_of(&folder.join(id.to_string())) {
            // The record was moved away in the meantime.
            Err(error) if error.is_not_found() => 0,
            bytes => bytes?,
        };
    }
    Ok(bytes)
}

/// Size of the folder of a record, in bytes.
fn bytes_of(record: &Path) -> Result<u64, Error> {
    Ok(folder_bytes(record).map_err(files::Error::io(record))?)
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

/// Name of a deleted record and the reason, from the hidden name of its folder.
fn deleted(name: &str) -> Option<(RecordId, DeletionReason)> {
    let (id, found) = name.strip_prefix(DELETED)?.rsplit_once('.')?;
    let reason = DeletionReason::ALL.into_iter().find(|reason| format!("{reason:?}") == found)?;
    Some((RecordId::parse(id)?, reason))
}

/// Removes all files of a folder, durably.
fn empty(folder: &Path) -> Result<(), files::Error> {
    let remove = || -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    };
    remove().map_err(files::Error::io(folder))?;
    sync_folder(folder)
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
