//! Names that survive a power cut: a file that was synced may still have none.

use std::fs::File;
use std::path::Path;

use crate::error::Error;

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
