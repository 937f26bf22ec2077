//! Reports of storage commitment (N-EVENT-REPORT), which the peer sends over associations that it
//! opens itself.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use dicom_dictionary_std::tags;
use dicom_ul::association::server::{Negotiation, ServerAssociationOptions};
use dicom_ul::pdu::{PDataValue, PDataValueType, Pdu, RequestorRoles};

use crate::association::{MAX_MESSAGE_BYTES, causes};
use crate::elements::Elements;
use crate::message::{Command, Kind, Received};
use crate::{COMMITMENT_CLASS, Error, IMPLICIT_VR, VERIFICATION_CLASS};

/// Largest number of peers at the same time. An archive needs one; the others are strangers.
const MAX_PEERS: usize = 8;

/// Longest silence of a peer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Status: a message or its data set cannot be processed.
const PROCESSING_FAILURE: u16 = 0x0110;

/// Status: the service of the message is not offered.
const UNRECOGNIZED: u16 = 0x0211;

/// Answer of an archive to a request of storage commitment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// UID of the request.
    pub transaction: String,
    /// UIDs of the instances that the archive keeps.
    pub committed: Vec<String>,
    /// UIDs of the instances that it does not keep, with the reason (PS3.3 C.14.1.1).
    pub failed: Vec<(String, u16)>,
}

/// Receives reports, and answers verification (C-ECHO), until it is dropped.
pub struct Reports {
    address: SocketAddr,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Reports {
    /// Listens at an address. `receive` is called for each report, by threads of this; the archive
    /// sends a report again for which it returns false.
    ///
    /// # Errors
    /// [`Error::Listen`].
    pub fn listen(
        address: SocketAddr,
        ae_title: &str,
        receive: impl Fn(Report) -> bool + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Listen { address: address.to_string(), source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let ends = Arc::new(AtomicBool::new(false));
        let (shared, stop) = (Arc::new((ae_title.to_owned(), receive)), ends.clone());
        let serve = move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                // Held by each thread until it ends.
                if Arc::strong_count(&shared) > MAX_PEERS {
                    tracing::warn!("more than {MAX_PEERS} associations for reports of an archive");
                    continue;
                }
                let shared = shared.clone();
                let serve = move || {
                    let (ae_title, receive) = &*shared;
                    if let Err(reason) = serve(stream, ae_title, receive) {
                        tracing::warn!("association for reports of an archive: {reason}");
                    }
                };
                if let Err(error) = thread::Builder::new().name("report".into()).spawn(serve) {
                    tracing::warn!("association for reports of an archive: {error}");
                }
            }
        };
        let thread = thread::Builder::new().name("reports".into()).spawn(serve).map_err(failed)?;
        Ok(Self { address, ends, thread: Some(thread) })
    }

    /// The address, with the port that was chosen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        // Wakes the thread. Associations in progress end by themselves within the time limit.
        if let (Ok(_), Some(thread)) = (TcpStream::connect(self.address), self.thread.take()) {
            let _ = thread.join();
        }
    }
}

/// The archive takes the role of the provider, also where it is the requestor.
struct AnyRole;

impl Negotiation for AnyRole {
    fn negotiate_roles(&self, _: &str, scu: bool, scp: bool) -> Option<RequestorRoles> {
        Some(RequestorRoles { scu, scp })
    }
}

fn serve(
    stream: TcpStream,
    ae_title: &str,
    receive: &impl Fn(Report) -> bool,
) -> Result<(), String> {
    let failed = |error: dicom_ul::association::Error| causes(&error);
    stream.set_nodelay(true).map_err(|error: io::Error| error.to_string())?;
    let mut association = ServerAssociationOptions::new()
        .accept_called_ae_title()
        .ae_title(ae_title.to_owned())
        .with_abstract_syntax(COMMITMENT_CLASS)
        .with_abstract_syntax(VERIFICATION_CLASS)
        .with_transfer_syntax(IMPLICIT_VR)
        .read_timeout(TIMEOUT)
        .write_timeout(TIMEOUT)
        .with_negotiation(AnyRole)
        .establish(stream)
        .map_err(failed)?;
    let mut message = Message::default();
    loop {
        match association.receive().map_err(failed)? {
            Pdu::PData { data } => {
                for value in data {
                    if let Some((context, answer)) = message.add(value, receive)? {
                        let value = PDataValue {
                            presentation_context_id: context,
                            value_type: PDataValueType::Command,
                            is_last: true,
                            data: answer.encode(),
                        };
                        association.send(&Pdu::PData { data: vec![value] }).map_err(failed)?;
                    }
                }
            }
            Pdu::ReleaseRQ => return association.send(&Pdu::ReleaseRP).map_err(failed),
            Pdu::AbortRQ { .. } => return Ok(()),
            other => return Err(format!("{} was not expected", other.short_description())),
        }
    }
}

