//! Opening and repairing the file of an outbox.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, ReadOnlyDatabase, StorageError};

use crate::files::{self, check_writable, sync_parent};
use crate::mqtt::error::Error;

/// Opens the database at `path`, or creates an empty one; a damaged file is moved aside.
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
        "{}: the outbox is damaged ({reason}): messages in it have NOT been sent; it was moved to \
         {} and replaced by an empty one",
        path.display(),
        aside.display()
    );
    let database = Database::create(path).map_err(|denied| error(path, denied.to_string()))?;
    sync_parent(path)?;
    Ok(database)
}

/// Checks that there is, or can be, a sound database at `path`, without changing anything.
pub(super) fn check(path: &Path) -> Result<(), Error> {
    if !path.exists() {
        return Ok(check_writable(path.parent().unwrap_or(path))?);
    }
    let file = path.to_owned();
    // A panic counts as damage, as in `checked`.
    match std::thread::spawn(move || ReadOnlyDatabase::open(file).map(drop)).join() {
        // A running service uses it, or it was not closed cleanly and is repaired when opened.
        Ok(Ok(()) | Err(DatabaseError::DatabaseAlreadyOpen | DatabaseError::RepairAborted)) => {
            Ok(())
        }
        Ok(Err(reason)) => Err(error(path, reason.to_string())),
        Err(_) => Err(error(path, "its reader panicked".into())),
    }
}

enum Unusable {
    /// The content is damaged.
    Damaged(String),
    /// The content may be sound.
    Denied(String),
}

fn checked(path: &Path) -> Result<Database, Unusable> {
    let file = path.to_owned();
    // In a separate thread, because redb panics on some kinds of damage.
    let opened = std::thread::spawn(move || -> Result<(Database, bool), DatabaseError> {
        let mut database = Database::create(file)?;
        // Reads everything once, so that damage is found now and not when a message is sent.
        let integrity = database.check_integrity()?;
        Ok((database, integrity))
    });
    match opened.join() {
        Ok(Ok((database, true))) => Ok(database),
        Ok(Ok((database, false))) => {
            tracing::error!(
                "{}: the outbox was damaged and has been repaired: its newest messages may be \
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

/// The first unused name of `outbox.redb.damaged-1`, `-2` and so on.
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
