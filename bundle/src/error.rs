//! Why a build cannot be read or written.

use std::path::PathBuf;

/// Errors of this crate; every message names the build and the file in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The build.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Not a build: not a tar archive, or the manifest does not come first.
    #[error("{path}: not a build: {reason}")]
    NotABuild {
        /// The build.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The manifest cannot be understood.
    #[error("{path}: manifest.json: {reason}")]
    Manifest {
        /// The build.
        path: PathBuf,
        /// What was found and expected.
        reason: String,
    },
    /// A part is larger than a reader accepts.
    #[error("{path}: {file} has {found} bytes, at most {limit} are accepted")]
    TooLarge {
        /// The build.
        path: PathBuf,
        /// The file in it.
        file: String,
        /// Its size.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// There is more of something than a reader accepts.
    #[error("{path}: {found} {what}, at most {limit} are accepted")]
    TooMany {
        /// The build.
        path: PathBuf,
        /// Of what.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// A part is not what the manifest says: the build was damaged or tampered with.
    #[error("{path}: {file} has SHA-256 {found}, expected {expected}")]
    Hash {
        /// The build.
        path: PathBuf,
        /// The file in it.
        file: String,
        /// Hash of what is there.
        found: String,
        /// Hash in the manifest or, for the manifest, beside it.
        expected: String,
    },
    /// A part has another size than the manifest says.
    #[error("{path}: {file} has {found} bytes, the manifest says {expected}")]
    Size {
        /// The build.
        path: PathBuf,
        /// The file in it.
        file: String,
        /// Bytes there.
        found: u64,
        /// Bytes in the manifest.
        expected: u64,
    },
    /// The manifest lists a file that is not there.
    #[error("{path}: {file} is listed in the manifest and missing from the build")]
    MissingFile {
        /// The build.
        path: PathBuf,
        /// The file.
        file: String,
    },
    /// The build holds a file that the manifest does not list.
    #[error("{path}: {file} is in the build and not in its manifest")]
    UnlistedFile {
        /// The build.
        path: PathBuf,
        /// The file.
        file: String,
    },
}
