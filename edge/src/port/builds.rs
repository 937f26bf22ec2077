//! Replacement of the build in use.

use medsa_update::State;
use serde::Serialize;

use super::refusal::Refusal;

/// Loads another build while the one in use keeps segmenting.
pub trait Builds: Send + Sync {
    /// Starts to load the build in use again, and then to check the others; the log and
    /// [`BuildState`] report the result.
    ///
    /// # Errors
    /// Another build is being loaded, or no thread can be started.
    fn reload(&self) -> Result<String, String>;

    /// Switches to a build by its name. `then` runs once the build is in use, and not at all if it
    /// cannot be used; the log and [`BuildState`] report the result.
    ///
    /// # Errors
    /// There is no such build, it is not available, or another one is being loaded.
    fn choose(&self, name: &str, then: Box<dyn FnOnce() + Send>) -> Result<Switch, Refusal>;

    /// Starts to switch the main build to that in the other slot; the log and [`BuildState`] report the
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

/// Answer to the request to switch to a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// The build is in use already.
    Done,
    /// The build is being loaded; the one in use goes on until then.
    Begun,
}

/// A build of the device that can be chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OfferedBuild {
    /// `main`, or the name of its file.
    pub name: String,
    /// True for the build in use.
    pub in_use: bool,
    /// Name and version in its description; `None` until it is checked.
    pub build: Option<String>,
    /// Names of the structures that it was trained on.
    pub classes: Vec<String>,
    /// Reason why it cannot be used, for people.
    pub unavailable: Option<String>,
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
