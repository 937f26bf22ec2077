//! An association with a peer, as its client.

use std::collections::VecDeque;
use std::net::TcpStream;

use dicom_ul::association::client::TlsStream;
use dicom_ul::pdu::{
    PDataValue, PDataValueType, Pdu, PresentationContextNegotiated, PresentationContextResultReason,
};
use dicom_ul::{ClientAssociation, ClientAssociationOptions};

use crate::message::{Command, Kind, Received};
use crate::{Error, Node};

/// Largest command, and largest data set, that are received, in bytes.
pub(crate) const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// Overhead of a data value in a PDU, in bytes.
const VALUE_HEADER_BYTES: u32 = 12;

/// Largest part of a data set in one PDU, in bytes.
const MAX_PART_BYTES: u32 = 1 << 16;

/// An accepted presentation context.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) id: u8,
    pub(crate) transfer_syntax: String,
}

/// An open association. Without [`Association::close`], the connection just ends.
pub(crate) struct Association {
    inner: Inner,
    node: String,
    part_bytes: usize,
    /// Values that were received with those before them.
    values: VecDeque<PDataValue>,
}

enum Inner {
    Plain(ClientAssociation<TcpStream>),
    Tls(Box<ClientAssociation<TlsStream>>),
}

impl Association {
    /// Connects, and proposes a presentation context for each class and transfer syntax. `what` names
    /// them in an error.
    ///
    /// # Errors
    /// [`Error::Connection`], [`Error::NotOffered`] if the peer accepts none of them.
    pub(crate) fn open(node: &Node, contexts: &[(&str, &str)], what: &str) -> Result<Self, Error> {
        let mut options = ClientAssociationOptions::new()
            .calling_ae_title(node.calling.clone())
            .called_ae_title(node.called.clone())
            .connection_timeout(node.timeout)
            .read_timeout(node.timeout)
            .write_timeout(node.timeout)
            // Some peers exceed what they have agreed to.
            .strict(false);
        for (class, transfer_syntax) in contexts {
            options = options.with_presentation_context(*class, vec![*transfer_syntax]);
        }
        let failed = |error| match error {
            dicom_ul::association::Error::NoAcceptedPresentationContexts { .. } => {
                Error::NotOffered { node: node.name(), what: what.to_owned() }
            }
            error => Error::Connection { node: node.name(), reason: causes(&error) },
        };
        let inner = match &node.tls {
            None => Inner::Plain(options.establish(&*node.address).map_err(failed)?),
            Some(tls) => {
                let options = options.tls_config(tls.config.clone()).server_name(&tls.server_name);
                Inner::Tls(Box::new(options.establish_tls(&*node.address).map_err(failed)?))
            }
        };
        let longest = match &inner {
            Inner::Plain(association) => association.acceptor_max_pdu_length(),
            Inner::Tls(association) => association.acceptor_max_pdu_length(),
        };
        let part_bytes = longest.saturating_sub(VALUE_HEADER_BYTES).clamp(256, MAX_PART_BYTES);
        Ok(Self {
            inner,
            node: node.name(),
            part_bytes: part_bytes as usize & !1,
            values: VecDeque::new(),
        })
    }

    /// The context for a class with the first of these transfer syntaxes that the peer accepted.
    pub(crate) fn context(&self, class: &str, transfer_syntaxes: &[&str]) -> Option<Context> {
        let accepted = |context: &&PresentationContextNegotiated| {
            context.reason == PresentationContextResultReason::Acceptance
                && context.abstract_syntax == class
        };
        transfer_syntaxes.iter().find_map(|syntax| {
            let mut accepted = self.contexts().iter().filter(accepted);
            let found = accepted.find(|context| context.transfer_syntax == *syntax)?;
            Some(Context { id: found.id, transfer_syntax: found.transfer_syntax.clone() })
        })
    }

    pub(crate) fn not_offered(&self, what: &str) -> Error {
        Error::NotOffered { node: self.node.clone(), what: what.to_owned() }
    }

