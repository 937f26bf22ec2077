//! Database of an outbox.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, Table, TableDefinition,
};
use tokio::sync::Notify;

use super::open;
use crate::config::MAX_PACKET_BYTES;
use crate::mqtt::error::Error;
use crate::mqtt::message::{Delivery, Message, Properties, Retention};

/// Topic and payload, by message number.
const MESSAGES: TableDefinition<u64, (&str, &[u8])> = TableDefinition::new("messages");

/// Range of the message numbers stored under a name: the first, and the one after the last.
/// Entries outlive their messages.
const NAMED: TableDefinition<&str, (u64, u64)> = TableDefinition::new("named");

/// Version of the format, under the key `()`. Files from before version 1 have no such table and
/// otherwise the format of version 1.
const FORMAT: TableDefinition<(), u32> = TableDefinition::new("format");

/// Format version that this program writes, and the newest that it reads. Changes that older
/// programs can ignore, such as another table, do not change it.
const NEWEST_FORMAT: u32 = 1;

/// Largest number of names kept, besides those with waiting messages. The oldest are removed;
/// [`Outbox::delivered`] then returns [`Delivered::Never`] for them.
pub const MAX_NAMES: u64 = 1024;

/// Next message number, under the key `()`, so that no number is used twice.
const NEXT: TableDefinition<(), u64> = TableDefinition::new("next");

/// Largest size of topic and payload together, in bytes; the rest of a packet needs less than
/// 1 KiB.
pub const MAX_MESSAGE_BYTES: usize = MAX_PACKET_BYTES - 1024;

/// Delivery state of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// No messages were stored under this name.
    Never,
    /// At least one message waits for the broker.
    NotYet,
    /// The broker has confirmed all of them.
    All,
}

/// Database of messages that wait for the broker.
pub struct Outbox {
    path: PathBuf,
    database: Database,
    max_messages: u64,
    max_names: u64,
    /// Messages with lower numbers were handed to the present connection; 0 without one.
    handed: AtomicU64,
    filled: Notify,
    emptied: Notify,
}

impl Outbox {
    /// Opens or creates an outbox for at most `max_messages`.
    ///
    /// A damaged file is moved aside and replaced by an empty one, with an error in the log: a
    /// device that refused to start because of old messages could not capture new ones.
    ///
    /// # Errors
    /// [`Error::Outbox`] if the file cannot be read or written, is in use by another process or
    /// has a newer format.
    pub fn open(path: &Path, max_messages: u64) -> Result<Self, Error> {
        let database = open::open(path)?;
        let (filled, emptied) = (Notify::new(), Notify::new());
        let (path, max_names) = (path.to_owned(), MAX_NAMES);
        let handed = AtomicU64::new(0);
        let outbox = Self { path, database, max_messages, max_names, handed, filled, emptied };
        let format = outbox.create_tables().map_err(|error| outbox.error(&error))?;
        if format > NEWEST_FORMAT {
            return Err(outbox.newer_format(format));
        }
        Ok(outbox)
    }

    /// Checks that [`Outbox::open`] would find or create a sound file at `path`, without changing
    /// anything. A file in use counts as sound.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Outbox`].
    pub fn check(path: &Path) -> Result<(), Error> {
        open::check(path)
    }

    /// Stores messages, all or none; they are on the disk when this returns. Their numbers
    /// increase.
    ///
    /// Blocks while waiting for the disk; do not call it on a thread of the asynchronous runtime.
    ///
    /// # Errors
    /// [`Error::OutboxFull`], [`Error::OutboxMessage`] for one that exceeds a packet, and
    /// [`Error::Outbox`].
    pub fn put(&self, messages: &[Message]) -> Result<Range<u64>, Error> {
        self.put_as(None, None, messages)
    }

    /// Like [`Outbox::put`], under a name for [`Outbox::delivered`].
    ///
    /// # Errors
    /// As [`Outbox::put`].
    pub fn put_named(&self, name: &str, messages: &[Message]) -> Result<Range<u64>, Error> {
        self.put_as(None, Some(name), messages)
    }

    /// Like [`Outbox::put`], and removes the messages stored under a name that still wait. If one of
    /// them is on its way, the new messages follow it.
    ///
    /// # Errors
    /// As [`Outbox::put`].
    pub fn replace_named(&self, name: &str, messages: &[Message]) -> Result<Range<u64>, Error> {
        self.put_as(Some(name), None, messages)
    }

