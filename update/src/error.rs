//! What can go wrong; each says what was found and what was expected.

use std::io;
use std::path::{Path, PathBuf};

use semver::Version;
use url::Url;

/// Why an update, or a start, did not happen. The slot in use is as it was.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder.
    #[error("{path}: {source}")]
    Io {
        /// Which one.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// An administrator's process cannot go on as the owner of the slots.
    #[error("{folder}: as its owner: {source}")]
    Owner {
        /// The folder of the slots.
        folder: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// What the device remembers of its slots is damaged.
    #[error("{path}: {reason}; slots are as they are, but which one is good has to be said anew")]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Neither slot holds what it should.
    #[error("{folder}: neither slot holds a build that is as it was installed: stage one")]
    NothingToRun {
        /// The folder of the slots.
        folder: PathBuf,
    },
    /// The build in use is on trial: the other slot is the way back.
    #[error("{on_trial} is on trial: confirm it or roll it back first")]
    OnTrial {
        /// Name and version.
        on_trial: String,
    },
    /// There is nothing to confirm or no way back.
    #[error("{what}: {reason}")]
    Nothing {
        /// What was asked for.
        what: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// The build is older than one that ran here.
    #[error(
        "{name} {found} is older than {floor}, which has run here; \
         --danger-allow-downgrade installs it all the same"
    )]
    Downgrade {
        /// Name of the build.
        name: String,
        /// Its version.
        found: Version,
        /// The highest that was confirmed.
        floor: Version,
    },
    /// The build in use is confirmed.
    #[error("{build} is confirmed; --danger-allow-downgrade goes back from it all the same")]
    Confirmed {
        /// Name and version.
        build: String,
    },
    /// The build has failed its trial before.
    #[error(
        "{build} has failed on this device before (SHA-256 {sha256}); --again takes it all the same"
    )]
    FailedBefore {
        /// Name and version.
        build: String,
        /// Of its file.
        sha256: String,
    },
    /// The disk is too full.
    #[error("{folder}: {free} bytes are free, {needed} are needed")]
    Full {
        /// The folder of the slots.
        folder: PathBuf,
        /// Bytes there are.
        free: u64,
        /// Bytes that the build and what has to stay free take.
        needed: u64,
    },
    /// What came is not what was promised.
    #[error("{build}: {found} came, {expected} was promised")]
    Broken {
        /// Name and version.
        build: String,
        /// What came.
        found: String,
        /// What was to come.
        expected: String,
    },
    /// The source of the build failed.
    #[error("{build}: {source}")]
    Source {
        /// Name and version.
        build: String,
        /// Its answer.
        source: io::Error,
    },
    /// The build does not answer as it should on this device.
    #[error("{build} is not accepted: {reason}")]
    NotAccepted {
        /// Name and version.
        build: String,
        /// Why.
        reason: String,
    },
    /// What the device remembers of the repository is damaged.
    #[error(
        "{path}: {reason}; without the file, the device trusts the root it came with, and could be \
         shown an older repository than it has seen"
    )]
    Trust {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The repository, or what answers in its place, cannot be believed or reached.
    #[error("{repository}: {reason}")]
    Repository {
        /// Where it is.
        repository: String,
        /// What was found and expected.
        reason: String,
    },
    /// The repository lists what no device takes.
    #[error("{repository}: target {target:?}: {reason}")]
    Target {
        /// Where it is.
        repository: String,
        /// As it is listed.
        target: String,
        /// What was found and expected.
        reason: String,
    },
    /// The repository does not list the build.
    #[error("{wanted} is not in the repository, expected one of {}", offered.join(", "))]
    NotOffered {
        /// Name, and version if one was named.
        wanted: String,
        /// All builds that it lists.
        offered: Vec<String>,
    },
    /// The clock is wrong, so that nobody can say whether what is signed has expired.
    #[error(
        "the clock says {now}, and it is {known} or later: set it, or let the operator accept \
         updates without a clock"
    )]
    Clock {
        /// What the clock says.
        now: String,
        /// The latest time that is known to have been.
        known: String,
    },
    /// What is to be published is not fit for it.
    #[error("{path}: {reason}")]
    Unpublishable {
        /// The build.
        path: PathBuf,
        /// What was found and expected.
        reason: String,
    },
    /// Keys cannot be made or used.
    #[error("{path}: {reason}")]
    Keys {
        /// The file or folder.
        path: PathBuf,
        /// What was found and expected.
        reason: String,
    },
}

impl Error {
    /// What the system answered about `path`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    /// What tough says about a repository, with all that it says it is because of.
    pub(crate) fn repository(repository: &Url) -> impl Fn(tough::error::Error) -> Self {
        let repository = repository.to_string();
        move |error| Self::Repository { repository: repository.clone(), reason: whole(&error) }
    }
}

/// An error and what it came from, each once.
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
