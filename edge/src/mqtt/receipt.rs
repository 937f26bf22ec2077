//! The broker's answers to messages.

use tokio::sync::oneshot;

/// The message was not taken.
#[derive(Debug, thiserror::Error)]
#[error("there is no connection to the broker, or it is too slow for another message")]
pub struct NotQueued;

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
