//! The configuration of the service: the text of the file (`raw`), checked and converted to values
//! ([`Config`]). It does not depend on the modules that it configures.

mod broker;
mod check;
mod error;
mod examine;
mod intake;
mod raw;
mod source;
mod text;
mod users;
mod values;

use std::path::Path;

use crate::files;

pub use broker::{Access, BrokerUrl, MAX_PACKET_BYTES, Misfit, Protocol, Security};
pub use error::Error;
pub use examine::Examined;
pub use intake::{Deidentification, Intake, Rectangle, Region};
pub use source::{
    AfterLast, ClipConfig, ClipFormat, OpenIgtLinkConfig, Pace, PipeConfig, PipeFormat,
    SourceConfig, SourceKind, Timeouts, V4l2Config, V4l2Format,
};
pub use users::{Pin, PinHash, SignIn, User, UserName};
pub use values::{
    ArchiveConfig, BrokerConfig, BrokerPlace, Budget, BuildConfig, CineConfig, Config,
    ConfiguredPrompt, DegradeConfig, DicomWebConfig, Encryption, Following, Format, HttpConfig,
    HttpControl, IntendedUse, Limits, LogConfig, LogFile, LogTo, ObjectName, OutboxConfig,
    OutputConfig, PeerConfig, PeerEncryption, Preset, RecordsConfig, UpdateConfig, WebLogin,
    WorklistConfig,
};

impl Config {
    /// Reads and checks a configuration file; relative paths in it start at its folder.
    ///
    /// # Errors
    /// The first [`Error`]; it names the file and the line or key.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(files::Error::io(path))?;
        Self::parse(path, &text)
    }

    /// Finds all problems of a configuration file, and its parts without problems.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn examine(path: &Path) -> Result<Examined, Error> {
        let text = std::fs::read_to_string(path).map_err(files::Error::io(path))?;
        Ok(examine::examine(path, &text))
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
