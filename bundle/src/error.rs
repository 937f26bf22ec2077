//! Errors of reading and writing builds.

use std::path::PathBuf;

/// An error of this crate. Every message names the build and the file in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The build.
        path: PathBuf,
        /// Error of the system.
        source: std::io::Error,
    },
    /// File: it is not a tar archive, or does not start with the manifest.
    #[error("{path}: not a build: {reason}")]
    NotABuild {
        /// The build.
        path: PathBuf,
        /// Cause.
        reason: String,
    },
    /// File: the manifest cannot be parsed.
    #[error("{path}: manifest.json: {reason}")]
    Manifest {
        /// The build.
        path: PathBuf,
        /// Value found, and value expected.
        reason: String,
    },
    /// File: a part exceeds the reader's limit.
    #[error("{path}: {file} has {found} bytes, at most {limit} are accepted")]
    TooLarge {
        /// The build.
        path: PathBuf,
        /// Name of the part.
        file: String,
        /// Size of the part, in bytes.
        found: u64,
        /// Limit in bytes.
        limit: u64,
    },
    /// File: a number exceeds the reader's limit.
    #[error("{path}: {found} {what}, at most {limit} are accepted")]
    TooMany {
        /// The build.
        path: PathBuf,
        /// Counted items.
        what: &'static str,
        /// Number found.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// File: a part does not match its hash, because the build was damaged or manipulated.
    #[error("{path}: {file} has SHA-256 {found}, expected {expected}")]
    Hash {
        /// The build.
        path: PathBuf,
        /// Name of the part.
        file: String,
        /// Hash of the part.
        found: String,
        /// Hash in the manifest; for the manifest itself, hash in its hash file.
        expected: String,
    },
    /// File: a part has another size than stated in the manifest.
    #[error("{path}: {file} has {found} bytes, expected {expected} according to the manifest")]
    Size {
        /// The build.
        path: PathBuf,
        /// Name of the part.
        file: String,
        /// Size found, in bytes.
        found: u64,
        /// Size in the manifest, in bytes.
        expected: u64,
    },
    /// File: a listed file is missing.
    #[error("{path}: {file} is listed in the manifest but missing in the build")]
    MissingFile {
        /// The build.
        path: PathBuf,
        /// Name of the missing file.
        file: String,
    },
    /// File: it contains a file that the manifest does not list.
    #[error("{path}: {file} is in the build but not listed in its manifest")]
    UnlistedFile {
        /// The build.
        path: PathBuf,
        /// Name of the file.
        file: String,
    },
}
