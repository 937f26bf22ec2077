//! From the outbox to the broker.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use super::store::Outbox;
use crate::mqtt::client::{Client, Connection, LinkEnded};
use crate::mqtt::error::Error;
use crate::mqtt::message::Message;
use crate::mqtt::receipt::{Receipt, Unconfirmed};

/// Messages that wait for their confirmation at most. Brokers allow 20 without being asked.
const IN_FLIGHT: usize = 8;

/// Time to the next look for room in the queue of the connection, which does not tell.
const ROOM: Duration = Duration::from_millis(20);

/// Time to the next attempt after the disk failed or the broker refused a message: who repairs
/// that is a human.
const TROUBLE: Duration = Duration::from_secs(10);

/// Carries messages from an outbox to the broker whenever there is a connection.
#[derive(Clone)]
pub struct Courier {
    /// Where the messages come from.
    pub outbox: Arc<Outbox>,
    /// Where they go.
    pub client: Client,
}

/// Why a round ended before the link did.
enum Interruption {
    LinkEnded,
    ConnectionLost,
    Refused(String),
    Disk(Error),
}

impl Courier {
    /// Carries until the link has ended. What it had not confirmed when it is dropped stays in the
    /// outbox.
    pub async fn run(self) {
        loop {
            let Err(interruption) = self.carry().await;
            match interruption {
                Interruption::LinkEnded => return,
                // The next connection begins with the oldest message again.
                Interruption::ConnectionLost => {}
                Interruption::Refused(reason) => {
                    tracing::error!(
                        "the broker refuses a message of the outbox: {reason}; it is kept, and \
                         with it all behind it; next attempt in {} s",
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

    /// Sends everything from the oldest message on, and then what comes, until something is wrong.
    async fn carry(&self) -> Result<Infallible, Interruption> {
        // All of a round goes through one connection: through the next, a message would overtake
        // those that the first took and lost.
        let connection = self.client.connection().await?;
        let mut in_flight = VecDeque::new();
        let mut next = 0;
        let mut delivered = 0;
        loop {
            let room = IN_FLIGHT - in_flight.len();
            for (number, message) in self.read(next, room).await? {
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
                        tracing::info!("the outbox is empty: {delivered} messages are confirmed");
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

/// `first`, and what was confirmed after it by now: one transaction for all.
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

/// Runs what waits for the disk, beside the threads that wait for the network.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Interruption> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(Interruption::Disk),
        // The runtime ends, and everything with it.
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
