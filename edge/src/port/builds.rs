//! Replacement of the build in use.

use medsa_update::State;

/// Loads another build while the one in use keeps segmenting.
pub trait Builds: Send + Sync {
    /// Starts to load the configured build again; the log and [`BuildState`] report the result.
    ///
    /// # Errors
    /// Another build is being loaded, or no thread can be started.
    fn reload(&self) -> Result<String, String>;

    /// Starts to switch to the build in the other slot; the log and [`BuildState`] report the
    /// result.
    ///
    /// # Errors
    /// As [`Builds::reload`]; or the build is a file.
    fn switch_build(&self) -> Result<String, String>;

    /// Starts to look for a newer build in the repository; the log and [`BuildState`] report the
    /// result.
    ///
    /// # Errors
    /// As [`Builds::reload`]; or the configuration names no repository.
    fn update(&self, activate: Activate) -> Result<String, String>;

    /// State of the slots; `None` if the build is a file.
    ///
    /// # Errors
    /// The reason why the slots cannot be read.
    fn slots(&self) -> Result<Option<State>, String>;

    /// True if the configuration names a repository of builds.
    fn can_update(&self) -> bool;
}

/// Time at which a newer build is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activate {
    /// At once.
    Now,
    /// On command; until then it is staged.
    Later,
}

/// State of the replacement of the build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildState {
    /// No replacement is running.
    Idle,
    /// Another build is being loaded and tested.
    Loading,
    /// The service is looking for, downloading or testing a newer build.
    Updating,
    /// The last replacement failed; the previous build stays in use.
    Failed {
        /// Reason of the failure.
        reason: String,
    },
}
