//! The error of the program: one variant for each module, and those of the commands.

use std::path::PathBuf;

use crate::{config, degrade, files, http, log, mqtt, pipeline, records, source, threads, updates};

/// Errors of this crate.
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
        /// The prompt's fault.
        source: pipeline::Error,
    },
    /// A task of the service failed again and again, or cannot be restarted.
    #[error("the task {name} {reason}: the service ends")]
    Task {
        /// Name of the task.
        name: &'static str,
        /// How it failed.
        reason: String,
    },
    /// Something that a key of the configuration names cannot be used.
    #[error("{key}: {source}")]
    Needed {
        /// The key or section.
        key: &'static str,
        /// What is wrong.
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
        /// The configuration.
        file: PathBuf,
        /// Everything that is wrong.
        problems: Vec<Error>,
    },
    /// Two arguments of a command that do not go together.
    #[error("{argument} is {found}, expected {expected}")]
    Argument {
        /// Name of the argument.
        argument: String,
        /// Its value, or that it is missing.
        found: String,
        /// Values that would go with the others.
        expected: &'static str,
    },
    /// A picture cannot be written.
    #[error("{}: {source}", path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// The encoder's answer.
        source: image::ImageError,
    },
    /// Signals cannot be received.
    #[error("cannot wait for signals: {0}")]
    Signal(std::io::Error),
}

impl Error {
    /// Whether an argument or the configuration is at fault, and not a file, the machine or the
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
