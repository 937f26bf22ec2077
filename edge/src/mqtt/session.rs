//! The task that keeps the connection: on every connection it subscribes and announces the
//! device, passes incoming messages to the inbox, and reports the device as offline at the end.

use bytes::Bytes;
use medsa_wire::Availability;
use medsa_wire::topic::Channel;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::announcer::Announcer;
use super::inbox::Inbox;
use super::link::{Link, LinkEvent};
use super::lost::LossCause;
use super::message::{Delivery, Message, Properties, Retention};
use super::receipt::NotQueued;
use crate::meter::Counter;
use crate::port::LinkState;

/// The device's connection to the broker.
pub struct Session {
    /// The connection.
    pub link: Link,
    /// Retained messages to publish on every new connection.
    pub announcer: Announcer,
    /// Handler of incoming messages.
    pub inbox: Inbox,
    /// State of the connection, for other tasks.
    pub state: watch::Sender<LinkState>,
}

/// Treatment of messages that the broker retains on the device's topics.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RetainedMessages {
    Welcome,
    /// An oversized packet has just ended the connection. The broker may have retained it and
    /// would then send it again with each subscription.
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
                    // Clients may prompt a device that is online, so it subscribes first.
                    self.state.send_replace(self.subscribe_and_announce(retained));
                    retained = RetainedMessages::Welcome;
                }
                Some(LinkEvent::Down { reason, cause, retry_in }) => {
                    self.state.send_replace(LinkState::Down);
                    self.announcer.observer.meter.count(Counter::LinkDown);
                    if cause == LossCause::OversizedPacket {
                        self.announcer.observer.meter.count(Counter::MessagesRefused);
                        retained = RetainedMessages::TooLarge;
                    }
                    let retry_s = retry_in.as_secs_f32();
                    tracing::warn!("no broker: {reason}; next attempt in {retry_s:.2} s");
                }
                Some(LinkEvent::Message(message)) => {
                    // An answer is of use to a sender that waits, so that it is not kept.
                    if let Some(answer) = self.inbox.handle(&message)
                        && self.link.client.try_publish(answer).is_err()
                    {
                        tracing::warn!("answer to a message on {} is lost", message.topic);
                    }
                }
                Some(LinkEvent::SubscriptionRefused) => tracing::error!(
                    "the broker refuses the subscription to prompts or commands; check \
                     the broker's access rules"
                ),
                Some(LinkEvent::Subscribed) => {}
            }
        }
        if *self.state.borrow() == LinkState::Up {
            self.go_offline().await;
        }
    }

    /// Subscribes, then announces the device.
    fn subscribe_and_announce(&self, retained: RetainedMessages) -> LinkState {
        let announcement = self.announcer.all().and_then(|mut messages| {
            let online = self.announcer.messages.availability(Availability::Online);
            messages.push(online.map_err(|error| error.to_string())?);
            Ok(messages)
        });
        let announcement = announcement.unwrap_or_else(|reason| {
            tracing::error!("cannot announce the device: {reason}");
            Vec::new()
        });
        let client = &self.link.client;
        let channels = [Channel::Prompt, Channel::Command];
        let sent = || -> Result<(), NotQueued> {
            for topic in channels
                .into_iter()
                .flat_map(|channel| self.announcer.messages.subscriptions(channel))
            {
                if retained == RetainedMessages::TooLarge {
                    tracing::warn!("deleting the message that the broker retains on {topic}");
                    client.try_publish(deletion(&topic))?;
                }
                client.subscribe(&topic)?;
            }
            announcement.into_iter().try_for_each(|message| client.try_publish(message))
        };
        // A new connection has room for these messages; if it is lost, the link reports that.
        if sent().is_ok() { LinkState::Up } else { LinkState::Down }
    }

    /// Publishes that the device is offline, waits until the broker confirms it, and disconnects.
    async fn go_offline(&mut self) {
        let Ok(offline) = self.announcer.messages.availability(Availability::Offline) else {
            return;
        };
        let Ok(receipt) = self.link.client.deliver(offline) else { return };
        let mut confirmed = std::pin::pin!(receipt.confirmed());
        loop {
            tokio::select! {
                answer = &mut confirmed => match answer {
                    Ok(()) => break,
                    Err(_) => return,
                },
                // The connection makes progress only while its events are read.
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

/// An empty message, which deletes the one that the broker retains.
fn deletion(topic: &str) -> Message {
    Message {
        topic: topic.to_owned(),
        payload: Bytes::new(),
        retention: Retention::Retained,
        delivery: Delivery::AtLeastOnce,
        properties: Properties::default(),
    }
}
