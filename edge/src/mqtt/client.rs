//! Sending half of a link.

use std::time::Duration;

use tokio::sync::watch;

use super::connection::Requests;
use super::message::Message;
use super::receipt::{NotQueued, Receipt};

/// Time between two checks for room; the queue of a connection does not signal it.
const ROOM: Duration = Duration::from_millis(10);

/// Sends through the present connection of a [`super::Link`].
#[derive(Clone)]
pub struct Client {
    pub(super) current: watch::Receiver<Option<Requests>>,
}

/// One connection. Messages sent through it never go out through the next one.
pub struct Connection {
    requests: Requests,
    /// Has changed since `requests` was taken from it if the connection was lost.
    current: watch::Receiver<Option<Requests>>,
}

impl Connection {
    /// Like [`Client::deliver`].
    ///
    /// # Errors
    /// [`NotQueued`].
    pub fn deliver(&self, message: Message) -> Result<Receipt, NotQueued> {
        self.requests.deliver(message)
    }

    /// True until the connection is lost.
    pub fn is_up(&self) -> bool {
        matches!(self.current.has_changed(), Ok(false))
    }
}

/// Error: the link has ended, so the message will never be sent.
#[derive(Debug, thiserror::Error)]
#[error("the connection to the broker has been closed")]
pub struct LinkEnded;

impl Client {
    /// Publishes a message if there is a connection with room for it; never waits.
    ///
    /// # Errors
    /// [`NotQueued`].
    pub fn try_publish(&self, message: Message) -> Result<(), NotQueued> {
        self.requests()?.publish(message).map(drop)
    }

    /// Publishes a message, after waiting for a connection with room for it.
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

    /// Publishes a message at QoS 1 if there is a connection with room for it, and returns a
    /// receipt for the broker's confirmation.
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

    /// Disconnects after all earlier messages were sent; the broker does not publish the last will.
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
