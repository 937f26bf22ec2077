//! Files that hold secrets, which only their owner and group may read.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Error;

/// Reads a file with one line, a secret; `what` names it in messages.
pub(crate) fn read_line(path: &Path, what: &str) -> Result<String, Error> {
    let text = io::read_to_string(open(path)?).map_err(Error::io(path))?;
    // A final line break, which editors add, is not part of the secret.
    let line = text.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let line = line.unwrap_or(&text);
    if line.is_empty() || line.contains('\n') {
        let reason = format!("expected one line, the {what}");
        return Err(Error::Credential { path: path.to_owned(), reason });
    }
    Ok(line.to_owned())
}

/// Opens a file; refuses one that other users can read.
pub(crate) fn open(path: &Path) -> Result<File, Error> {
    let mode = fs::metadata(path).map_err(Error::io(path))?.permissions().mode();
    if mode & 0o007 != 0 {
        return Err(Error::Exposed { path: path.to_owned(), mode: mode & 0o777 });
    }
    File::open(path).map_err(Error::io(path))
}