    /// True while a message stored under a name is on its way to the broker, which has not
    /// confirmed it yet.
    ///
    /// # Errors
    /// [`Error::Outbox`].
    pub fn is_sending(&self, name: &str) -> Result<bool, Error> {
        let handed = self.handed.load(Ordering::Acquire);
        let look = || -> Result<bool, redb::Error> {
            let transaction = self.database.begin_read()?;
            let named = transaction.open_table(NAMED)?.get(name)?.map(|numbers| numbers.value());
            let Some((first, end)) = named else { return Ok(false) };
            let end = end.min(handed).max(first);
            Ok(transaction.open_table(MESSAGES)?.range(first..end)?.next().is_some())
        };
        look().map_err(|error| self.error(&error))
    }

    /// A connection that messages are handed to.
    pub(super) fn handing(&self) -> Handing<'_> {
        Handing(self)
    }

    /// Delivery state of the messages stored under a name.
    ///
    /// # Errors
    /// [`Error::Outbox`].
    pub fn delivered(&self, name: &str) -> Result<Delivered, Error> {
        let look = || -> Result<Delivered, redb::Error> {
            let transaction = self.database.begin_read()?;
            let named = transaction.open_table(NAMED)?.get(name)?.map(|numbers| numbers.value());
            let Some((first, end)) = named else { return Ok(Delivered::Never) };
            let waiting = transaction.open_table(MESSAGES)?.range(first..end)?.next().is_some();
            Ok(if waiting { Delivered::NotYet } else { Delivered::All })
        };
        look().map_err(|error| self.error(&error))
    }

    fn put_as(
        &self,
        withdrawn: Option<&str>,
        name: Option<&str>,
        messages: &[Message],
    ) -> Result<Range<u64>, Error> {
        if let Some(message) = messages.iter().find(|message| bytes(message) > MAX_MESSAGE_BYTES) {
            return Err(Error::OutboxMessage {
                topic: message.topic.clone(),
                found: bytes(message),
                limit: MAX_MESSAGE_BYTES,
            });
        }
        let numbers = self.insert(withdrawn, name, messages).map_err(|error| self.error(&error))?;
        let full = || Error::OutboxFull { path: self.path.clone(), limit: self.max_messages };
        let numbers = numbers.ok_or_else(full)?;
        self.filled.notify_one();
        Ok(numbers)
    }

    /// Number of waiting messages.
    ///
    /// # Errors
    /// [`Error::Outbox`].
    pub fn len(&self) -> Result<u64, Error> {
        let count = || -> Result<u64, redb::Error> {
            Ok(self.database.begin_read()?.open_table(MESSAGES)?.len()?)
        };
        count().map_err(|error| self.error(&error))
    }

    /// True if no message waits.
    ///
    /// # Errors
    /// [`Error::Outbox`].
    pub fn is_empty(&self) -> Result<bool, Error> {
        self.len().map(|count| count == 0)
    }

    /// Waits until no message waits for the broker.
    ///
    /// # Errors
    /// [`Error::Outbox`].
    pub async fn drained(&self) -> Result<(), Error> {
        loop {
            let emptied = self.emptied.notified();
            if self.is_empty()? {
                return Ok(());
            }
            emptied.await;
        }
    }

    /// Waits until messages were stored since the last call.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Up to `count` messages from number `from` on, oldest first.
    pub(super) fn read(&self, from: u64, count: usize) -> Result<Vec<(u64, Message)>, Error> {
        let read = || -> Result<Vec<_>, redb::Error> {
            let messages = self.database.begin_read()?.open_table(MESSAGES)?;
            let mut found = Vec::new();
            for entry in messages.range(from..)?.take(count) {
                let (number, message) = entry?;
                let (topic, payload) = message.value();
                let message = Message {
                    properties: Properties::of_topic(topic),
                    topic: topic.to_owned(),
                    payload: Bytes::copy_from_slice(payload),
                    retention: Retention::Passing,
                    delivery: Delivery::AtLeastOnce,
                };
                found.push((number.value(), message));
            }
            Ok(found)
        };
        read().map_err(|error| self.error(&error))
    }

    /// Deletes messages; unknown numbers are ignored.
    pub(super) fn delete(&self, numbers: &[u64]) -> Result<(), Error> {
        let delete = || -> Result<(), redb::Error> {
            let transaction = self.database.begin_write()?;
            let mut messages = transaction.open_table(MESSAGES)?;
            for number in numbers {
                messages.remove(number)?;
            }
            drop(messages);
            Ok(transaction.commit()?)
        };
        delete().map_err(|error| self.error(&error))?;
        self.emptied.notify_waiters();
        Ok(())
    }

    /// Stores messages in place of withdrawn ones and returns their numbers; `None` if there is no
    /// room.
    fn insert(
        &self,
        withdrawn: Option<&str>,
        name: Option<&str>,
        new: &[Message],
    ) -> Result<Option<Range<u64>>, redb::Error> {
        let transaction = self.database.begin_write()?;
        let mut messages = transaction.open_table(MESSAGES)?;
        let mut named = transaction.open_table(NAMED)?;
        if let Some(withdrawn) = withdrawn {
            let numbers = named.remove(withdrawn)?.map(|numbers| numbers.value());
            for number in numbers.map_or(0..0, |(first, end)| first..end) {
                messages.remove(number)?;
            }
        }
        if messages.len()? + new.len() as u64 > self.max_messages {
            return Ok(None);
        }
        let mut next = transaction.open_table(NEXT)?;
        let first = next.get(())?.map_or(0, |number| number.value());
        let mut end = first;
        for Message { topic, payload, .. } in new {
            messages.insert(end, (topic.as_str(), &payload[..]))?;
            end += 1;
        }
        next.insert((), end)?;
        if let Some(name) = name {
            named.insert(name, (first, end))?;
            forget_oldest(&mut named, &messages, self.max_names)?;
        }
        drop((messages, next, named));
        transaction.commit()?;
        Ok(Some(first..end))
    }

    /// Creates missing tables and returns the format version of the file.
    fn create_tables(&self) -> Result<u32, redb::Error> {
        let transaction = self.database.begin_write()?;
        let mut format = transaction.open_table(FORMAT)?;
        let found = format.get(())?.map(|number| number.value());
        if let Some(found) = found.filter(|found| *found > NEWEST_FORMAT) {
            // A newer file is not changed.
            return Ok(found);
        }
        format.insert((), NEWEST_FORMAT)?;
        drop(format);
        transaction.open_table(MESSAGES)?;
        transaction.open_table(NEXT)?;
        transaction.open_table(NAMED)?;
        transaction.commit()?;
        Ok(NEWEST_FORMAT)
    }

    fn newer_format(&self, found: u32) -> Error {
        let reason = format!(
            "format {found} is newer than this program supports ({NEWEST_FORMAT}): install a \
             newer medsa-edge, or move the file elsewhere; nothing in it was changed"
        );
        Error::Outbox { path: self.path.clone(), reason }
    }

    fn error(&self, error: &redb::Error) -> Error {
        Error::Outbox { path: self.path.clone(), reason: error.to_string() }
    }
}

