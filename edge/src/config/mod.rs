//! The configuration of the service: the text of the file (`raw`), checked and converted to values
//! ([`Config`]). It does not depend on the modules that it configures.

mod broker;
mod check;
mod error;
mod intake;
mod raw;
mod source;
mod values;

use std::path::Path;

use crate::files;

pub use broker::{Access, BrokerUrl, MAX_PACKET_BYTES, Misfit, Protocol, Security};
pub use error::Error;
pub use intake::{Deidentification, Intake, Rectangle, Region};
pub use source::{
    AfterLast, ClipConfig, ClipFormat, OpenIgtLinkConfig, Pace, PipeConfig, PipeFormat,
    SourceConfig, SourceKind, Timeouts, V4l2Config, V4l2Format,
};
pub use values::{
    BrokerConfig, BrokerPlace, Budget, BuildConfig, CineConfig, Config, ConfiguredPrompt,
    DegradeConfig, Encryption, Following, Format, HttpConfig, HttpControl, IntendedUse, Limits,
    LogConfig, LogFile, LogTo, ObjectName, OutboxConfig, OutputConfig, Preset, RecordsConfig,
    UpdateConfig,
};

impl Config {
    /// Reads and checks a configuration file; relative paths in it start at its folder.
    ///
    /// # Errors
    /// The first [`Error`]; it names the file and the line or key.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::read_all(path).map_err(first)
    }

    /// Like [`Config::read`], but reports the first error of every section.
    ///
    /// # Errors
    /// As [`Config::read`]; the list is never empty.
    pub fn read_all(path: &Path) -> Result<Self, Vec<Error>> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| vec![files::Error::io(path)(error).into()])?;
        check::parse(path, &text)
    }

    /// Name of this machine in the form of a device's name, the default of `device.id`.
    pub fn default_device() -> String {
        raw::host_name()
    }

    /// Checks `text`, the content of the file at `path`.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        check::parse(path, text).map_err(first)
    }
}

fn first(mut problems: Vec<Error>) -> Error {
    // Invariant: the list of errors is never empty.
    problems.swap_remove(0)
}
