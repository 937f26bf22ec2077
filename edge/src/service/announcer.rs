//! Publishes what brokers keep of the device, when it changes.

use std::sync::Arc;
use std::time::Duration;

use medsa_wire::topic::Channel;
use tokio::sync::watch;
use tokio::time::sleep;

use super::outbound::Outbound;
use super::setup;
use crate::config::Config;
use crate::engine::Engine;
use crate::error::Error;
use crate::mqtt::{Client, LinkState, Message};
use crate::pipeline::Network;

/// Time from one announcement to the next at least: what has changed in between is told at once.
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
}

impl Announcer {
    /// All that brokers keep, as it is now.
    pub(super) fn all(&self) -> Result<Vec<Message>, Error> {
        let info = setup::info(&self.config, &self.networks.borrow())?;
        Ok(self.out.retained(Channel::Info, &info)?)
    }

    /// Runs until the service has ended.
    pub(super) async fn run(mut self) {
        loop {
            let changed = self.networks.changed().await;
            let up = self.link.wait_for(|state| *state == LinkState::Up).await.is_ok();
            if changed.is_err() || !up {
                return;
            }
            // One that does not leave with this connection does with the next.
            while let Err(reason) = self.announce() {
                tracing::debug!("not announced yet: {reason}");
                sleep(INTERVAL).await;
            }
            sleep(INTERVAL).await;
        }
    }

    fn announce(&self) -> Result<(), String> {
        let messages = self.all().map_err(|error| error.to_string())?;
        let publish = |message| self.client.try_publish(message).map_err(|e| e.to_string());
        messages.into_iter().try_for_each(publish)
    }
}