/// A connection that messages are handed to, in the order of their numbers.
pub(super) struct Handing<'a>(&'a Outbox);

impl Handing<'_> {
    /// Notes that the message of this number is about to be handed over.
    pub(super) fn begin(&self, number: u64) {
        self.0.handed.store(number + 1, Ordering::Release);
    }
}

impl Drop for Handing<'_> {
    fn drop(&mut self) {
        self.0.handed.store(0, Ordering::Release);
    }
}

fn bytes(message: &Message) -> usize {
    message.topic.len() + message.payload.len()
}

/// Removes the oldest names whose messages were delivered, if there are more than `max` names.
fn forget_oldest(
    named: &mut Table<&str, (u64, u64)>,
    messages: &Table<u64, (&str, &[u8])>,
    max: u64,
) -> Result<(), redb::Error> {
    let excess = named.len()?.saturating_sub(max);
    if excess == 0 {
        return Ok(());
    }
    let mut delivered = Vec::new();
    for entry in named.iter()? {
        let (name, numbers) = entry?;
        let (first, end) = numbers.value();
        if messages.range(first..end)?.next().is_none() {
            delivered.push((first, name.value().to_owned()));
        }
    }
    delivered.sort_unstable();
    for (_, name) in delivered.iter().take(excess as usize) {
        named.remove(name.as_str())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
