//! The sending half of a link.

use std::time::Duration;

use tokio::sync::watch;

use super::connection::Requests;
use super::message::Message;
use super::receipt::{NotQueued, Receipt};

/// Time to the next look for room: the queue of a connection does not tell when it has some.
const ROOM: Duration = Duration::from_millis(10);

/// Sends through whatever connection a [`super::Link`] has at the moment.
#[derive(Clone)]
pub struct Client {
    pub(super) current: watch::Receiver<Option<Requests>>,
}

/// One connection: what is sent through it never goes out through the next.
pub struct Connection {
    requests: Requests,
    /// Its value has changed since `requests` was taken from it when the connection is lost.
    current: watch::Receiver<Option<Requests>>,
}

impl Connection {
    /// As [`Client::deliver`].
    ///
    /// # Errors
    /// [`NotQueued`].
    pub fn deliver(&self, message: Message) -> Result<Receipt, NotQueued> {
        self.requests.deliver(message)
    }

    /// Whether the connection has not been lost.
    pub fn is_up(&self) -> bool {
        matches!(self.current.has_changed(), Ok(false))
    }
}

/// The link has ended, so that no message will ever leave.
#[derive(Debug, thiserror::Error)]
#[error("the connection to the broker has been given up")]
pub struct LinkEnded;

impl Client {
    /// Publishes a message if there is a connection with room for it, and never waits.
    ///
    /// # Errors
    /// [`NotQueued`].
    pub fn try_publish(&self, message: Message) -> Result<(), NotQueued> {
        self.requests()?.publish(message).map(drop)
    }

    /// Publishes a message as soon as there is a connection with room for it.
    ///
    /// # Errors
    /// [`LinkEnded`].
    pub async fn publish(&self, message: Message) -> Result<(), LinkEnded> {
        loop {
            self.connection().await?;
            if self.try_publish(message.clone()).is_ok() {
                return Ok(());
            }
            tokio::time::sleep(ROOM).await;
        }
    }

    /// Publishes a message at QoS 1, if there is a connection with room for it, and tells what
    /// became of it.
    ///
    /// # Errors
    /// [`NotQueued`].
    pub fn deliver(&self, message: Message) -> Result<Receipt, NotQueued> {
        self.requests()?.deliver(message)
    }

    /// Subscribes to a filter at QoS 1.
    ///
    /// # Errors
    /// [`NotQueued`].
    pub fn subscribe(&self, filter: &str) -> Result<(), NotQueued> {
        self.requests()?.subscribe(filter)
    }

    /// Disconnects after what was sent before; the broker does not send the last will.
    ///
    /// # Errors
    /// [`NotQueued`].
    pub fn disconnect(&self) -> Result<(), NotQueued> {
        self.requests()?.disconnect()
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// [`LinkEnded`].
    pub async fn connection(&self) -> Result<Connection, LinkEnded> {
        let mut current = self.current.clone();
        if current.has_changed().is_err() {
            return Err(LinkEnded);
        }
        let requests = current.wait_for(Option::is_some).await.map_err(|_| LinkEnded)?.clone();
        let requests = requests.ok_or(LinkEnded)?;
        Ok(Connection { requests, current })
    }

    fn requests(&self) -> Result<Requests, NotQueued> {
        self.current.borrow().clone().ok_or(NotQueued)
    }
}
