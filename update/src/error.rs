//! Errors of updates. Each names what failed, on what, why, and what to do.

use std::io;
use std::path::{Path, PathBuf};

use semver::Version;
use url::Url;

/// Reason why an update, or a start, did not happen. The slot in use is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read or written.
    #[error("cannot read or write {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// A process of the administrator cannot continue as the owner of the slots.
    #[error("cannot continue as the owner of {folder}: {source}")]
    Owner {
        /// Folder of the slots.
        folder: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// The state of the slots is damaged. The file is unchanged.
    #[error(
        "cannot read {path}: {reason}; the builds in the slots are unchanged: remove the file and \
         stage a build again"
    )]
    State {
        /// File of the state.
        path: PathBuf,
        /// Kind of the damage.
        reason: String,
    },
    /// The stored choice of a build is damaged. The file is unchanged.
    #[error("cannot read {path}: {reason}; choose a build again")]
    Choice {
        /// File of the choice.
        path: PathBuf,
        /// Kind of the damage.
        reason: String,
    },
    /// The file was written by a newer program, in a format that this one does not support. The
    /// file is unchanged.
    #[error(
        "cannot read {path}: its format is {found}, and this program supports formats up to \
         {supported}. It needs medsa-edge that supports format {found}: install a newer one, or \
         {otherwise}"
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Format of the file.
        found: u64,
        /// Newest format that this program supports.
        supported: u64,
        /// Alternative to a newer program, and its price.
        otherwise: &'static str,
    },
    /// No slot holds the build that was installed in it.
    #[error("{folder}: neither slot holds the build that was installed in it: stage a build")]
    NothingToRun {
        /// Folder of the slots.
        folder: PathBuf,
    },
    /// The build in use is on trial, and the other slot holds the build to roll back to.
    #[error("{on_trial} is on trial: confirm it or roll it back first")]
    OnTrial {
        /// Name and version of the build on trial.
        on_trial: String,
    },
    /// There is no build for the operation.
    #[error("{what}: {reason}")]
    Nothing {
        /// Name of the operation.
        what: &'static str,
        /// Reason why there is no build for it.
        reason: &'static str,
    },
    /// The build is older than the newest confirmed one of its name.
    #[error(
        "{name} {found} is older than {floor}, which this device has confirmed; \
         use --danger-allow-downgrade to install it anyway"
    )]
    Downgrade {
        /// Name of the build.
        name: String,
        /// Version of the build.
        found: Version,
        /// The highest confirmed version.
        floor: Version,
    },
    /// The build in use is confirmed, so that a rollback would be a downgrade.
    #[error("{build} is confirmed; use --danger-allow-downgrade to roll back from it anyway")]
    Confirmed {
        /// Name and version of the build in use.
        build: String,
    },
    /// The build has failed its trial before.
    #[error(
        "{build} has failed on this device before (SHA-256 {sha256}); use --again to install it \
         anyway"
    )]
    FailedBefore {
        /// Name and version of the build.
        build: String,
        /// SHA-256 of the build's file, in hex.
        sha256: String,
    },
    /// The disk is too full for the build.
    #[error("{folder}: the disk has {free} bytes free, and the update needs {needed}")]
    Full {
        /// Folder of the slots.
        folder: PathBuf,
        /// Free bytes.
        free: u64,
        /// Bytes of the build, and those that have to stay free.
        needed: u64,
    },
    /// The received bytes are not the build that was offered.
    #[error("{build}: received {found}, expected {expected}")]
    Broken {
        /// Name and version of the build.
        build: String,
        /// Size or hash of the received bytes.
        found: String,
        /// Size or hash in the offer.
        expected: String,
    },
    /// The source of the build failed.
    #[error("{build}: {source}")]
    Source {
        /// Name and version of the build.
        build: String,
        /// Error of the source.
        source: io::Error,
    },
    /// The build fails its acceptance test on this device.
    #[error("{build} is not accepted: {reason}")]
    NotAccepted {
        /// Name and version of the build.
        build: String,
        /// Result of the test.
        reason: String,
    },
    /// The memory of the repository is damaged. The file is unchanged.
    #[error(
        "cannot read {path}: {reason}; remove the file to trust the root that the device was \
         shipped with again: the device could then be shown an older repository than it has seen"
    )]
    Trust {
        /// File of the memory.
        path: PathBuf,
        /// Kind of the damage.
        reason: String,
    },
    /// The repository cannot be reached, or its metadata cannot be verified.
    #[error("{repository}: {reason}")]
    Repository {
        /// Address of the repository.
        repository: String,
        /// Kind of the failure.
        reason: String,
    },
    /// The repository lists a target that no device accepts.
    #[error("{repository}: target {target:?}: {reason}")]
    Target {
        /// Address of the repository.
        repository: String,
        /// Name of the target in the list.
        target: String,
        /// Property that devices refuse, with the expected one.
        reason: String,
    },
    /// The repository does not list the build.
    #[error("{wanted} is not in the repository, expected one of {}", offered.join(", "))]
    NotOffered {
        /// Name of the build, and its version if one was given.
        wanted: String,
        /// Builds in the list.
        offered: Vec<String>,
    },
    /// The clock is wrong, so that the device cannot tell whether metadata has expired.
    #[error(
        "the clock says {now}, but it is {known} or later: set the clock, or let the operator \
         allow updates without a clock"
    )]
    Clock {
        /// Time of the clock.
        now: String,
        /// The latest point in time that has certainly passed.
        known: String,
    },
    /// The build cannot be published, as devices would refuse it.
    #[error("cannot publish {path}: {reason}")]
    Unpublishable {
        /// File of the build.
        path: PathBuf,
        /// Property that devices refuse, with the expected one.
        reason: String,
    },
    /// Keys cannot be created or used.
    #[error("cannot create or use keys of {path}: {reason}")]
    Keys {
        /// File or folder of keys.
        path: PathBuf,
        /// Kind of the failure, with what was expected.
        reason: String,
    },
}

impl Error {
    /// Error of the system about `path`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    /// Error of tough about a repository, with its causes.
    pub(crate) fn repository(repository: &Url) -> impl Fn(tough::error::Error) -> Self {
        let repository = repository.to_string();
        move |error| Self::Repository { repository: repository.clone(), reason: whole(&error) }
    }
}

/// Message of an error and of its causes, each once.
pub(crate) fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text = format!("{text}: {reason}");
        }
        source = error.source();
    }
    text
}
