//! Errors of the HTTP server.

use std::net::SocketAddr;

use crate::files;

/// A server that cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file with the token, the certificate or its key cannot be used.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The address is taken, or is not one of this machine.
    #[error("http.listen {listen}: {source}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// The system's answer.
        source: std::io::Error,
    },
}
