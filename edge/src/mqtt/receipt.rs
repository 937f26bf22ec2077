//! Confirmations of the broker.

use tokio::sync::oneshot;

/// Error: the message was not queued.
#[derive(Debug, thiserror::Error)]
#[error("there is no connection to the broker, or it is too slow for another message")]
pub struct NotQueued;

/// Pending confirmation of one message.
#[derive(Debug)]
pub struct Receipt {
    answer: Option<Confirmation>,
    coming: oneshot::Receiver<Confirmation>,
}

/// Answer of the broker to a message.
pub(super) type Confirmation = Result<(), String>;

/// Reason why a message does not count as delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unconfirmed {
    /// The connection was lost before the broker confirmed the message; it may have arrived.
    #[error("the connection was lost before the broker confirmed the message")]
    ConnectionLost,
    /// The broker refused the message (MQTT 5 only; 3.1.1 brokers cannot).
    #[error("the broker refuses the message: {0}")]
    Refused(String),
}

impl Receipt {
    pub(super) fn new(coming: oneshot::Receiver<Confirmation>) -> Self {
        Self { answer: None, coming }
    }

    /// True if the broker has confirmed the message.
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
