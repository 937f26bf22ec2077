//! Peers in the network of a hospital.

use std::sync::Arc;
use std::time::Duration;

use dicom_dictionary_std::tags;
use rustls::ClientConfig;

use crate::association::Association;
use crate::message::{Command, Kind};
use crate::{Error, IMPLICIT_VR, VERIFICATION_CLASS};

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

/// The service in words.
const WHAT: &str = "verification";

/// Asks whether the peer accepts associations of this device (C-ECHO).
///
/// # Errors
/// [`Error::Connection`], [`Error::NotOffered`], [`Error::Refused`], [`Error::Unexpected`].
pub fn verify(node: &Node) -> Result<(), Error> {
    let contexts = [(VERIFICATION_CLASS, IMPLICIT_VR)];
    let mut association = Association::open(node, &contexts, WHAT)?;
    let context = association.context(VERIFICATION_CLASS, &[IMPLICIT_VR]);
    let context = context.ok_or_else(|| association.not_offered(WHAT))?;
    let request = Command::new(Kind::EchoRequest)
        .uid(tags::AFFECTED_SOP_CLASS_UID, VERIFICATION_CLASS)
        .us(tags::MESSAGE_ID, 1);
    association.send(context.id, request, None)?;
    let answer = association.answer(Kind::EchoResponse, "a response to C-ECHO")?;
    association.accept(&answer, "C-ECHO")?;
    association.close();
    Ok(())
}
