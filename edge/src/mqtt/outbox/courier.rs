//! Delivery of the outbox to the broker.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use super::store::Outbox;
use crate::mqtt::client::{Client, Connection, LinkEnded};
use crate::mqtt::error::Error;
use crate::mqtt::message::Message;
use crate::mqtt::receipt::{Receipt, Unconfirmed};

/// Largest number of unconfirmed messages. Brokers allow 20 by default.
const IN_FLIGHT: usize = 8;

/// Time between two checks for room in the queue of the connection, which does not signal it.
const ROOM: Duration = Duration::from_millis(20);

/// Time until the next attempt after the disk failed or the broker refused a message; an
/// administrator has to repair that.
const TROUBLE: Duration = Duration::from_secs(10);

/// Delivers messages of an outbox to the broker while there is a connection.
#[derive(Clone)]
pub struct Courier {
    /// Outbox to deliver.
    pub outbox: Arc<Outbox>,
    /// Connection to the broker.
    pub client: Client,
}

/// Reason why delivery was interrupted.
enum Interruption {
    LinkEnded,
    ConnectionLost,
    Refused(String),
    Disk(Error),
}

impl Courier {
    /// Delivers until the link ends. Messages not confirmed when this is dropped stay in the
    /// outbox.
    pub async fn run(self) {
        loop {
            let Err(interruption) = self.carry().await;
            match interruption {
                Interruption::LinkEnded => return,
                // Delivery on the next connection starts with the oldest message.
                Interruption::ConnectionLost => {}
                Interruption::Refused(reason) => {
                    tracing::error!(
                        "the broker refuses a message of the outbox: {reason}; it and all later \
                         messages stay in the outbox; next attempt in {} s",
                        TROUBLE.as_secs()
                    );
                    tokio::time::sleep(TROUBLE).await;
                }
                Interruption::Disk(error) => {
                    tracing::error!("{error}; next attempt in {} s", TROUBLE.as_secs());
                    tokio::time::sleep(TROUBLE).await;
                }
            }
        }
    }

    /// Sends all messages from the oldest on, then new ones, until an error occurs.
    async fn carry(&self) -> Result<Infallible, Interruption> {
        // All go through one connection: on the next one, a message could overtake earlier ones
        // that the first connection took and lost.
        let connection = self.client.connection().await?;
        let handing = self.outbox.handing();
        let mut in_flight = VecDeque::new();
        let mut next = 0;
        let mut delivered = 0;
        loop {
            let room = IN_FLIGHT - in_flight.len();
            for (number, message) in self.read(next, room).await? {
                handing.begin(number);
                in_flight.push_back((number, send(&connection, &message).await?));
                next = number + 1;
            }
            match in_flight.pop_front() {
                Some((number, receipt)) => {
                    receipt.confirmed().await?;
                    let numbers = confirmed(number, &mut in_flight);
                    delivered += numbers.len();
                    self.delete(numbers).await?;
                }
                None => {
                    if delivered > 0 {
                        tracing::info!("the outbox is empty: {delivered} messages were confirmed");
                    }
                    delivered = 0;
                    self.outbox.filled().await;
                }
            }
        }
    }

    async fn read(&self, from: u64, count: usize) -> Result<Vec<(u64, Message)>, Interruption> {
        let outbox = self.outbox.clone();
        on_disk(move || outbox.read(from, count)).await
    }

    async fn delete(&self, numbers: Vec<u64>) -> Result<(), Interruption> {
        let outbox = self.outbox.clone();
        on_disk(move || outbox.delete(&numbers)).await
    }
}

async fn send(connection: &Connection, message: &Message) -> Result<Receipt, Interruption> {
    loop {
        if let Ok(receipt) = connection.deliver(message.clone()) {
            return Ok(receipt);
        }
        if !connection.is_up() {
            return Err(Interruption::ConnectionLost);
        }
        tokio::time::sleep(ROOM).await;
    }
}

/// `first` and the messages confirmed after it so far, to delete in one transaction.
fn confirmed(first: u64, in_flight: &mut VecDeque<(u64, Receipt)>) -> Vec<u64> {
    let mut numbers = vec![first];
    while let Some((number, receipt)) = in_flight.front_mut() {
        if !receipt.is_confirmed() {
            break;
        }
        numbers.push(*number);
        in_flight.pop_front();
    }
    numbers
}

/// Runs disk work outside the threads of the asynchronous runtime.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Interruption> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(Interruption::Disk),
        // The runtime is shutting down.
        Err(_) => Err(Interruption::LinkEnded),
    }
}

impl From<LinkEnded> for Interruption {
    fn from(_: LinkEnded) -> Self {
        Self::LinkEnded
    }
}

impl From<Unconfirmed> for Interruption {
    fn from(unconfirmed: Unconfirmed) -> Self {
        match unconfirmed {
            Unconfirmed::ConnectionLost => Self::ConnectionLost,
            Unconfirmed::Refused(reason) => Self::Refused(reason),
        }
    }
}
