//! Copies of records on a USB stick.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::error::Error;
use super::id::RecordId;
use super::storage::{NewFile, Storage};
use super::store::Records;
use crate::files::{self, is_mounted, sync_folder};
use crate::port::{Copied, Refusal};

/// Folder of the copies on the stick; each device has its own in it.
const FOLDER: &str = "medsa";

/// The place where sticks are mounted.
pub(super) struct Stick {
    /// Folder that is a mount point while a stick is there.
    pub mounted_at: PathBuf,
    /// Name of the device.
    pub device: String,
}

impl Stick {
    pub fn is_there(&self) -> bool {
        is_mounted(&self.mounted_at)
    }

    /// Copies the records that the stick does not have yet, each completely or not at all. The stick
    /// can be pulled out when this returns. Stops at the first record that cannot be copied.
    pub fn copy(&self, records: &Records, ids: &[RecordId]) -> Result<Copied, Refusal> {
        if !self.is_there() {
            let reason = format!("no stick is mounted at {}", self.mounted_at.display());
            return Err(Refusal::new("no-stick", reason));
        }
        self.copy_onto(records, ids).map_err(|error| {
            let code = match &error {
                Error::Full { .. } => "stick-full",
                Error::InUse { .. } => "stick-busy",
                error if error.is_not_found() => "no-such-record",
                _ => "stick-failed",
            };
            Refusal::new(code, error.to_string())
        })
    }

    fn copy_onto(&self, records: &Records, ids: &[RecordId]) -> Result<Copied, Error> {
        let copies = Storage::open(&self.mounted_at.join(FOLDER).join(&self.device))?;
        sync_folder(&self.mounted_at)?;
        let there: BTreeSet<_> = copies.ids()?.into_iter().collect();
        let mut copied = Copied::default();
        for id in ids {
            if there.contains(id) {
                copied.there += 1;
                continue;
            }
            copies.write(id, &contents(records, id)?)?;
            copied.new += 1;
        }
        Ok(copied)
    }
}

/// All files of a record, which are as they were written.
fn contents(records: &Records, id: &RecordId) -> Result<Vec<NewFile>, Error> {
    records.read(id)?;
    let folder = records.folder_of(id);
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry?;
        let bytes = fs::read(entry.path())?;
        Ok(NewFile { name: entry.file_name().to_string_lossy().into_owned(), bytes })
    };
    let files = fs::read_dir(&folder).and_then(|entries| entries.map(read).collect());
    Ok(files.map_err(files::Error::io(&folder))?)
}
