//! A build in memory, and writing it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use crate::acceptance::Acceptance;
use crate::error::Error;
use crate::hash::sha256_hex;
use crate::manifest::{FileEntry, Manifest};

pub(crate) const MANIFEST: &str = "manifest.json";

/// File with the manifest's hash, in the format of `sha256sum`.
pub(crate) const MANIFEST_HASH: &str = "manifest.sha256";

/// A build in memory: the manifest and files with matching hashes.
#[derive(Clone, Debug, PartialEq)]
pub struct Build {
    pub(crate) manifest: Manifest,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) acceptance: Acceptance,
}

impl Build {
    /// Makes a build of `files`. Sizes and hashes are entered into the manifest, and `acceptance`
    /// becomes one of the files.
    pub fn new(
        mut manifest: Manifest,
        mut files: BTreeMap<String, Vec<u8>>,
        acceptance: Acceptance,
    ) -> Self {
        let json = serde_json::to_vec(&acceptance).expect("numbers and texts are JSON");
        files.insert(Acceptance::FILE.to_owned(), json);
        manifest.files =
            files.iter().map(|(name, data)| (name.clone(), FileEntry::of(data))).collect();
        Self { manifest, files, acceptance }
    }

    /// Writes the build next to `path` and renames it into place, so that a reader never sees a
    /// partial file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let partial = path.with_extension("medsa.partial");
        let written = fs::File::create(&partial)
            .and_then(|file| self.write_to(file))
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::rename(&partial, path));
        written.map_err(|source| {
            // Remove a partial file. If that fails, the first error is more useful.
            let _ = fs::remove_file(&partial);
            Error::Io { path: path.to_owned(), source }
        })
    }

    /// Writes the build's bytes, which depend only on its content, and returns the writer.
    ///
    /// # Errors
    /// The writer failed.
    pub fn write_to<W: io::Write>(&self, writer: W) -> io::Result<W> {
        let mut archive = tar::Builder::new(writer);
        let json = serde_json::to_vec_pretty(&self.manifest)?;
        append(&mut archive, MANIFEST, &json)?;
        append(&mut archive, MANIFEST_HASH, manifest_hash(&json).as_bytes())?;
        for (name, data) in &self.files {
            append(&mut archive, name, data)?;
        }
        archive.into_inner()
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Acceptance test for devices.
    pub fn acceptance(&self) -> &Acceptance {
        &self.acceptance
    }

    /// Content of a file in the build.
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(Vec::as_slice)
    }
}

/// Content of [`MANIFEST_HASH`].
pub(crate) fn manifest_hash(json: &[u8]) -> String {
    format!("{}  {MANIFEST}\n", sha256_hex(json))
}

fn append<W: io::Write>(archive: &mut tar::Builder<W>, name: &str, data: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(data.len() as u64);
    // No user and no time, so that equal content gives equal bytes.
    header.set_mode(0o644);
    header.set_mtime(0);
    archive.append_data(&mut header, name, data)
}
