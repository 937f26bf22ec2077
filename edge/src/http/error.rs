//! Errors of the HTTP server.

use std::net::SocketAddr;

use crate::files;

/// The server cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file with the token, the certificate or its key cannot be used.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The address is in use, or does not belong to this machine.
    #[error("cannot listen on http.listen {listen}: {source}")]
    Listen {
        /// Address of the server.
        listen: SocketAddr,
        /// Error of the system.
        source: std::io::Error,
    },
}
