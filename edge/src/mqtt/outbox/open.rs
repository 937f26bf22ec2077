//! Opening the file of an outbox, whatever state it is in.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, ReadOnlyDatabase, StorageError};

use crate::files::{self, check_writable, sync_parent};
use crate::mqtt::error::Error;

/// A sound database at `path`: the one that is there, or an empty one.
pub(super) fn open(path: &Path) -> Result<Database, Error> {
    let reason = match checked(path) {
        Ok(database) => {
            sync_parent(path)?;
            return Ok(database);
        }
        Err(Unusable::Damaged(reason)) => reason,
        Err(Unusable::Denied(reason)) => return Err(error(path, reason)),
    };
    let aside = free_name(path);
    fs::rename(path, &aside).map_err(files::Error::io(path))?;
    tracing::error!(
        "{}: the outbox is damaged ({reason}): messages in it have NOT been sent; it is kept as \
         {} and an empty one takes its place",
        path.display(),
        aside.display()
    );
    let database = Database::create(path).map_err(|denied| error(path, denied.to_string()))?;
    sync_parent(path)?;
    Ok(database)
}

/// Whether there is, or can be, a sound database at `path`. Changes nothing.
pub(super) fn check(path: &Path) -> Result<(), Error> {
    if !path.exists() {
        return Ok(check_writable(path.parent().unwrap_or(path))?);
    }
    let file = path.to_owned();
    // As below: a panic is damage.
    match std::thread::spawn(move || ReadOnlyDatabase::open(file).map(drop)).join() {
        // A running service has it, or it was not closed, which is repaired when it is opened.
        Ok(Ok(()) | Err(DatabaseError::DatabaseAlreadyOpen | DatabaseError::RepairAborted)) => {
            Ok(())
        }
        Ok(Err(reason)) => Err(error(path, reason.to_string())),
        Err(_) => Err(error(path, "its reader panicked".into())),
    }
}

enum Unusable {
    /// The content is at fault.
    Damaged(String),
    /// The content may be good.
    Denied(String),
}

fn checked(path: &Path) -> Result<Database, Unusable> {
    let file = path.to_owned();
    // A thread of its own, because redb panics about some kinds of damage.
    let opened = std::thread::spawn(move || -> Result<(Database, bool), DatabaseError> {
        let mut database = Database::create(file)?;
        // Reads everything once: a damaged message is not to be found when it is sent.
        let integrity = database.check_integrity()?;
        Ok((database, integrity))
    });
    match opened.join() {
        Ok(Ok((database, true))) => Ok(database),
        Ok(Ok((database, false))) => {
            tracing::error!(
                "{}: the outbox was damaged and is repaired: messages of its last moments may be \
                 missing",
                path.display()
            );
            Ok(database)
        }
        Ok(Err(error)) if is_damage(&error) => Err(Unusable::Damaged(error.to_string())),
        Ok(Err(error)) => Err(Unusable::Denied(error.to_string())),
        Err(_) => Err(Unusable::Damaged("its reader panicked".into())),
    }
}

fn is_damage(error: &DatabaseError) -> bool {
    match error {
        DatabaseError::Storage(StorageError::Corrupted(_)) => true,
        DatabaseError::Storage(StorageError::Io(error)) => {
            matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
        }
        _ => false,
    }
}

/// The first of `outbox.redb.damaged-1`, `-2` and so on that is not there yet.
fn free_name(path: &Path) -> PathBuf {
    let named = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".damaged-{number}"));
        PathBuf::from(name)
    };
    // Invariant: a folder holds fewer files than there are numbers.
    (1..).map(named).find(|name| !name.exists()).unwrap_or_else(|| named(0))
}

fn error(path: &Path, reason: String) -> Error {
    Error::Outbox { path: path.to_owned(), reason }
}