    /// Sends a command with its data set.
    pub(crate) fn send(
        &mut self,
        context: u8,
        command: Command,
        data_set: Option<&[u8]>,
    ) -> Result<(), Error> {
        let command = if data_set.is_some() { command.with_data_set() } else { command };
        self.send_part(context, PDataValueType::Command, &command.encode(), true)?;
        let Some(data_set) = data_set else { return Ok(()) };
        let mut parts = data_set.chunks(self.part_bytes).peekable();
        while let Some(part) = parts.next() {
            self.send_part(context, PDataValueType::Data, part, parts.peek().is_none())?;
        }
        Ok(())
    }

    /// Receives a response; its data set, which services without one do not send, is left to
    /// [`Association::data_set`].
    pub(crate) fn answer(&mut self, kind: Kind, expected: &'static str) -> Result<Received, Error> {
        let received = Received::new(self.receive(PDataValueType::Command, expected)?);
        if received.is(kind) {
            return Ok(received);
        }
        Err(self.unexpected(received.describe(), expected))
    }

    /// Receives the data set of a response.
    pub(crate) fn data_set(&mut self, expected: &'static str) -> Result<Vec<u8>, Error> {
        self.receive(PDataValueType::Data, expected)
    }

    fn receive(&mut self, kind: PDataValueType, expected: &'static str) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        loop {
            let value = self.next_value(expected)?;
            if value.value_type != kind {
                let found = match value.value_type {
                    PDataValueType::Command => "a command",
                    PDataValueType::Data => "a data set",
                };
                return Err(self.unexpected(found.to_owned(), expected));
            }
            if bytes.len() + value.data.len() > MAX_MESSAGE_BYTES {
                return Err(self.unexpected("a message of more than 1 MiB".into(), expected));
            }
            bytes.extend(value.data);
            if value.is_last {
                return Ok(bytes);
            }
        }
    }

    fn next_value(&mut self, expected: &'static str) -> Result<PDataValue, Error> {
        loop {
            if let Some(value) = self.values.pop_front() {
                return Ok(value);
            }
            let pdu = match &mut self.inner {
                Inner::Plain(association) => association.receive(),
                Inner::Tls(association) => association.receive(),
            };
            let pdu = pdu.map_err(|error| self.lost(&error))?;
            let Pdu::PData { data } = pdu else {
                return Err(self.unexpected(pdu.short_description().to_string(), expected));
            };
            self.values.extend(data);
        }
    }

    /// Refuses a response whose status is a failure.
    pub(crate) fn accept(&self, answer: &Received, request: &str) -> Result<(), Error> {
        match answer.status() {
            0 => Ok(()),
            status => Err(self.refused(answer, request, status)),
        }
    }

    pub(crate) fn refused(&self, answer: &Received, request: &str, status: u16) -> Error {
        let (node, request) = (self.node.clone(), request.to_owned());
        Error::Refused { node, request, status, comment: answer.comment() }
    }

    /// Releases the association. Everything has been answered, so a failure means nothing.
    pub(crate) fn close(self) {
        let closed = match self.inner {
            Inner::Plain(association) => association.release(),
            Inner::Tls(association) => association.release(),
        };
        if let Err(error) = closed {
            tracing::debug!("{}: the association was not released: {}", self.node, causes(&error));
        }
    }

    fn contexts(&self) -> &[PresentationContextNegotiated] {
        match &self.inner {
            Inner::Plain(association) => association.presentation_contexts(),
            Inner::Tls(association) => association.presentation_contexts(),
        }
    }

    fn send_part(
        &mut self,
        context: u8,
        kind: PDataValueType,
        part: &[u8],
        is_last: bool,
    ) -> Result<(), Error> {
        let value = PDataValue {
            presentation_context_id: context,
            value_type: kind,
            is_last,
            data: part.to_vec(),
        };
        let pdu = Pdu::PData { data: vec![value] };
        let sent = match &mut self.inner {
            Inner::Plain(association) => association.send(&pdu),
            Inner::Tls(association) => association.send(&pdu),
        };
        sent.map_err(|error| self.lost(&error))
    }

    fn lost(&self, error: &dicom_ul::association::Error) -> Error {
        Error::Connection { node: self.node.clone(), reason: causes(error) }
    }

    fn unexpected(&self, found: String, expected: &'static str) -> Error {
        Error::Unexpected { node: self.node.clone(), found, expected }
    }
}

/// An error with its causes, without backtraces.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
