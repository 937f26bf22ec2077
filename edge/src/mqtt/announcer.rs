//! The task that publishes the retained messages `info` and `status` when they change.

use std::sync::Arc;
use std::time::Duration;

use medsa_engine::Engine;
use medsa_wire::topic::Channel;
use tokio::sync::watch;
use tokio::time::sleep;

use super::client::Client;
use super::message::Message;
use super::messages::Messages;
use crate::port::{LinkState, Network, Observer, change, info};

/// Shortest time between two announcements; only the newest of several changes is published.
const INTERVAL: Duration = Duration::from_millis(250);

/// Publishes changes of the device's state while connected. On every new connection the session
/// publishes `Announcer::all`.
#[derive(Clone)]
pub struct Announcer {
    /// Name of the board.
    pub board: heapless::String<32>,
    /// Connection to the broker.
    pub client: Client,
    /// Formats of the messages.
    pub messages: Messages,
    /// Network in use.
    pub networks: watch::Receiver<Arc<Network<Engine>>>,
    /// State of the device.
    pub observer: Observer,
}

impl Announcer {
    /// All retained messages, with their present content.
    pub(super) fn all(&self) -> Result<Vec<Message>, String> {
        Ok([self.info()?, self.status()?].concat())
    }

    /// Runs until it is aborted.
    pub async fn run(mut self) {
        loop {
            let announcement: fn(&Self) -> Result<Vec<Message>, String> = tokio::select! {
                () = change(&mut self.networks) => Self::info,
                () = self.observer.changed() => Self::status,
            };
            // A message lost with the connection is not needed: the next connection starts with
            // all of them.
            while let Err(reason) = self.publish(announcement).await {
                tracing::debug!("not announced yet: {reason}");
                sleep(INTERVAL).await;
            }
            sleep(INTERVAL).await;
        }
    }

    async fn publish(
        &mut self,
        announcement: fn(&Self) -> Result<Vec<Message>, String>,
    ) -> Result<(), String> {
        let up = self.observer.broker.wait_for(|state| *state == LinkState::Up).await;
        up.map_err(|error| error.to_string())?;
        let publish = |message| self.client.try_publish(message).map_err(|e| e.to_string());
        announcement(self)?.into_iter().try_for_each(publish)
    }

    fn info(&self) -> Result<Vec<Message>, String> {
        let info = info(&self.board, &self.networks.borrow()).map_err(|e| e.to_string())?;
        self.messages.retained(Channel::Info, &info).map_err(|e| e.to_string())
    }

    fn status(&self) -> Result<Vec<Message>, String> {
        let status = self.observer.snapshot().status();
        self.messages.retained(Channel::Status, &status).map_err(|e| e.to_string())
    }
}
