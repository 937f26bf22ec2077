//! Storage of all records.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use medsa_wire::{DeletionReason, RecordMessage};

use super::capture::Capture;
use super::contents::Contents;
use super::error::Error;
use super::id::RecordId;
use super::record::Record;
use super::storage::{self, Deletion, Storage};
use crate::config::Budget;
use crate::port::{Study, StudySeries};

/// Folder of records.
pub struct Records {
    storage: Storage,
    budget: Budget,
    state: Mutex<State>,
}

struct State {
    /// Size of all records, in bytes.
    used_bytes: u64,
    /// Number of the next record.
    number: u64,
}

/// A stored record.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Name of the record.
    pub id: RecordId,
    /// Folder of the record.
    pub folder: PathBuf,
    /// Message that announces it.
    pub message: RecordMessage,
}

/// A record that is not stored yet.
pub(super) struct Prepared {
    id: RecordId,
    contents: Contents,
}

impl Records {
    /// Opens `folder`, or creates it, and removes incomplete records of a killed process, and
    /// what it left of deleted ones.
    ///
    /// # Errors
    /// [`Error::InUse`] while another `Records` holds the folder, [`Error::File`].
    pub fn open(folder: &Path, budget: Budget) -> Result<Self, Error> {
        let storage = Storage::open(folder)?;
        let last = storage.ids()?.into_iter().max();
        let number = last.map_or(1, |id| id.number().saturating_add(1));
        let used_bytes = storage.used_bytes()?;
        Ok(Self { storage, budget, state: Mutex::new(State { used_bytes, number }) })
    }

    /// Stores a capture. Blocks until its record is on the disk and survives a power cut.
    ///
    /// An object with an empty mask is stored with its prompt, but without a segment and a mask
    /// file.
    ///
    /// # Errors
    /// [`Error::NotDeidentified`], [`Error::Capture`], [`Error::Full`], [`Error::Encoding`],
    /// [`Error::File`]; nothing is stored then.
    pub fn keep(&self, capture: &Capture) -> Result<Kept, Error> {
        self.store(self.prepare(capture)?)
    }

    /// Names a record and encodes its files, which takes seconds for a clip. Other records can be
    /// stored and deleted meanwhile.
    ///
    /// # Errors
    /// [`Error::NotDeidentified`], [`Error::Capture`], [`Error::Encoding`].
    pub(super) fn prepare(&self, capture: &Capture) -> Result<Prepared, Error> {
        let captured = capture.check()?;
        let id = RecordId::new(self.next_number(), captured);
        let contents = Contents::new(&id, capture)?;
        Ok(Prepared { id, contents })
    }

    /// Stores a prepared record.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::File`]; nothing is stored then.
    pub(super) fn store(&self, prepared: Prepared) -> Result<Kept, Error> {
        let Prepared { id, contents: Contents { files, message } } = prepared;
        let needed = storage::total_bytes(&files);
        let mut state = self.lock();
        self.check_room(&mut state, needed)?;
        self.storage.write(&id, &files)?;
        state.used_bytes += needed;
        Ok(Kept { folder: self.storage.folder_of(&id), id, message })
    }

    /// Number of the next record. Even if that record fails: a name is never used twice.
    fn next_number(&self) -> u64 {
        let mut state = self.lock();
        let next = state.number.saturating_add(1);
        std::mem::replace(&mut state.number, next)
    }

    /// Deletes a record. Blocks until it would not be there after a power cut. Its files are removed
    /// then, but not overwritten on the disk.
    ///
    /// # Errors
    /// [`Error::File`]; the record is unchanged then.
    pub fn delete(&self, id: &RecordId, reason: DeletionReason) -> Result<(), Error> {
        let mut state = self.lock();
        let bytes = self.storage.bytes_of(id)?;
        self.storage.delete(id, reason)?;
        state.used_bytes = state.used_bytes.saturating_sub(bytes);
        Ok(())
    }

    /// Deletions that were not passed to [`Records::forget`] yet, also those before the start.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn deletions(&self) -> Result<Vec<Deletion>, Error> {
        self.storage.deletions()
    }

    /// Removes the last trace of a deleted record, once its deletion is reported.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn forget(&self, deletion: &Deletion) -> Result<(), Error> {
        self.storage.forget(deletion)
    }

    /// Names of the newest records, at most `limit`, newest first.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn list(&self, limit: usize) -> Result<Vec<RecordId>, Error> {
        let mut ids = self.storage.ids()?;
        ids.sort_unstable_by(|a, b| b.cmp(a));
        ids.truncate(limit);
        Ok(ids)
    }

    /// Reads `record.json` and checks all files of the record against its hashes.
    ///
    /// # Errors
    /// [`Error::Damaged`], which names the file, [`Error::NewerFormat`] or [`Error::File`].
    pub fn read(&self, id: &RecordId) -> Result<Record, Error> {
        Record::read(&self.storage.folder_of(id), id)
    }

    /// Reads `record.json` only.
    ///
    /// # Errors
    /// As [`Records::read`].
    pub fn describe(&self, id: &RecordId) -> Result<Record, Error> {
        Record::describe(&self.storage.folder_of(id), id)
    }

    /// A PNG of a record: `frame.png` or the mask of an object. `None` if the record lists no such
    /// file.
    ///
    /// # Errors
    /// As [`Records::read`].
    pub fn image(&self, id: &RecordId, name: &str) -> Result<Option<Vec<u8>>, Error> {
        Record::image(&self.storage.folder_of(id), id, name)
    }

    /// Series of a study, in the order of capture.
    ///
    /// # Errors
    /// [`Error::File`]. Records that cannot be read are passed over.
    pub(super) fn series(&self, study: &Study) -> Result<Vec<StudySeries>, Error> {
        let mut ids = self.storage.ids()?;
        ids.sort_unstable();
        let records = ids.iter().filter_map(|id| self.describe(id).ok());
        // The same study may have been open before.
        let own = records.filter(|record| record.study.as_ref() == Some(study));
        Ok(own.flat_map(|record| record.series()).collect())
    }

    /// The folder of all records.
    pub(super) fn folder(&self) -> &Path {
        self.storage.folder()
    }

    /// The folder of a record.
    pub fn folder_of(&self, id: &RecordId) -> PathBuf {
        self.storage.folder_of(id)
    }

    fn check_room(&self, state: &mut State, needed: u64) -> Result<(), Error> {
        if state.used_bytes.saturating_add(needed) > self.budget.max_bytes {
            // Records may have been moved away since they were counted.
            state.used_bytes = self.storage.used_bytes()?;
        }
        let free_bytes = self.storage.free_bytes()?;
        match self.budget.shortage(state.used_bytes, free_bytes, needed) {
            None => Ok(()),
            Some(shortage) => Err(self.storage.full(needed, shortage)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is consistent after every statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