/// A message of which parts have arrived.
#[derive(Default)]
struct Message {
    command: Vec<u8>,
    is_command_whole: bool,
    data_set: Vec<u8>,
}

impl Message {
    /// Adds a part; returns context and answer when the message is whole.
    fn add(
        &mut self,
        value: PDataValue,
        receive: &impl Fn(Report) -> bool,
    ) -> Result<Option<(u8, Command)>, String> {
        let part = match value.value_type {
            PDataValueType::Command => &mut self.command,
            PDataValueType::Data => &mut self.data_set,
        };
        if part.len() + value.data.len() > MAX_MESSAGE_BYTES {
            return Err(format!("a message of more than {MAX_MESSAGE_BYTES} bytes"));
        }
        part.extend(value.data);
        if !value.is_last {
            return Ok(None);
        }
        self.is_command_whole |= value.value_type == PDataValueType::Command;
        let command = Received::new(self.command.clone());
        let has_all = value.value_type == PDataValueType::Data || !command.has_data_set();
        if !(self.is_command_whole && has_all) {
            return Ok(None);
        }
        let whole = std::mem::take(self);
        Ok(Some((value.presentation_context_id, answer(&command, &whole.data_set, receive))))
    }
}

fn answer(command: &Received, data_set: &[u8], receive: &impl Fn(Report) -> bool) -> Command {
    let id = command.message_id();
    if command.is(Kind::EchoRequest) {
        return Command::new(Kind::EchoResponse)
            .uid(tags::AFFECTED_SOP_CLASS_UID, VERIFICATION_CLASS)
            .us(tags::MESSAGE_ID_BEING_RESPONDED_TO, id)
            .us(tags::STATUS, 0);
    }
    let is_report = command.is(Kind::EventRequest)
        && command.elements().uid(tags::AFFECTED_SOP_CLASS_UID) == Some(COMMITMENT_CLASS);
    let status = if !is_report {
        UNRECOGNIZED
    } else if report(data_set).is_some_and(receive) {
        0
    } else {
        PROCESSING_FAILURE
    };
    let event = command.elements().us(tags::EVENT_TYPE_ID).unwrap_or_default();
    Command::new(Kind::EventResponse)
        .uid(tags::AFFECTED_SOP_CLASS_UID, COMMITMENT_CLASS)
        .us(tags::MESSAGE_ID_BEING_RESPONDED_TO, id)
        .us(tags::STATUS, status)
        .uid(tags::AFFECTED_SOP_INSTANCE_UID, crate::commitment::COMMITMENT_INSTANCE)
        .us(tags::EVENT_TYPE_ID, event)
}

/// The report in a data set; `None` without a transaction.
fn report(data_set: &[u8]) -> Option<Report> {
    let data_set = Elements::of(data_set);
    let uid = |item: &Elements<'_>| item.uid(tags::REFERENCED_SOP_INSTANCE_UID).map(str::to_owned);
    Some(Report {
        transaction: data_set.uid(tags::TRANSACTION_UID)?.to_owned(),
        committed: data_set.items(tags::REFERENCED_SOP_SEQUENCE).iter().filter_map(uid).collect(),
        failed: data_set
            .items(tags::FAILED_SOP_SEQUENCE)
            .iter()
            .filter_map(|item| {
                Some((uid(item)?, item.us(tags::FAILURE_REASON).unwrap_or_default()))
            })
            .collect(),
    })
}
