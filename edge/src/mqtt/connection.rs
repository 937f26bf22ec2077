//! One connection over rumqttc's two clients, which differ in types and not in meaning.
//!
//! A client of rumqttc would connect again by itself, but then it keeps some of what was asked of
//! it and forgets the rest, so that nobody can tell which message a confirmation is for. So each
//! connection has a client of its own, which ends with it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rumqttc::{Outgoing, v5};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::lost::{Lost, lost_v4, lost_v5};
use super::message::{Delivery, Message, Retention};
use super::options::LinkOptions;
use super::options::{options_v4, options_v5, qos_v4, qos_v5};
use super::receipt::{Confirmation, NotQueued, Receipt};
use crate::config::Protocol;

/// Requests that wait for the connection at most: at 20 frames/s, masks of eight objects for less
/// than half a second.
const REQUESTS: usize = 64;

/// Asks the [`EventLoop`] of one connection.
#[derive(Clone)]
pub(super) struct Requests {
    sender: Sender,
    unsent: Tickets,
}

#[derive(Clone)]
enum Sender {
    V4(rumqttc::AsyncClient),
    V5(v5::AsyncClient),
}

/// Who waits for the confirmation of messages that have no packet identifier yet, in the order in
/// which they were asked for, which is that in which they are sent.
type Tickets = Arc<Mutex<VecDeque<oneshot::Sender<Confirmation>>>>;

impl Requests {
    /// A receipt for [`Delivery::AtLeastOnce`].
    pub(super) fn publish(&self, message: Message) -> Result<Option<Receipt>, NotQueued> {
        let Message { topic, payload, retention, delivery } = message;
        let retain = retention == Retention::Retained;
        // Held until the ticket is there: the event loop must not send the message before.
        let mut unsent = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
        match &self.sender {
            Sender::V4(client) => client
                .try_publish(topic, qos_v4(delivery), retain, payload)
                .map_err(|_| NotQueued)?,
            Sender::V5(client) => client
                .try_publish(topic, qos_v5(delivery), retain, payload)
                .map_err(|_| NotQueued)?,
        }
        if delivery == Delivery::AtMostOnce {
            return Ok(None);
        }
        let (ticket, receipt) = oneshot::channel();
        unsent.push_back(ticket);
        Ok(Some(Receipt::new(receipt)))
    }

    pub(super) fn deliver(&self, message: Message) -> Result<Receipt, NotQueued> {
        let message = Message { delivery: Delivery::AtLeastOnce, ..message };
        // Invariant: there is a receipt for what is delivered at least once.
        self.publish(message)?.ok_or(NotQueued)
    }

    pub(super) fn subscribe(&self, filter: &str) -> Result<(), NotQueued> {
        let delivery = Delivery::AtLeastOnce;
        match &self.sender {
            Sender::V4(client) => {
                client.try_subscribe(filter, qos_v4(delivery)).map_err(|_| NotQueued)
            }
            Sender::V5(client) => {
                client.try_subscribe(filter, qos_v5(delivery)).map_err(|_| NotQueued)
            }
        }
    }

    pub(super) fn disconnect(&self) -> Result<(), NotQueued> {
        match &self.sender {
            Sender::V4(client) => client.try_disconnect().map_err(|_| NotQueued),
            Sender::V5(client) => client.try_disconnect().map_err(|_| NotQueued),
        }
    }
}

/// What happened on the connection.
pub(super) enum Event {
    /// The broker accepted the client.
    Connected,
    /// The broker granted a subscription.
    Subscribed,
    /// The broker did not.
    SubscriptionRefused,
    /// A message came in.
    Message(Message),
    /// The client said goodbye and all before it has left.
    Disconnected,
}

/// The other end of [`Requests`].
pub(super) struct EventLoop {
    client: Inner,
    client_id: String,
    connect_timeout: Duration,
    unsent: Tickets,
    /// By packet identifier.
    unconfirmed: HashMap<u16, oneshot::Sender<Confirmation>>,
    /// Why the connection has ended, while what came before it is still handed out.
    lost: Option<Lost>,
}

enum Inner {
    V4(Box<rumqttc::EventLoop>),
    V5(Box<v5::EventLoop>),
}

/// Events of the two clients.
enum Told {
    Event(Event),
    /// A message left; its packet identifier is 0 when nobody confirms it.
    Sent(u16),
    Confirmed(u16, Confirmation),
    Other,
}

/// A connection, which is made at the first call of [`EventLoop::next`].
pub(super) fn connect(options: &LinkOptions) -> (Requests, EventLoop) {
    let (sender, client) = match options.protocol {
        Protocol::V4 => {
            let (client, mut events) = rumqttc::AsyncClient::new(options_v4(options), REQUESTS);
            events.network_options.set_connection_timeout(options.connect_timeout.as_secs());
            (Sender::V4(client), Inner::V4(Box::new(events)))
        }
        Protocol::V5 => {
            let (client, events) = v5::AsyncClient::new(options_v5(options), REQUESTS);
            (Sender::V5(client), Inner::V5(Box::new(events)))
        }
    };
    let unsent = Tickets::default();
    let event_loop = EventLoop {
        client,
        client_id: options.client_id.clone(),
        connect_timeout: options.connect_timeout,
        unsent: unsent.clone(),
        unconfirmed: HashMap::new(),
        lost: None,
    };
    (Requests { sender, unsent }, event_loop)
}

