//! Error type of this crate.

use std::path::PathBuf;

/// A service could not be used, or was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no connection, or no association.
    #[error("{node}: {reason}")]
    Connection {
        /// AE title and address of the peer.
        node: String,
        /// Cause.
        reason: String,
    },
    /// The peer does not offer a service, or takes no instances of this kind.
    #[error("{node} does not accept {what}")]
    NotOffered {
        /// AE title and address of the peer.
        node: String,
        /// Service, or class and transfer syntax of an instance.
        what: String,
    },
    /// The peer answered with a failure.
    #[error("{node} answered {request} with the status {status:04X}H{comment}")]
    Refused {
        /// AE title and address of the peer.
        node: String,
        /// Request, with the UID of the instance.
        request: String,
        /// Status (PS3.7 annex C).
        status: u16,
        /// Comment of the peer, after a colon, or nothing.
        comment: String,
    },
    /// A DICOMweb server answered with a failure.
    #[error("{server} answered with the HTTP status {status}")]
    Http {
        /// Address of the server.
        server: String,
        /// Status.
        status: u16,
    },
    /// The peer sent something else than an answer.
    #[error("{node} sent {found}, expected {expected}")]
    Unexpected {
        /// AE title and address of the peer.
        node: String,
        /// Message or PDU.
        found: String,
        /// Message or PDU that the service prescribes.
        expected: &'static str,
    },
    /// A file to send cannot be read.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Cause.
        reason: String,
    },
    /// Reports of storage commitment cannot be received.
    #[error("{address}: {source}")]
    Listen {
        /// Address to listen at.
        address: String,
        /// Error of the system.
        source: std::io::Error,
    },
}

impl Error {
    /// True if the same request may succeed later: there was no answer, or the peer is short of
    /// something.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Connection { .. } | Self::Unexpected { .. } | Self::Listen { .. } => true,
            // Refused: out of resources (PS3.4 B.2.3).
            Self::Refused { status, .. } => (0xa700..=0xa7ff).contains(status),
            // The request does not suit the server: another one will not either.
            Self::Http { status, .. } => ![400, 409, 413, 415].contains(status),
            Self::NotOffered { .. } | Self::File { .. } => false,
        }
    }
}
