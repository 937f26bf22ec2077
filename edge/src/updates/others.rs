//! The folder of further builds: a file `NAME.medsa` for each.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::Error;
use super::shelf::MAIN;
use crate::config::ObjectName;
use crate::files;

/// Extension of build files.
const EXTENSION: &str = "medsa";

/// Largest number of further builds; each is loaded and tested at the start.
const MAX_BUILDS: usize = 32;

/// File of a build in `folder`.
pub(crate) fn file_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.{EXTENSION}"))
}

/// Names of the builds in `folder`, sorted. `refused` gets an [`Error::BuildName`] for each file
/// that cannot be chosen because of its name.
///
/// # Errors
/// [`Error::File`] if the folder cannot be read, [`Error::TooManyBuilds`].
pub(crate) fn names(folder: &Path, mut refused: impl FnMut(Error)) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(files::Error::io(folder))? {
        let path = entry.map_err(files::Error::io(folder))?.path();
        if path.extension().is_none_or(|extension| extension != EXTENSION) {
            continue;
        }
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        if name == MAIN || !ObjectName::parse(name).is_ok_and(|parsed| parsed.as_str() == name) {
            refused(Error::BuildName { path });
        } else {
            names.push(name.to_owned());
        }
    }
    if names.len() > MAX_BUILDS {
        let (folder, found) = (folder.to_owned(), names.len());
        return Err(Error::TooManyBuilds { folder, found, limit: MAX_BUILDS });
    }
    names.sort_unstable();
    Ok(names)
}
