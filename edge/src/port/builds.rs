//! Changes of the build in use.

use medsa_update::State;

/// Loads another build while the one in use goes on.
pub trait Builds: Send + Sync {
    /// Begins to read the configured build again; the log and [`BuildState`] report the outcome.
    ///
    /// # Errors
    /// When another build is being loaded already, or no thread can be started.
    fn reload(&self) -> Result<String, String>;

    /// Begins to switch to the build of the other slot; the log and [`BuildState`] report the
    /// outcome.
    ///
    /// # Errors
    /// As [`Builds::reload`], and when the build is a file.
    fn switch_build(&self) -> Result<String, String>;

    /// Begins to look for a newer build in the repository; the log and [`BuildState`] report the
    /// outcome.
    ///
    /// # Errors
    /// As [`Builds::reload`], and when the configuration names no repository.
    fn update(&self, taking: Taking) -> Result<String, String>;

    /// Content of the device's slots; `None` when the build is a file.
    ///
    /// # Errors
    /// Why the slots cannot be read.
    fn slots(&self) -> Result<Option<State>, String>;

    /// Whether the configuration names a repository of newer builds.
    fn can_update(&self) -> bool;
}

/// Time at which a newer build is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taking {
    /// At once.
    Now,
    /// On command: it is staged until then.
    Later,
}

/// State of the change to another build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildState {
    /// No other build is expected.
    Idle,
    /// Another build is loaded and passes its acceptance test.
    Loading,
    /// A newer build is looked for, downloaded and tested.
    Updating,
    /// The last one was refused; the build before goes on.
    Failed {
        /// Why.
        reason: String,
    },
}
