//! Publishes what brokers keep of the device, when it changes.

use std::sync::Arc;
use std::time::Duration;

use medsa_wire::topic::Channel;
use tokio::sync::watch;
use tokio::time::sleep;

use super::outbound::Outbound;
use super::setup;
use super::status::{Statuses, change};
use crate::config::Config;
use crate::error::Error;
use crate::mqtt::{Client, LinkState, Message};
use crate::pipeline::Network;
use medsa_engine::Engine;

/// Time from one announcement to the next at least: of what changes in between, the newest is told.
const INTERVAL: Duration = Duration::from_millis(250);

/// Publishes what has changed while there is a connection; a new one begins with
/// [`Announcer::all`].
#[derive(Clone)]
pub(super) struct Announcer {
    pub config: Arc<Config>,
    pub client: Client,
    pub out: Outbound,
    pub link: watch::Receiver<LinkState>,
    pub networks: watch::Receiver<Arc<Network<Engine>>>,
    pub statuses: Statuses,
}

impl Announcer {
    /// All that brokers keep, as it is now.
    pub(super) fn all(&self) -> Result<Vec<Message>, Error> {
        Ok([self.info()?, self.status()?].concat())
    }

    /// Runs until it is aborted.
    pub(super) async fn run(mut self) {
        loop {
            let announcement: fn(&Self) -> Result<Vec<Message>, Error> = tokio::select! {
                () = change(&mut self.networks) => Self::info,
                () = self.statuses.changed() => Self::status,
            };
            // One that does not leave with this connection is not needed: the next begins anew.
            while let Err(reason) = self.publish(announcement).await {
                tracing::debug!("not announced yet: {reason}");
                sleep(INTERVAL).await;
            }
            sleep(INTERVAL).await;
        }
    }

    async fn publish(
        &mut self,
        announcement: fn(&Self) -> Result<Vec<Message>, Error>,
    ) -> Result<(), String> {
        let up = self.link.wait_for(|state| *state == LinkState::Up).await;
        up.map_err(|error| error.to_string())?;
        let messages = announcement(self).map_err(|error| error.to_string())?;
        let publish = |message| self.client.try_publish(message).map_err(|e| e.to_string());
        messages.into_iter().try_for_each(publish)
    }

    fn info(&self) -> Result<Vec<Message>, Error> {
        let info = setup::info(&self.config, &self.networks.borrow())?;
        Ok(self.out.retained(Channel::Info, &info)?)
    }

    fn status(&self) -> Result<Vec<Message>, Error> {
        Ok(self.out.retained(Channel::Status, &self.statuses.now())?)
    }
}