impl EventLoop {
    /// The next event; after an error there is none.
    pub(super) async fn next(&mut self) -> Result<Event, Lost> {
        loop {
            match self.told().await? {
                Told::Event(event) => return Ok(event),
                Told::Sent(0) | Told::Other => {}
                Told::Sent(packet_id) => {
                    let mut unsent = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(ticket) = unsent.pop_front() {
                        self.unconfirmed.insert(packet_id, ticket);
                    }
                }
                Told::Confirmed(packet_id, confirmation) => {
                    if let Some(ticket) = self.unconfirmed.remove(&packet_id) {
                        // Not everybody waits for the answer.
                        let _ = ticket.send(confirmation);
                    }
                }
            }
        }
    }

    async fn told(&mut self) -> Result<Told, Lost> {
        if self.lost.is_none() {
            // A ping is told at least: a client that says nothing for so long waits for a peer
            // that takes nothing off the wire.
            let silence = self.client.keep_alive() + self.connect_timeout;
            match timeout(silence, self.client.poll(&self.client_id)).await {
                Ok(Ok(told)) => return Ok(told),
                Ok(Err(lost)) => self.lost = Some(lost),
                Err(_) => self.lost = Some(Lost::silent()),
            }
        }
        // What came in before the end is good.
        match (self.client.buffered(), &self.lost) {
            (None, Some(lost)) => Err(lost.clone()),
            (told, _) => Ok(told.unwrap_or(Told::Other)),
        }
    }
}

impl Inner {
    async fn poll(&mut self, client_id: &str) -> Result<Told, Lost> {
        match self {
            Self::V4(events) => {
                events.poll().await.map(told_v4).map_err(|error| lost_v4(&error, client_id))
            }
            Self::V5(events) => {
                events.poll().await.map(told_v5).map_err(|error| lost_v5(&error, client_id))
            }
        }
    }

    fn buffered(&mut self) -> Option<Told> {
        match self {
            Self::V4(events) => events.state.events.pop_front().map(told_v4),
            Self::V5(events) => events.state.events.pop_front().map(told_v5),
        }
    }

    /// The broker may have another opinion of it than the options.
    fn keep_alive(&self) -> Duration {
        match self {
            Self::V4(events) => events.mqtt_options.keep_alive(),
            Self::V5(events) => events.options.keep_alive(),
        }
    }
}

fn told_v4(event: rumqttc::Event) -> Told {
    use rumqttc::{Event as V4, Packet, QoS, SubscribeReasonCode};
    Told::Event(match event {
        V4::Incoming(Packet::ConnAck(_)) => Event::Connected,
        V4::Incoming(Packet::SubAck(answer)) => {
            let refused = answer.return_codes.contains(&SubscribeReasonCode::Failure);
            if refused { Event::SubscriptionRefused } else { Event::Subscribed }
        }
        V4::Incoming(Packet::PubAck(answer)) => return Told::Confirmed(answer.pkid, Ok(())),
        V4::Incoming(Packet::Publish(publish)) => Event::Message(Message {
            topic: publish.topic,
            payload: publish.payload,
            retention: retention(publish.retain),
            delivery: delivery(publish.qos != QoS::AtMostOnce),
        }),
        V4::Outgoing(Outgoing::Publish(packet_id)) => return Told::Sent(packet_id),
        V4::Outgoing(Outgoing::Disconnect) => Event::Disconnected,
        _ => return Told::Other,
    })
}

fn told_v5(event: v5::Event) -> Told {
    use v5::Event as V5;
    use v5::mqttbytes::QoS;
    use v5::mqttbytes::v5::{Packet, PubAckReason, SubscribeReasonCode};
    Told::Event(match event {
        V5::Incoming(Packet::ConnAck(_)) => Event::Connected,
        V5::Incoming(Packet::SubAck(answer)) => {
            let granted = |code: &_| matches!(code, SubscribeReasonCode::Success(_));
            let refused = !answer.return_codes.iter().all(granted);
            if refused { Event::SubscriptionRefused } else { Event::Subscribed }
        }
        V5::Incoming(Packet::PubAck(answer)) => {
            let confirmation = match answer.reason {
                PubAckReason::Success | PubAckReason::NoMatchingSubscribers => Ok(()),
                refusal => Err(format!("{refusal:?}")),
            };
            return Told::Confirmed(answer.pkid, confirmation);
        }
        V5::Incoming(Packet::Publish(publish)) => Event::Message(Message {
            topic: String::from_utf8_lossy(&publish.topic).into_owned(),
            payload: publish.payload,
            retention: retention(publish.retain),
            delivery: delivery(publish.qos != QoS::AtMostOnce),
        }),
        V5::Outgoing(Outgoing::Publish(packet_id)) => return Told::Sent(packet_id),
        V5::Outgoing(Outgoing::Disconnect) => Event::Disconnected,
        _ => return Told::Other,
    })
}

fn retention(retain: bool) -> Retention {
    if retain { Retention::Retained } else { Retention::Passing }
}

fn delivery(confirmed: bool) -> Delivery {
    if confirmed { Delivery::AtLeastOnce } else { Delivery::AtMostOnce }
}
