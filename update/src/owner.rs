//! Who works on the slots.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::{env, io, path};

use crate::error::Error;

/// Has an administrator's process begin anew as the owner of a folder, or of where it will be: the
/// service, which has to be able to replace what is put there. As an administrator it would also
/// follow links that whoever has taken over the service has made.
///
/// To be called before anything else is done; `tell` is handed who goes on, for people. It does
/// nothing when the process is not an administrator's, or the folder is.
///
/// # Errors
/// [`Error::Owner`].
pub fn continue_as_owner(folder: &Path, tell: impl FnOnce(String)) -> Result<(), Error> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let failed = |source| Error::Owner { folder: folder.to_owned(), source };
    let Some(owner) = owner(folder).map_err(failed)? else { return Ok(()) };
    tell(format!("as user {}, whom {} belongs to", owner.uid(), folder.display()));
    let mut program = Command::new("/proc/self/exe");
    program.args(env::args_os().skip(1)).uid(owner.uid()).gid(owner.gid());
    // It returns only when it fails.
    Err(failed(program.exec()))
}

/// Whose the folder is, unless it is the administrator's. A link is whose who made it.
fn owner(folder: &Path) -> io::Result<Option<Metadata>> {
    let folder = path::absolute(folder)?;
    let there = folder.ancestors().find(|path| path.symlink_metadata().is_ok());
    let there = there.unwrap_or(&folder);
    let both = [there.symlink_metadata()?, there.metadata()?];
    Ok(both.into_iter().find(|found| found.uid() != 0))
}
