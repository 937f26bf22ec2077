//! A build, and writing one.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use crate::acceptance::Acceptance;
use crate::error::Error;
use crate::hash::sha256_hex;
use crate::manifest::{FileEntry, Manifest};

pub(crate) const MANIFEST: &str = "manifest.json";

/// As `sha256sum` writes and checks it.
pub(crate) const MANIFEST_HASH: &str = "manifest.sha256";

/// A build in memory: its manifest and files, whose hashes agree.
#[derive(Clone, Debug, PartialEq)]
pub struct Build {
    pub(crate) manifest: Manifest,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) acceptance: Acceptance,
}

impl Build {
    /// A build of `files`; sizes and hashes are entered into the manifest. `acceptance` is made
    /// one of the files.
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

    /// Writes the build beside `path` and renames it into place, so that a reader never sees
    /// half of one.
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
            // Nothing half-written stays; if it cannot be removed, the first error tells more.
            let _ = fs::remove_file(&partial);
            Error::Io { path: path.to_owned(), source }
        })
    }

    /// Writes the build's bytes, the same for the same content, and gives the writer back.
    ///
    /// # Errors
    /// The writer's.
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

    /// What it has to answer on a device.
    pub fn acceptance(&self) -> &Acceptance {
        &self.acceptance
    }

    /// The content of a file of the build.
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(Vec::as_slice)
    }
}

/// The content of [`MANIFEST_HASH`].
pub(crate) fn manifest_hash(json: &[u8]) -> String {
    format!("{}  {MANIFEST}\n", sha256_hex(json))
}

fn append<W: io::Write>(archive: &mut tar::Builder<W>, name: &str, data: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(data.len() as u64);
    // Nothing of the machine or the hour: the same content gives the same bytes.
    header.set_mode(0o644);
    header.set_mtime(0);
    archive.append_data(&mut header, name, data)
}
