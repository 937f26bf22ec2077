//! Change of the user: an administrator's process continues as the owner of the slots.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::{env, io, path};

use crate::error::Error;

/// Restarts an administrator's process as the owner of a folder, or of the nearest parent that
/// exists. The owner is the user of the service, which has to be able to replace the files; and an
/// administrator would follow links that an attacker has made with the rights of the service.
///
/// Call it before anything else; `tell` receives a message with the new user. It does nothing if
/// the process does not run as root, or if root owns the folder.
///
/// # Errors
/// [`Error::Owner`].
pub fn continue_as_owner(folder: &Path, tell: impl FnOnce(String)) -> Result<(), Error> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let failed = |source| Error::Owner { folder: folder.to_owned(), source };
    let Some(owner) = owner(folder).map_err(failed)? else { return Ok(()) };
    tell(format!("continuing as user {}, the owner of {}", owner.uid(), folder.display()));
    let mut program = Command::new("/proc/self/exe");
    program.args(env::args_os().skip(1)).uid(owner.uid()).gid(owner.gid());
    // `exec` returns only if it fails.
    Err(failed(program.exec()))
}

/// Owner of the folder; `None` if it is root. A link belongs to the user who made it.
fn owner(folder: &Path) -> io::Result<Option<Metadata>> {
    let folder = path::absolute(folder)?;
    let there = folder.ancestors().find(|path| path.symlink_metadata().is_ok());
    let there = there.unwrap_or(&folder);
    let both = [there.symlink_metadata()?, there.metadata()?];
    Ok(both.into_iter().find(|found| found.uid() != 0))
}
