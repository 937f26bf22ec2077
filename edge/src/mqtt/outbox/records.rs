//! Announcements of records and of their deletion through the outbox.

use std::sync::Arc;

use medsa_wire::topic::Channel;
use medsa_wire::{RecordDeleted, RecordMessage};

use super::store::{Delivered, Outbox};
use crate::mqtt::messages::Messages;
use crate::port::{Announcements, Upload};

/// An outbox for announcements of records.
pub struct RecordOutbox {
    /// The outbox.
    pub outbox: Arc<Outbox>,
    /// Formats of the messages.
    pub messages: Messages,
}

impl Announcements for RecordOutbox {
    fn announce(&self, record: &RecordMessage) -> Result<(), String> {
        let messages = self.messages.confirmed(Channel::Record, record);
        let messages = messages.map_err(|error| error.to_string())?;
        self.outbox.put_named(&record.id, &messages).map(drop).map_err(|error| error.to_string())
    }

    fn withdraw(&self, record: &RecordDeleted) -> Result<(), String> {
        let messages = self.messages.confirmed(Channel::RecordDeleted, record);
        let messages = messages.map_err(|error| error.to_string())?;
        self.outbox
            .replace_named(&record.id, &messages)
            .map(drop)
            .map_err(|error| error.to_string())
    }

    fn is_sending(&self, id: &str) -> bool {
        // An outbox that cannot be read cannot be sent either.
        self.outbox.is_sending(id).unwrap_or(false)
    }

    fn upload(&self, id: &str) -> Upload {
        match self.outbox.delivered(id) {
            Ok(Delivered::Never) => Upload::None,
            Ok(Delivered::NotYet) => Upload::Waiting,
            Ok(Delivered::All) => Upload::Delivered,
            Err(_) => Upload::Unknown,
        }
    }

    fn waiting(&self) -> Option<u64> {
        self.outbox.len().ok()
    }
}
