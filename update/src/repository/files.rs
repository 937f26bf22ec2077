//! Files of a repository, and the order in which they are published.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tough::schema::Root;

use crate::error::Error;

/// Metadata that names all other metadata.
const TIMESTAMP: &str = "timestamp.json";

/// Files of a repository.
pub(super) struct Files {
    /// Folder of the repository.
    pub folder: PathBuf,
}

impl Files {
    /// Folder of the metadata that devices read.
    pub fn metadata(&self) -> PathBuf {
        self.folder.join("metadata")
    }

    /// Folder of metadata that is not published yet.
    pub fn unfinished(&self) -> PathBuf {
        self.folder.join("metadata.new")
    }

    /// Writes a root where the editor of tough reads it. Returns its path.
    pub fn put_root(&self, root: &Root, bytes: &[u8]) -> Result<PathBuf, Error> {
        let folder = self.unfinished();
        fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        let path = folder.join(format!("{}.root.json", root.version));
        fs::write(&path, bytes).map_err(Error::io(&path))?;
        Ok(path)
    }

    /// Moves unfinished metadata to where devices read it: each file by one rename, the timestamp,
    /// which names all others, last.
    pub fn publish(&self, root: &Path, version: u64) -> Result<(), Error> {
        let (new, metadata) = (self.unfinished(), self.metadata());
        fs::create_dir_all(&metadata).map_err(Error::io(&metadata))?;
        let root = root.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let [targets, snapshot] =
            ["targets", "snapshot"].map(|role| format!("{version}.{role}.json"));
        let names = [targets, snapshot, root, TIMESTAMP.to_owned()];
        for name in &names {
            let from = new.join(name);
            let synced = fs::File::open(&from).and_then(|file| file.sync_all());
            synced.map_err(Error::io(&from))?;
        }
        for name in &names {
            let from = new.join(name);
            fs::rename(&from, metadata.join(name)).map_err(Error::io(&from))?;
        }
        fs::remove_dir_all(&new).map_err(Error::io(&new))
    }

    /// Completes a publication that was interrupted between the new root and the timestamp, which
    /// the keys of that root have signed.
    pub fn complete(&self) -> Result<(), Error> {
        let new = self.unfinished();
        let Ok(entries) = fs::read_dir(&new) else { return Ok(()) };
        let names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        let root_is_new = names.iter().any(|name| name.to_string_lossy().ends_with(".root.json"));
        if root_is_new || !names.iter().any(|name| name == TIMESTAMP) {
            return Ok(());
        }
        let from = new.join(TIMESTAMP);
        fs::rename(&from, self.metadata().join(TIMESTAMP)).map_err(Error::io(&from))
    }

    /// Copies a build to where devices fetch it.
    pub fn copy(&self, from: &Path, name: &str) -> Result<(), Error> {
        let to = self.folder.join("targets").join(name);
        let new = to.with_extension("new");
        let copied = fs::copy(from, &new)
            .and_then(|_| fs::set_permissions(&new, Permissions::from_mode(0o644)))
            .and_then(|()| fs::File::open(&new)?.sync_all())
            .and_then(|()| fs::rename(&new, &to));
        copied.map_err(Error::io(&to))
    }
}
