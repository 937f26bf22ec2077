//! Top-level error: one variant for each module, and those of the commands.

use std::path::PathBuf;

use crate::{
    config, degrade, files, hospital, http, log, mqtt, pipeline, records, source, threads, updates,
};

/// Error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// A file.
    #[error(transparent)]
    File(#[from] files::Error),
    /// A thread.
    #[error(transparent)]
    Thread(#[from] threads::Error),
    /// The source.
    #[error(transparent)]
    Source(#[from] source::Error),
    /// The pipeline.
    #[error(transparent)]
    Pipeline(#[from] pipeline::Error),
    /// Degradation.
    #[error(transparent)]
    Degrade(#[from] degrade::Error),
    /// Records.
    #[error(transparent)]
    Records(#[from] records::Error),
    /// The archive or the worklist.
    #[error(transparent)]
    Hospital(#[from] hospital::Error),
    /// The broker.
    #[error(transparent)]
    Mqtt(#[from] mqtt::Error),
    /// The HTTP server.
    #[error(transparent)]
    Http(#[from] http::Error),
    /// Builds and their updates.
    #[error(transparent)]
    Updates(#[from] updates::Error),
    /// The log.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// A clip of a command.
    #[error(transparent)]
    Clip(#[from] medsa_frames::FramesError),
    /// A build of a command.
    #[error(transparent)]
    Build(#[from] medsa_bundle::Error),
    /// The engine of a command.
    #[error(transparent)]
    Engine(#[from] medsa_engine::Error),
    /// The slots of a command.
    #[error(transparent)]
    Slots(#[from] medsa_update::Error),
    /// A prompt of a command.
    #[error(transparent)]
    Prompt(#[from] medsa_sam::PromptError),
    /// A prompt of the configuration does not fit the source's frames.
    #[error("prompt of object {object}: {source}")]
    ConfiguredPrompt {
        /// Number of the object.
        object: u8,
        /// Reason why it does not fit.
        source: pipeline::Error,
    },
    /// A task of the service keeps failing, or cannot be restarted.
    #[error("the task {name} {reason}; the service ends")]
    Task {
        /// Name of the task.
        name: &'static str,
        /// Reason of the failure.
        reason: String,
    },
    /// A file or value named in the configuration cannot be used.
    #[error("{key}: {source}")]
    Unusable {
        /// Key or section of the configuration.
        key: &'static str,
        /// Reason.
        source: Box<Error>,
    },
    /// The configuration cannot be run.
    #[error(
        "{}: {} found\n{}",
        file.display(),
        if problems.len() == 1 { "1 problem".into() } else { format!("{} problems", problems.len()) },
        problems.iter().map(Error::to_string).collect::<Vec<_>>().join("\n")
    )]
    NotReady {
        /// Configuration file.
        file: PathBuf,
        /// All problems.
        problems: Vec<Error>,
    },
    /// Two arguments of a command contradict each other.
    #[error("{argument} is {found}, expected {expected}")]
    Argument {
        /// Name of the argument.
        argument: String,
        /// Its value, or `missing`.
        found: String,
        /// Accepted values.
        expected: &'static str,
    },
    /// An image cannot be written.
    #[error("{}: {source}", path.display())]
    Image {
        /// Path of the file.
        path: PathBuf,
        /// Error of the encoder.
        source: image::ImageError,
    },
    /// Signals cannot be received.
    #[error("cannot wait for signals: {0}")]
    Signal(std::io::Error),
}

impl Error {
    /// Section of the configuration that a problem belongs to.
    pub(crate) fn section(&self) -> Option<&str> {
        let key = match self {
            Self::Unusable { key, .. } => key,
            Self::Config(config::Error::Value { key, .. }) => key.as_str(),
            _ => return None,
        };
        key.split(['.', '[']).next()
    }

    /// True if an argument or the configuration is at fault, and not a file, the machine or the
    /// network.
    pub fn is_usage(&self) -> bool {
        use medsa_engine::Error::UnknownBoard;
        matches!(
            self,
            Self::Config(config::Error::Syntax { .. } | config::Error::Value { .. })
                | Self::Source(
                    source::Error::FrameRefused { .. }
                        | source::Error::Config(
                            config::Error::Syntax { .. } | config::Error::Value { .. }
                        ),
                )
                | Self::ConfiguredPrompt { .. }
                | Self::Argument { .. }
                | Self::Engine(UnknownBoard { .. })
                | Self::Prompt(_)
        )
    }
}
