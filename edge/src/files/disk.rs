//! Names that survive a power cut: a file that was synced may still have none; and folders that
//! names can be put into.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{Access, access};

use super::Error;

/// Brings the names in a folder to the disk.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io(folder))
}

/// Brings the name of a file or folder to the disk.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn sync_parent(path: &Path) -> Result<(), Error> {
    // A relative path of one part has the empty one as parent.
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync_folder(parent.unwrap_or(Path::new(".")))
}

/// Whether files can be put into a folder, or into the nearest that is there, where it is still to
/// be made. Changes nothing.
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
