//! The sending half of a link.

use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::Message;
use super::connection::Requests;

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

/// The message was not taken.
#[derive(Debug, thiserror::Error)]
#[error("there is no connection to the broker, or it is too slow for another message")]
pub struct NotQueued;

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

/// The broker's answer to one message, when it comes.
#[derive(Debug)]
pub struct Receipt {
    answer: Option<Confirmation>,
    coming: oneshot::Receiver<Confirmation>,
}

/// What a broker answers to a message.
pub(super) type Confirmation = Result<(), String>;

/// Why a message does not count as delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unconfirmed {
    /// The connection was lost before the broker confirmed the message: whether it has it is not
    /// known.
    #[error("the connection was lost before the broker confirmed the message")]
    ConnectionLost,
    /// The broker does not take the message (MQTT 5 only; brokers of 3.1.1 cannot say so).
    #[error("the broker refuses the message: {0}")]
    Refused(String),
}

impl Receipt {
    pub(super) fn new(coming: oneshot::Receiver<Confirmation>) -> Self {
        Self { answer: None, coming }
    }

    /// Whether the broker has confirmed the message by now.
    pub fn is_confirmed(&mut self) -> bool {
        if self.answer.is_none() {
            self.answer = self.coming.try_recv().ok();
        }
        matches!(self.answer, Some(Ok(())))
    }

    /// Waits for the broker's answer.
    ///
    /// # Errors
    /// [`Unconfirmed`].
    pub async fn confirmed(self) -> Result<(), Unconfirmed> {
        let answer = match self.answer {
            Some(answer) => answer,
            None => self.coming.await.map_err(|_| Unconfirmed::ConnectionLost)?,
        };
        answer.map_err(Unconfirmed::Refused)
    }
}
