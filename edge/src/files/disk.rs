//! File names that survive a power cut (syncing a file does not sync its name), and folders that
//! can be written.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use rustix::fs::{Access, access};

use super::Error;

/// Syncs the names in a folder to the disk.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io(folder))
}

/// Syncs the name of a file or folder to the disk.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn sync_parent(path: &Path) -> Result<(), Error> {
    // A relative path with one component has an empty parent.
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync_folder(parent.unwrap_or(Path::new(".")))
}

/// Ending of the name of a file that is being written.
pub(crate) const UNFINISHED: &str = ".unfinished";

/// Writes a file, which has its old or its new content after a power cut, and the new one when this
/// returns.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(UNFINISHED);
    let write = || {
        let mut file = File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    write().map_err(Error::io(path))?;
    sync_parent(path)
}

/// Free space on the disk of a folder, for users other than root, in bytes.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn free_bytes(folder: &Path) -> Result<u64, Error> {
    let disk = rustix::fs::statvfs(folder);
    let disk = disk.map_err(|error| Error::io(folder)(error.into()))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// True if another disk is mounted at a folder.
pub(crate) fn is_mounted(folder: &Path) -> bool {
    let disk = |path: &Path| Some(rustix::fs::stat(path).ok()?.st_dev);
    let here = disk(folder);
    here.is_some() && here != disk(&folder.join(".."))
}

/// Checks that files can be created in a folder, or in its nearest existing ancestor if the folder
/// does not exist yet. Changes nothing.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn check_writable(folder: &Path) -> Result<(), Error> {
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    if !there.is_dir() {
        return Err(Error::io(there)(io::ErrorKind::NotADirectory.into()));
    }
    let allowed = access(there, Access::WRITE_OK | Access::EXEC_OK);
    allowed.map_err(|error| Error::io(there)(error.into()))
}
