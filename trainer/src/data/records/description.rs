//! Reading of `record.json`. The service defines the format, in `edge/src/records/record.rs`; fields
//! that training does not need are ignored.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use medsa_bundle::sha256_hex;
use medsa_frames::MAX_FILE_BYTES;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::problem::Problem;

/// Name of the file.
const FILE: &str = "record.json";

/// Newest format that this program reads.
const FORMAT: u32 = 2;

/// Largest accepted size of the file, in bytes. The contours of eight large objects need less than
/// a tenth.
const MAX_BYTES: u64 = 16 << 20;

/// Content of `record.json`.
#[derive(Debug, Deserialize)]
pub(super) struct Description {
    id: String,
    /// Origin of the request: `touch`, `mqtt` or `http`.
    pub(super) trigger: String,
    pub(super) device: Device,
    pub(super) build: Build,
    pub(super) objects: Vec<Object>,
    /// Other files of the record, by name.
    files: BTreeMap<String, StoredFile>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Device {
    pub(super) id: String,
    pub(super) board: String,
    pub(super) edge_version: String,
}

/// Build that segmented the frame.
#[derive(Debug, Deserialize)]
pub(super) struct Build {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) sha256: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Object {
    /// Number of the object.
    pub(super) object: u8,
    /// Name of the structure.
    pub(super) label: String,
    /// Origin of the mask.
    state: String,
    pub(super) prompt: Prompt,
    /// Segment number; `None` for an empty mask.
    segment: Option<u16>,
}

/// Prompt of the user.
#[derive(Debug, Deserialize)]
pub(super) struct Prompt {
    pub(super) points: Vec<Point>,
    #[serde(rename = "box")]
    pub(super) bbox: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Point {
    pub(super) positive: bool,
}

/// Size and hash of a file, as it was stored.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct StoredFile {
    bytes: u64,
    sha256: String,
}

/// The part of `record.json` that all formats share.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl Description {
    /// Reads the description of the record `name` in the folder `record`.
    pub(super) fn read(record: &Path, name: &str) -> Result<Self, Problem> {
        let path = record.join(FILE);
        let unreadable = |reason: &dyn ToString| Problem::unreadable(&path, reason.to_string());
        let bytes = fs::metadata(&path).map_err(|e| unreadable(&e))?.len();
        if bytes > MAX_BYTES {
            return Err(unreadable(&format!("{bytes} bytes, expected at most {MAX_BYTES}")));
        }
        let json = fs::read(&path).map_err(|e| unreadable(&e))?;
        // Nothing else is known about a newer format.
        let Format { format } = serde_json::from_slice(&json).map_err(|e| unreadable(&e))?;
        if format > FORMAT {
            return Err(unreadable(&format!(
                "format {format} is newer than this program supports ({FORMAT}): install a newer \
                 medsa-train"
            )));
        }
        let description: Self = serde_json::from_slice(&json).map_err(|e| unreadable(&e))?;
        if description.id != name {
            let found = format!("id is {:?}, expected the name of its folder", description.id);
            return Err(unreadable(&found));
        }
        Ok(description)
    }

    /// Entry of the file `name`, which is at `path`; the error says that it is missing.
    pub(super) fn file(&self, name: &str, path: &Path) -> Result<StoredFile, String> {
        let entry = self.files.get(name).filter(|_| path.is_file());
        entry.cloned().ok_or_else(|| format!("{name} is missing"))
    }
}

impl Object {
    /// Segment of the mask, or why the mask is not used.
    pub(super) fn segment(&self) -> Result<u16, String> {
        // Uncertain and lost objects have other states.
        if !["segmented", "followed"].contains(&self.state.as_str()) {
            return Err(format!("state is {:?}, expected segmented or followed", self.state));
        }
        self.segment.ok_or_else(|| "the mask is empty".into())
    }
}

impl StoredFile {
    /// Checks that the file at `path` is still the one that was stored.
    pub(super) fn check(&self, path: &Path) -> Result<(), Problem> {
        let unreadable = |reason: &dyn ToString| Problem::unreadable(path, reason.to_string());
        let bytes = fs::metadata(path).map_err(|e| unreadable(&e))?.len();
        if bytes != self.bytes || bytes > MAX_FILE_BYTES {
            let expected = self.bytes.min(MAX_FILE_BYTES);
            return Err(unreadable(&format!("{bytes} bytes, expected {expected} as captured")));
        }
        let found = sha256_hex(&fs::read(path).map_err(|e| unreadable(&e))?);
        if found != self.sha256 {
            let expected = &self.sha256;
            return Err(unreadable(&format!("sha256 is {found}, expected {expected} as captured")));
        }
        Ok(())
    }
}
