//! Reading of builds as hostile input: memory is only allocated within the limits.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use crate::acceptance::Acceptance;
use crate::archive::{Build, MANIFEST, MANIFEST_HASH, manifest_hash};
use crate::error::Error;
use crate::hash::sha256_hex;
use crate::limits::{Limits, within};
use crate::manifest::{FileEntry, Manifest};

impl Build {
    /// Reads and checks a build.
    ///
    /// # Errors
    /// The file is not a complete, unaltered build within `limits`.
    pub fn read(path: &Path, limits: &Limits) -> Result<Self, Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        Self::read_file(&fs::File::open(path).map_err(io)?, path, limits)
    }

    /// Reads a build from an open file, starting at its current position; error messages name it
    /// `path`.
    ///
    /// # Errors
    /// Same as [`Build::read`].
    pub fn read_file(file: &fs::File, path: &Path, limits: &Limits) -> Result<Self, Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let (found, limit) = (file.metadata().map_err(io)?.len(), limits.build_bytes);
        if found > limit {
            let file = "the build".to_owned();
            return Err(Error::TooLarge { path: path.to_owned(), file, found, limit });
        }
        Self::read_from(file, path, limits)
    }

    /// Reads a build from any reader; error messages name it `path`.
    ///
    /// # Errors
    /// Same as [`Build::read`].
    pub fn read_from(reader: impl Read, path: &Path, limits: &Limits) -> Result<Self, Error> {
        let mut archive = tar::Archive::new(reader.take(limits.build_bytes));
        let entries = archive.entries().map_err(|e| not_a_build(path, e.to_string()))?;
        // Raw mode: names and sizes come from the fixed-size headers, and extensions of the format
        // are ignored.
        let mut reader = Reader { entries: entries.raw(true), path, limits };
        let json = reader.expect(MANIFEST)?;
        let hash = reader.expect(MANIFEST_HASH)?;
        if hash != manifest_hash(&json).as_bytes() {
            let (found, expected) = (sha256_hex(&json), String::from_utf8_lossy(&hash).into());
            let (path, file) = (path.to_owned(), MANIFEST.to_owned());
            return Err(Error::Hash { path, file, found, expected });
        }
        let manifest = parse_manifest(path, &json)?;
        within(path, "files", manifest.files.len(), limits.files)?;
        let mut files = BTreeMap::new();
        while let Some((name, data)) = reader.listed(&manifest)? {
            if files.insert(name.clone(), data).is_some() {
                return Err(not_a_build(path, format!("it contains {name} twice")));
            }
        }
        if let Some(file) = manifest.files.keys().find(|name| !files.contains_key(*name)) {
            return Err(Error::MissingFile { path: path.to_owned(), file: file.clone() });
        }
        let acceptance = match files.get(Acceptance::FILE) {
            Some(json) => serde_json::from_slice(json)
                .map_err(|e| not_a_build(path, format!("{}: {e}", Acceptance::FILE)))?,
            None => Acceptance::default(),
        };
        limits.acceptance(path, &acceptance)?;
        Ok(Self { manifest, files, acceptance })
    }
}

/// Entries of an archive.
struct Reader<'a, R: Read> {
    entries: tar::Entries<'a, R>,
    path: &'a Path,
    limits: &'a Limits,
}

type Entry<'a, R> = tar::Entry<'a, R>;

impl<'a, R: Read> Reader<'a, R> {
    /// Content of the next entry, which must be named `name`.
    fn expect(&mut self, name: &str) -> Result<Vec<u8>, Error> {
        match self.next()? {
            Some((found, entry)) if found == name => self.content(name, entry),
            Some((found, _)) => {
                let reason = format!("found {found:?}, expected {name}");
                Err(not_a_build(self.path, reason))
            }
            None => Err(not_a_build(self.path, format!("it ends, expected {name}"))),
        }
    }

    /// Name and content of the next entry, which must match the manifest; `None` at the end.
    fn listed(&mut self, manifest: &Manifest) -> Result<Option<(String, Vec<u8>)>, Error> {
        let Some((name, entry)) = self.next()? else { return Ok(None) };
        let Some(FileEntry { bytes, sha256 }) = manifest.files.get(&name) else {
            return Err(Error::UnlistedFile { path: self.path.to_owned(), file: name });
        };
        let (path, file) = (self.path.to_owned(), name.clone());
        if entry.size() != *bytes {
            return Err(Error::Size { path, file, found: entry.size(), expected: *bytes });
        }
        let data = self.content(&name, entry)?;
        let found = sha256_hex(&data);
        if found != *sha256 {
            return Err(Error::Hash { path, file, found, expected: sha256.clone() });
        }
        Ok(Some((name, data)))
    }

    fn next(&mut self) -> Result<Option<(String, Entry<'a, R>)>, Error> {
        let Some(entry) = self.entries.next() else { return Ok(None) };
        let entry = entry.map_err(|e| not_a_build(self.path, e.to_string()))?;
        let name = entry.path_bytes();
        within(self.path, "bytes of a file's name", name.len(), self.limits.name_bytes)?;
        let name = String::from_utf8_lossy(&name).into_owned();
        if !entry.header().entry_type().is_file() {
            return Err(not_a_build(self.path, format!("{name:?} is not a plain file")));
        }
        Ok(Some((name, entry)))
    }

    fn content(&self, name: &str, mut entry: Entry<'a, R>) -> Result<Vec<u8>, Error> {
        let size = entry.size();
        self.limits.bytes(self.path, name, size)?;
        // Memory grows with the data present, not with the size in the header.
        let mut data = Vec::new();
        let read = entry.read_to_end(&mut data);
        read.map_err(|e| not_a_build(self.path, format!("{name}: {e}")))?;
        if data.len() as u64 != size {
            let reason = format!("{name} ends after {} of {size} bytes", data.len());
            return Err(not_a_build(self.path, reason));
        }
        Ok(data)
    }
}

fn parse_manifest(path: &Path, json: &[u8]) -> Result<Manifest, Error> {
    let error = |reason: String| Error::Manifest { path: path.to_owned(), reason };
    // The version is checked first, because a manifest of a later version may have other keys.
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
            return Err(error(format!("{name} is not listed in its files")));
        }
    }
    Ok(manifest)
}

fn not_a_build(path: &Path, reason: String) -> Error {
    Error::NotABuild { path: path.to_owned(), reason }
}
