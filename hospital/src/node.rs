//! Peers in the network of a hospital.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

/// A peer, and the way to it.
#[derive(Clone, Debug)]
pub struct Node {
    /// Host and port of the peer.
    pub address: String,
    /// AE title of the peer.
    pub called: String,
    /// AE title of this device.
    pub calling: String,
    /// Encryption; `None` for plain connections.
    pub tls: Option<Tls>,
    /// Longest wait for a connection, and for each answer.
    pub timeout: Duration,
}

/// Encryption of connections to a peer.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Authorities that are trusted, and the certificate of this device.
    pub config: Arc<ClientConfig>,
    /// Name that the certificate of the peer has to state.
    pub server_name: String,
}

impl Node {
    /// AE title and address, for messages.
    pub(crate) fn name(&self) -> String {
        format!("{} at {}", self.called, self.address)
    }
}
