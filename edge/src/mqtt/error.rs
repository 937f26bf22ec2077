//! Errors of the connection to the broker.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::{files, threads};

/// Error of the broker or of a message.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file named in the configuration cannot be used.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The address of the embedded broker is in use, or does not belong to this machine.
    #[error("cannot listen on broker.listen {listen}: {source}")]
    Listen {
        /// Address of the broker.
        listen: SocketAddr,
        /// Error of the system.
        source: std::io::Error,
    },
    /// The embedded broker ended or does not listen.
    #[error("embedded broker on {listen}: {reason}")]
    EmbeddedBroker {
        /// Address of the broker.
        listen: SocketAddr,
        /// Reason.
        reason: String,
    },
    /// The outbox cannot be read or written.
    #[error("{}: outbox: {reason}", path.display())]
    Outbox {
        /// Database file.
        path: PathBuf,
        /// Error of the database.
        reason: String,
    },
    /// The broker was unreachable for so long that the outbox is full.
    #[error(
        "{}: the outbox is full: {limit} messages wait for the broker (outbox.max_messages); \
         nothing was added",
        path.display()
    )]
    OutboxFull {
        /// Database file.
        path: PathBuf,
        /// Largest number of messages.
        limit: u64,
    },
    /// A message is larger than the largest packet.
    #[error("message on {topic}: {found} bytes with its topic, but at most {limit} can be sent")]
    OutboxMessage {
        /// Topic of the message.
        topic: String,
        /// Size of topic and payload in bytes.
        found: usize,
        /// Largest size in bytes.
        limit: usize,
    },
    /// A message violates the wire format.
    #[error(transparent)]
    Wire(#[from] medsa_wire::WireError),
    /// A thread could not be started.
    #[error(transparent)]
    Thread(#[from] threads::Error),
}
