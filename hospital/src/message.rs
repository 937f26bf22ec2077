//! Commands of DIMSE messages (PS3.7 chapter 9, 10 and annex E).

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use crate::elements::{Elements, Writer};

/// Kind of a command, as its field (0000,0100) states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    StoreRequest = 0x0001,
    StoreResponse = 0x8001,
    FindRequest = 0x0020,
    FindResponse = 0x8020,
    EchoRequest = 0x0030,
    EchoResponse = 0x8030,
    SetRequest = 0x0120,
    SetResponse = 0x8120,
    CreateRequest = 0x0140,
    CreateResponse = 0x8140,
    EventRequest = 0x0100,
    EventResponse = 0x8100,
    ActionRequest = 0x0130,
    ActionResponse = 0x8130,
}

/// Priority of requests: medium.
pub(crate) const MEDIUM: u16 = 0;

/// Value of CommandDataSetType: no data set follows.
const NO_DATA_SET: u16 = 0x0101;

/// Any other value: a data set follows.
const DATA_SET: u16 = 0x0000;

/// A command to send.
pub(crate) struct Command {
    kind: Kind,
    elements: Vec<(Tag, Value)>,
    has_data_set: bool,
}

enum Value {
    Uid(String),
    Us(u16),
}

impl Command {
    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind, elements: Vec::new(), has_data_set: false }
    }

    pub(crate) fn with_data_set(self) -> Self {
        Self { has_data_set: true, ..self }
    }

    pub(crate) fn uid(mut self, tag: Tag, uid: &str) -> Self {
        self.elements.push((tag, Value::Uid(uid.to_owned())));
        self
    }

    pub(crate) fn us(mut self, tag: Tag, number: u16) -> Self {
        self.elements.push((tag, Value::Us(number)));
        self
    }

    pub(crate) fn encode(self) -> Vec<u8> {
        let data_set = if self.has_data_set { DATA_SET } else { NO_DATA_SET };
        let mut elements = self.elements;
        elements.push((tags::COMMAND_FIELD, Value::Us(self.kind as u16)));
        elements.push((tags::COMMAND_DATA_SET_TYPE, Value::Us(data_set)));
        elements.sort_by_key(|(tag, _)| *tag);
        let body = elements.into_iter().fold(Writer::default(), |body, (tag, value)| match value {
            Value::Uid(uid) => body.uid(tag, &uid),
            Value::Us(number) => body.us(tag, number),
        });
        let body = body.into_bytes();
        // Invariant: a command has some hundred bytes.
        let length = (body.len() as u32).to_le_bytes();
        let mut bytes = Writer::default().value(tags::COMMAND_GROUP_LENGTH, &length).into_bytes();
        bytes.extend(body);
        bytes
    }
}

/// A received command.
pub(crate) struct Received {
    bytes: Vec<u8>,
}

impl Received {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    pub(crate) fn elements(&self) -> Elements<'_> {
        Elements::of(&self.bytes)
    }

    pub(crate) fn is(&self, kind: Kind) -> bool {
        self.elements().us(tags::COMMAND_FIELD) == Some(kind as u16)
    }

    pub(crate) fn has_data_set(&self) -> bool {
        self.elements().us(tags::COMMAND_DATA_SET_TYPE).is_some_and(|kind| kind != NO_DATA_SET)
    }

    pub(crate) fn message_id(&self) -> u16 {
        self.elements().us(tags::MESSAGE_ID).unwrap_or_default()
    }

    /// Status of a response; a missing one is a failure.
    pub(crate) fn status(&self) -> u16 {
        self.elements().us(tags::STATUS).unwrap_or(0xc000)
    }

    /// Comment on a failure, with a colon before it. Only printable characters of ASCII, since it
    /// goes to logs.
    pub(crate) fn comment(&self) -> String {
        let comment = self.elements().get(tags::ERROR_COMMENT).unwrap_or_default();
        let shown = |byte: &&u8| byte.is_ascii_graphic() || **byte == b' ';
        let comment: String =
            comment.iter().filter(shown).take(64).map(|&b| char::from(b)).collect();
        let comment = comment.trim();
        if comment.is_empty() { String::new() } else { format!(": {comment}") }
    }

    /// For errors.
    pub(crate) fn describe(&self) -> String {
        match self.elements().us(tags::COMMAND_FIELD) {
            Some(field) => format!("the command {field:04X}H"),
            None => "a message without a command".to_owned(),
        }
    }
}
