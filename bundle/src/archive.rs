//! Writing a build, and reading one within limits.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::acceptance::Acceptance;
use crate::error::Error;
use crate::manifest::{FileEntry, Manifest};

const MANIFEST: &str = "manifest.json";

/// A build in memory: its manifest and files, whose hashes agree.
#[derive(Clone, Debug)]
pub struct Build {
    manifest: Manifest,
    files: BTreeMap<String, Vec<u8>>,
    acceptance: Acceptance,
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

    /// Reads and checks a build.
    ///
    /// # Errors
    /// Any way in which the file is not a whole, unaltered build within `limits`.
    pub fn read(path: &Path, limits: &Limits) -> Result<Self, Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let not_a_build = |reason: String| Error::NotABuild { path: path.to_owned(), reason };
        let file = fs::File::open(path).map_err(io)?;
        let found = file.metadata().map_err(io)?.len();
        limits.check(path, "the build", found, limits.build_bytes)?;
        let mut archive = tar::Archive::new(file);
        let mut entries = archive.entries().map_err(io)?;
        let first = entries.next().ok_or_else(|| not_a_build("it is empty".into()))?;
        let first = first.map_err(|e| not_a_build(e.to_string()))?;
        let (name, json) = read_entry(first, path, limits.manifest_bytes, limits)?;
        if name != MANIFEST {
            return Err(not_a_build(format!("its first entry is {name}, expected {MANIFEST}")));
        }
        let manifest = parse_manifest(path, &json)?;
        let mut files = BTreeMap::new();
        for entry in entries {
            let entry = entry.map_err(|e| not_a_build(e.to_string()))?;
            let (name, data) = read_entry(entry, path, limits.file_bytes, limits)?;
            let Some(listed) = manifest.files.get(&name) else {
                return Err(Error::UnlistedFile { path: path.to_owned(), file: name });
            };
            check_entry(path, &name, &data, listed)?;
            files.insert(name, data);
        }
        if let Some(file) = manifest.files.keys().find(|name| !files.contains_key(*name)) {
            return Err(Error::MissingFile { path: path.to_owned(), file: file.clone() });
        }
        let acceptance = match files.get(Acceptance::FILE) {
            Some(json) => serde_json::from_slice(json)
                .map_err(|e| not_a_build(format!("{}: {e}", Acceptance::FILE)))?,
            None => Acceptance::default(),
        };
        Ok(Self { manifest, files, acceptance })
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

    fn write_to<W: io::Write>(&self, writer: W) -> io::Result<W> {
        let mut archive = tar::Builder::new(writer);
        let json = serde_json::to_vec_pretty(&self.manifest)?;
        append(&mut archive, MANIFEST, &json)?;
        for (name, data) in &self.files {
            append(&mut archive, name, data)?;
        }
        archive.into_inner()
    }
}

/// How much of a build a reader accepts, checked before anything is allocated.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The whole file.
    pub build_bytes: u64,
    /// `manifest.json`.
    pub manifest_bytes: u64,
    /// Any other file in it.
    pub file_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { build_bytes: 1 << 30, manifest_bytes: 1 << 20, file_bytes: 512 << 20 }
    }
}

impl Limits {
    fn check(&self, path: &Path, file: &str, found: u64, limit: u64) -> Result<(), Error> {
        if found <= limit {
            return Ok(());
        }
        Err(Error::TooLarge { path: path.to_owned(), file: file.to_owned(), found, limit })
    }
}

/// SHA-256 in hex.
pub fn sha256_hex(data: &[u8]) -> String {
    Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_entry(
    mut entry: tar::Entry<impl Read>,
    path: &Path,
    limit: u64,
    limits: &Limits,
) -> Result<(String, Vec<u8>), Error> {
    let not_a_build = |reason: String| Error::NotABuild { path: path.to_owned(), reason };
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    if !entry.header().entry_type().is_file() {
        return Err(not_a_build(format!("{name:?} is not a plain file")));
    }
    limits.check(path, &name, entry.size(), limit)?;
    let mut data = Vec::new();
    entry.read_to_end(&mut data).map_err(|e| not_a_build(format!("{name}: {e}")))?;
    if data.len() as u64 != entry.size() {
        let reason = format!("{name} ends after {} of {} bytes", data.len(), entry.size());
        return Err(not_a_build(reason));
    }
    Ok((name, data))
}

fn parse_manifest(path: &Path, json: &[u8]) -> Result<Manifest, Error> {
    let error = |reason: String| Error::Manifest { path: path.to_owned(), reason };
    // The version is looked at first: a manifest of a later one may have other keys.
    let value: serde_json::Value =
        serde_json::from_slice(json).map_err(|e| error(e.to_string()))?;
    match value.get("format").and_then(serde_json::Value::as_u64) {
        Some(format) if format == u64::from(Manifest::FORMAT) => {}
        Some(format) => {
            return Err(error(format!("format is {format}, expected {}", Manifest::FORMAT)));
        }
        None => return Err(error("key `format` is missing".into())),
    }
    let manifest: Manifest = serde_json::from_value(value).map_err(|e| error(e.to_string()))?;
    for name in [Manifest::ENCODER, Manifest::DECODER] {
        if !manifest.files.contains_key(name) {
            return Err(error(format!("{name} is not among its files")));
        }
    }
    Ok(manifest)
}

fn check_entry(path: &Path, name: &str, data: &[u8], listed: &FileEntry) -> Result<(), Error> {
    let (path, file) = (path.to_owned(), name.to_owned());
    let bytes = data.len() as u64;
    if bytes != listed.bytes {
        return Err(Error::Size { path, file, found: bytes, expected: listed.bytes });
    }
    let found = sha256_hex(data);
    if found != listed.sha256 {
        return Err(Error::Hash { path, file, found, expected: listed.sha256.clone() });
    }
    Ok(())
}

fn append<W: io::Write>(archive: &mut tar::Builder<W>, name: &str, data: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(data.len() as u64);
    // Nothing of the machine or the hour: the same content gives the same bytes.
    header.set_mode(0o644);
    header.set_mtime(0);
    archive.append_data(&mut header, name, data)
}
