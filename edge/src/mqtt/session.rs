//! The task that holds the connection: it subscribes and announces the device whenever it is
//! connected, hands incoming messages to the inbox, and says goodbye at the end.

use std::sync::Arc;

use bytes::Bytes;
use medsa_wire::Availability;
use medsa_wire::topic::Channel;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::announcer::Announcer;
use super::inbox::Inbox;
use super::link::{Link, LinkEvent};
use super::lost::LossCause;
use super::message::{Delivery, Message, Retention};
use super::messages::Messages;
use super::receipt::NotQueued;
use crate::meter::{Counter, Meter};
use crate::port::LinkState;

/// The device's session at the broker.
pub struct Session {
    /// The connection.
    pub link: Link,
    /// Formats of the messages.
    pub messages: Messages,
    /// Retained messages of a new connection.
    pub announcer: Announcer,
    /// Takes incoming messages.
    pub inbox: Inbox,
    /// State of the connection, for others.
    pub state: watch::Sender<LinkState>,
    /// Counters.
    pub meter: Arc<Meter>,
}

/// Treatment of messages that the broker retains on the device's topics.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RetainedMessages {
    Welcome,
    /// Too large a packet has just ended the connection: if the broker retains it, it would do so
    /// with each subscription.
    TooLarge,
}

impl Session {
    /// Runs until `leave` is cancelled, then publishes that the device is offline and disconnects.
    pub async fn run(mut self, leave: CancellationToken) {
        let mut retained = RetainedMessages::Welcome;
        loop {
            let event = tokio::select! {
                () = leave.cancelled() => break,
                event = self.link.next() => event,
            };
            match event {
                None => return,
                Some(LinkEvent::Up) => {
                    tracing::info!("connected to the broker");
                    // Others may prompt a device that is online: subscriptions come first.
                    self.state.send_replace(self.greet(retained));
                    retained = RetainedMessages::Welcome;
                }
                Some(LinkEvent::Down { reason, cause, retry_in }) => {
                    self.state.send_replace(LinkState::Down);
                    self.meter.count(Counter::LinkDown);
                    if cause == LossCause::OversizedPacket {
                        self.meter.count(Counter::MessagesRefused);
                        retained = RetainedMessages::TooLarge;
                    }
                    let retry_s = retry_in.as_secs_f32();
                    tracing::warn!("no broker: {reason}; next attempt in {retry_s:.2} s");
                }
                Some(LinkEvent::Message(message)) => self.inbox.handle(&message),
                Some(LinkEvent::SubscriptionRefused) => tracing::error!(
                    "the broker does not let this device listen to its prompts or commands: see \
                     the broker's access rules"
                ),
                Some(LinkEvent::Subscribed) => {}
            }
        }
        if *self.state.borrow() == LinkState::Up {
            self.say_goodbye().await;
        }
    }

    /// Subscribes, then announces the device.
    fn greet(&self, retained: RetainedMessages) -> LinkState {
        let announcement = self.announcer.all().and_then(|mut messages| {
            let online = self.messages.availability(Availability::Online);
            messages.push(online.map_err(|error| error.to_string())?);
            Ok(messages)
        });
        let announcement = announcement.unwrap_or_else(|reason| {
            tracing::error!("the device is not announced: {reason}");
            Vec::new()
        });
        let client = &self.link.client;
        let heard = [Channel::Prompt, Channel::Command];
        let greeting = || -> Result<(), NotQueued> {
            for topic in heard.into_iter().flat_map(|channel| self.messages.heard(channel)) {
                if retained == RetainedMessages::TooLarge {
                    tracing::warn!("what the broker keeps for {topic} is deleted");
                    client.try_publish(deletion(&topic))?;
                }
                client.subscribe(&topic)?;
            }
            announcement.into_iter().try_for_each(|message| client.try_publish(message))
        };
        // A new connection has room for this; the link reports one that is lost again.
        if greeting().is_ok() { LinkState::Up } else { LinkState::Down }
    }

    /// Publishes that the device is offline, waits until the broker confirms it, and disconnects.
    async fn say_goodbye(&mut self) {
        let Ok(offline) = self.messages.availability(Availability::Offline) else { return };
        let Ok(receipt) = self.link.client.deliver(offline) else { return };
        let mut confirmed = std::pin::pin!(receipt.confirmed());
        loop {
            tokio::select! {
                answer = &mut confirmed => match answer {
                    Ok(()) => break,
                    Err(_) => return,
                },
                // The connection is only read while its events are.
                event = self.link.next() => if event.is_none() { return },
            }
        }
        if self.link.client.disconnect().is_ok() {
            while let Some(event) = self.link.next().await
                && !matches!(event, LinkEvent::Down { .. })
            {}
        }
    }
}

/// An empty message in place of the one that the broker retains.
fn deletion(topic: &str) -> Message {
    Message {
        topic: topic.to_owned(),
        payload: Bytes::new(),
        retention: Retention::Retained,
        delivery: Delivery::AtLeastOnce,
    }
}
