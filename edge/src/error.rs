//! What can go wrong on the device, and whose fault it is.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::records::Shortage;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Of the engine: a build, its networks or its acceptance test.
    #[error(transparent)]
    Engine(#[from] medsa_engine::Error),
    /// The slots'.
    #[error(transparent)]
    Slots(#[from] medsa_update::Error),
    /// The repository's, the network's or the build's.
    #[error("no newer build: {reason}")]
    NotUpdated {
        /// What `medsa-edge update` says.
        reason: String,
    },
    /// The build's: masks finer than a message holds.
    #[error("the build's masks are {found} px wide, a mask message holds at most {limit}")]
    MaskTooFine {
        /// Side of the masks.
        found: usize,
        /// Largest side.
        limit: u16,
    },
    /// The network's: a predicted IoU that is not a number.
    #[error("decoder.onnx: output iou is {score} for object {object}, expected a finite number")]
    Score {
        /// What was predicted.
        score: f32,
        /// The object.
        object: u8,
    },
    /// The operator's: the configuration is not TOML, or a key is unknown, missing or of the
    /// wrong type.
    #[error("{}:{line}: `{text}`: {reason}", file.display())]
    ConfigSyntax {
        /// The configuration.
        file: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// The line.
        text: String,
        /// What is wrong in it.
        reason: String,
    },
    /// The operator's: a value in the configuration is out of its range.
    #[error("{}: {key} is {found}, expected {expected}", file.display())]
    ConfigValue {
        /// The configuration.
        file: PathBuf,
        /// The key, as in `source.rate_fps`.
        key: String,
        /// Its value.
        found: String,
        /// What is accepted.
        expected: String,
    },
    /// The machine's: a file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The operator's: a file that tells no temperature.
    #[error("{}: no temperature, expected a number of thousandths of a degree", path.display())]
    Temperature {
        /// The file.
        path: PathBuf,
    },
    /// The machine's: there is no journal to log to.
    #[error("log.to is \"journald\", but the journal does not answer: {0}")]
    Journald(std::io::Error),
    /// Whoever's its source is: something that a key of the configuration names cannot be had.
    #[error("{key}: {source}")]
    Needed {
        /// The key or section.
        key: &'static str,
        /// What is wrong.
        source: Box<Error>,
    },
    /// The operator's: a configuration that could not be run.
    #[error(
        "{}: {} found\n{}",
        file.display(),
        if problems.len() == 1 { "1 problem".into() } else { format!("{} problems", problems.len()) },
        problems.iter().map(Error::to_string).collect::<Vec<_>>().join("\n")
    )]
    NotReady {
        /// The configuration.
        file: PathBuf,
        /// What stands in the way.
        problems: Vec<Error>,
    },
    /// The machine's: a picture cannot be written.
    #[error("{}: {source}", path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// The encoder's answer.
        source: image::ImageError,
    },
    /// The operator's: captures have no place.
    #[error(
        "{}: the section [records] is missing, expected one with records.folder: captures are \
         refused without",
        file.display()
    )]
    NoRecords {
        /// The configuration.
        file: PathBuf,
    },
    /// The operator's: pixels that may tell the patient are not kept.
    #[error(
        "the frame is not de-identified: source.blank is missing, expected rectangles that hide \
         what tells the patient: not kept"
    )]
    NotDeidentified,
    /// Ours: a capture that contradicts itself.
    #[error("capture: {key} is {found}, expected {expected}")]
    Capture {
        /// What of the capture.
        key: String,
        /// Its value.
        found: String,
        /// What is accepted.
        expected: String,
    },
    /// The operator's: there is no room for another record. Older ones are never dropped for it:
    /// move some elsewhere, or allow more.
    #[error("{}: no room for a record of {needed} bytes: {shortage}: not kept", folder.display())]
    RecordsFull {
        /// The folder of records.
        folder: PathBuf,
        /// Bytes of the record.
        needed: u64,
        /// What is short.
        shortage: Shortage,
    },
    /// The operator's: one folder of records serves one process.
    #[error(
        "{}: another process keeps records there, expected a folder of our own",
        folder.display()
    )]
    RecordsInUse {
        /// The folder.
        folder: PathBuf,
    },
    /// Ours: a file of a record cannot be encoded.
    #[error("{file} of a record: {reason}: not kept")]
    RecordEncoding {
        /// The file.
        file: &'static str,
        /// The encoder's answer.
        reason: String,
    },
    /// The disk's, or somebody's who changed it: a file of a record is not what was written.
    #[error("{}: {found}, expected {expected}", path.display())]
    RecordDamaged {
        /// The file.
        path: PathBuf,
        /// What is in it.
        found: String,
        /// What was written.
        expected: String,
    },
    /// The operator's: the address of the embedded broker is taken or not this machine's.
    #[error("broker.listen {listen}: {source}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Ours or the machine's: the embedded broker ended or never began to listen.
    #[error("embedded broker on {listen}: {reason}")]
    EmbeddedBroker {
        /// Its address.
        listen: SocketAddr,
        /// What happened.
        reason: String,
    },
    /// The operator's: two arguments that do not go together.
    #[error("{argument} is {found}, expected {expected}")]
    Argument {
        /// Name of the argument.
        argument: String,
        /// Its value, or that it is missing.
        found: String,
        /// What would go with the others.
        expected: &'static str,
    },
    /// The operator's: a certificate, key or password that is none.
    #[error("{}: {reason}", path.display())]
    Credential {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The operator's: a secret that others can read.
    #[error(
        "{}: its mode is {mode:04o}, so that everybody can use this secret, expected no access \
         for others: chmod o= {}",
        path.display(),
        path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The machine's: `mqtts://` without `ca_file` on a system without certificates.
    #[error(
        "the system has no certificates to check the broker's with, expected a ca_file, or the \
         package ca-certificates"
    )]
    NoSystemRoots,
    /// The machine's: the outbox cannot be read or written.
    #[error("{}: outbox: {reason}", path.display())]
    Outbox {
        /// Its file.
        path: PathBuf,
        /// The database's answer.
        reason: String,
    },
    /// The network's: the broker was away for so long that no further message can be kept.
    #[error(
        "{}: the outbox is full: {limit} messages wait for the broker (outbox.max_messages); \
         nothing was added",
        path.display()
    )]
    OutboxFull {
        /// Its file.
        path: PathBuf,
        /// Messages that it holds at most.
        limit: u64,
    },
    /// Ours: a message that no packet holds.
    #[error("message on {topic}: {found} bytes with its topic, at most {limit} can be sent")]
    OutboxMessage {
        /// Its topic.
        topic: String,
        /// Bytes of topic and payload.
        found: usize,
        /// Largest number.
        limit: usize,
    },
    /// The machine's: a thread cannot be started.
    #[error("cannot start the thread {name}: {source}")]
    Thread {
        /// Its name.
        name: &'static str,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The machine's: signals cannot be received.
    #[error("cannot wait for signals: {0}")]
    Signal(std::io::Error),
    /// Ours: a thread of the pipeline panicked.
    #[error("the thread {name} panicked")]
    Panicked {
        /// Its name.
        name: &'static str,
    },
    /// The operator's: the file or folder of the source cannot be opened.
    #[error(transparent)]
    Source(#[from] medsa_frames::FramesError),
    /// The source's, or the network's or the cable's before it: it cannot be reached, or was
    /// lost.
    #[error("{name}: {reason}")]
    SourceLost {
        /// The source.
        name: String,
        /// What happened.
        reason: String,
    },
    /// The source's: one frame came damaged.
    #[error("damaged frame: {reason}")]
    DamagedFrame {
        /// What was found and expected.
        reason: String,
    },
    /// The operator's or the source's: the configuration is made for other frames.
    #[error("{key}: frame is {found}, expected {expected}")]
    FrameRefused {
        /// The key in the configuration.
        key: &'static str,
        /// Size of the frame.
        found: String,
        /// What is accepted.
        expected: String,
    },
    /// The build cannot be read.
    #[error(transparent)]
    Build(#[from] medsa_bundle::Error),
    /// A message that breaks a rule of the format.
    #[error(transparent)]
    Wire(#[from] medsa_wire::WireError),
    /// A frame that the preprocessing refuses.
    #[error(transparent)]
    Frame(#[from] medsa_sam::Error),
    /// The operator's: a prompt of the configuration does not fit the source's frames.
    #[error("prompt of object {object}: {source}")]
    ConfiguredPrompt {
        /// The object.
        object: u8,
        /// What does not fit.
        source: medsa_sam::PromptError,
    },
    /// A prompt that does not fit the frame.
    #[error(transparent)]
    Prompt(#[from] medsa_sam::PromptError),
    /// The operator's: the address for metrics and health cannot be had.
    #[error("http.listen {listen}: {source}")]
    ListenHttp {
        /// The address.
        listen: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Nobody's: a prompt that came too early. Send it again.
    #[error("no frame has come yet that a prompt could be about")]
    NoFrameYet,
}

impl Error {
    /// Whether what was typed is at fault, and not a file, the machine or the network.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::ConfigSyntax { .. }
                | Self::ConfigValue { .. }
                | Self::ConfiguredPrompt { .. }
                | Self::FrameRefused { .. }
                | Self::Argument { .. }
                | Self::Engine(medsa_engine::Error::UnknownBoard { .. })
                | Self::Prompt(_)
        )
    }

    /// What the system answered about `path`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}
