//! Errors of the connection to the broker.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::{files, threads};

/// A broker that cannot be used, or a message that cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that the configuration names cannot be used.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The address of the embedded broker is taken, or is not one of this machine.
    #[error("broker.listen {listen}: {source}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The embedded broker ended, or does not listen.
    #[error("embedded broker on {listen}: {reason}")]
    EmbeddedBroker {
        /// Its address.
        listen: SocketAddr,
        /// What happened.
        reason: String,
    },
    /// `mqtts://` without `ca_file` on a system without certificates.
    #[error(
        "the system has no certificates to check the broker's with, expected a ca_file, or the \
         package ca-certificates"
    )]
    NoSystemRoots,
    /// The outbox cannot be read or written.
    #[error("{}: outbox: {reason}", path.display())]
    Outbox {
        /// Its file.
        path: PathBuf,
        /// The database's answer.
        reason: String,
    },
    /// The broker was away for so long that the outbox is full.
    #[error(
        "{}: the outbox is full: {limit} messages wait for the broker (outbox.max_messages); \
         nothing was added",
        path.display()
    )]
    OutboxFull {
        /// Its file.
        path: PathBuf,
        /// Largest number of messages.
        limit: u64,
    },
    /// A message is larger than a packet.
    #[error("message on {topic}: {found} bytes with its topic, at most {limit} can be sent")]
    OutboxMessage {
        /// Its topic.
        topic: String,
        /// Bytes of topic and payload.
        found: usize,
        /// Largest number of bytes.
        limit: usize,
    },
    /// A message breaks a rule of the wire format.
    #[error(transparent)]
    Wire(#[from] medsa_wire::WireError),
    /// A thread cannot be started.
    #[error(transparent)]
    Thread(#[from] threads::Error),
}
