//! Limits of a build that a reader accepts.

use std::path::Path;

use crate::acceptance::Acceptance;
use crate::error::Error;

/// Limits, checked before memory of that size is allocated.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Size of the whole file, in bytes.
    pub build_bytes: u64,
    /// Size of `manifest.json`, in bytes.
    pub manifest_bytes: u64,
    /// Size of `acceptance.json`, in bytes.
    pub acceptance_bytes: u64,
    /// Size of any other file in the build, in bytes.
    pub file_bytes: u64,
    /// Number of files.
    pub files: usize,
    /// Length of a file's name, in bytes.
    pub name_bytes: usize,
    /// Number of acceptance vectors.
    pub vectors: usize,
    /// Number of clicks of an acceptance vector.
    pub clicks: usize,
    /// Number of runs of an acceptance vector's mask.
    pub runs: usize,
    /// Number of boards with limits.
    pub boards: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            build_bytes: 1 << 30,
            manifest_bytes: 1 << 20,
            acceptance_bytes: 4 << 20,
            file_bytes: 512 << 20,
            files: 256,
            name_bytes: 100,
            vectors: 64,
            clicks: 16,
            runs: 1 << 16,
            boards: 64,
        }
    }
}

impl Limits {
    pub(crate) fn bytes(&self, path: &Path, file: &str, found: u64) -> Result<(), Error> {
        let limit = match file {
            crate::archive::MANIFEST | crate::archive::MANIFEST_HASH => self.manifest_bytes,
            Acceptance::FILE => self.acceptance_bytes,
            _ => self.file_bytes,
        };
        if found <= limit {
            return Ok(());
        }
        Err(Error::TooLarge { path: path.to_owned(), file: file.to_owned(), found, limit })
    }

    pub(crate) fn acceptance(&self, path: &Path, acceptance: &Acceptance) -> Result<(), Error> {
        let Acceptance { vectors, boards } = acceptance;
        within(path, "acceptance vectors", vectors.len(), self.vectors)?;
        within(path, "boards with limits", boards.len(), self.boards)?;
        for vector in vectors {
            within(path, "clicks of an acceptance vector", vector.clicks.len(), self.clicks)?;
            within(path, "runs of an acceptance mask", vector.mask_runs.len(), self.runs)?;
        }
        Ok(())
    }
}

pub(crate) fn within(
    path: &Path,
    what: &'static str,
    found: usize,
    limit: usize,
) -> Result<(), Error> {
    if found <= limit {
        return Ok(());
    }
    Err(Error::TooMany { path: path.to_owned(), what, found, limit })
}
