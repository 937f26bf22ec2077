//! One connection, over rumqttc's clients for MQTT 3.1.1 and 5, which differ in types only.
//!
//! A client of rumqttc would reconnect by itself, but then keeps some pending requests and drops
//! others, so that confirmations cannot be assigned to messages. Therefore each connection has its
//! own client, which ends with it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rumqttc::v5::mqttbytes::v5::PublishProperties;
use rumqttc::{Outgoing, v5};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::lost::{Lost, lost_v4, lost_v5};
use super::message::{Delivery, JSON, Message, Properties, Retention};
use super::options::LinkOptions;
use super::options::{options_v4, options_v5, qos_v4, qos_v5};
use super::receipt::{Confirmation, NotQueued, Receipt};
use crate::config::Protocol;

/// Largest number of requests that wait for the connection: at 20 fps, masks of eight objects for
/// less than half a second.
const REQUESTS: usize = 64;

/// Sends requests to the [`EventLoop`] of one connection.
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

/// Receivers of confirmations for messages without packet identifier yet, in the order of the
/// requests, which is the order of sending.
type Tickets = Arc<Mutex<VecDeque<oneshot::Sender<Confirmation>>>>;

impl Requests {
    /// Publishes a message; returns a receipt for [`Delivery::AtLeastOnce`].
    pub(super) fn publish(&self, message: Message) -> Result<Option<Receipt>, NotQueued> {
        let Message { topic, payload, retention, delivery, properties } = message;
        let retain = retention == Retention::Retained;
        // Locked until the ticket is stored, so that the event loop cannot send the message before.
        let mut unsent = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
        match &self.sender {
            Sender::V4(client) => client
                .try_publish(topic, qos_v4(delivery), retain, payload)
                .map_err(|_| NotQueued)?,
            Sender::V5(client) => client
                .try_publish_with_properties(
                    topic,
                    qos_v5(delivery),
                    retain,
                    payload,
                    properties_v5(properties),
                )
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
        // Invariant: `publish` returns a receipt for at-least-once delivery.
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

/// Event on the connection.
pub(super) enum Event {
    /// The broker accepted the client.
    Connected,
    /// The broker granted a subscription.
    Subscribed,
    /// The broker refused a subscription.
    SubscriptionRefused,
    /// A message arrived.
    Message(Message),
    /// The client disconnected, after all earlier messages were sent.
    Disconnected,
}

/// Receiving half of a connection.
pub(super) struct EventLoop {
    client: Inner,
    client_id: String,
    connect_timeout: Duration,
    unsent: Tickets,
    /// Receivers of confirmations, by packet identifier.
    unconfirmed: HashMap<u16, oneshot::Sender<Confirmation>>,
    /// Reason why the connection ended, while earlier events are still delivered.
    lost: Option<Lost>,
}

enum Inner {
    V4(Box<rumqttc::EventLoop>),
    V5(Box<v5::EventLoop>),
}

/// Event of a client of rumqttc.
enum ClientEvent {
    Event(Event),
    /// A message was sent; its packet identifier is 0 if it will not be confirmed.
    Sent(u16),
    Confirmed(u16, Confirmation),
    Other,
}

/// Creates a connection; the first call of [`EventLoop::next`] connects.
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
    /// The next event; there are none after an error.
    pub(super) async fn next(&mut self) -> Result<Event, Lost> {
        loop {
            match self.client_event().await? {
                ClientEvent::Event(event) => return Ok(event),
                ClientEvent::Sent(0) | ClientEvent::Other => {}
                ClientEvent::Sent(packet_id) => {
                    let mut unsent = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(ticket) = unsent.pop_front() {
                        self.unconfirmed.insert(packet_id, ticket);
                    }
                }
                ClientEvent::Confirmed(packet_id, confirmation) => {
                    if let Some(ticket) = self.unconfirmed.remove(&packet_id) {
                        // The receiver may be gone.
                        let _ = ticket.send(confirmation);
                    }
                }
            }
        }
    }

    async fn client_event(&mut self) -> Result<ClientEvent, Lost> {
        if self.lost.is_none() {
            // At least pings cause events. A client without events for this long waits for a peer
            // that reads nothing.
            let silence = self.client.keep_alive() + self.connect_timeout;
            match timeout(silence, self.client.poll(&self.client_id)).await {
                Ok(Ok(event)) => return Ok(event),
                Ok(Err(lost)) => self.lost = Some(lost),
                Err(_) => self.lost = Some(Lost::silent()),
            }
        }
        // Events received before the end are still delivered.
        match (self.client.buffered(), &self.lost) {
            (None, Some(lost)) => Err(lost.clone()),
            (event, _) => Ok(event.unwrap_or(ClientEvent::Other)),
        }
    }
}

impl Inner {
    async fn poll(&mut self, client_id: &str) -> Result<ClientEvent, Lost> {
        match self {
            Self::V4(events) => {
                events.poll().await.map(event_v4).map_err(|error| lost_v4(&error, client_id))
            }
            Self::V5(events) => {
                events.poll().await.map(event_v5).map_err(|error| lost_v5(&error, client_id))
            }
        }
    }

    fn buffered(&mut self) -> Option<ClientEvent> {
        match self {
            Self::V4(events) => events.state.events.pop_front().map(event_v4),
            Self::V5(events) => events.state.events.pop_front().map(event_v5),
        }
    }

    /// Keep-alive in use, which the broker may have changed.
    fn keep_alive(&self) -> Duration {
        match self {
            Self::V4(events) => events.mqtt_options.keep_alive(),
            Self::V5(events) => events.options.keep_alive(),
        }
    }
}

fn event_v4(event: rumqttc::Event) -> ClientEvent {
    use rumqttc::{Event as V4, Packet, QoS, SubscribeReasonCode};
    ClientEvent::Event(match event {
        V4::Incoming(Packet::ConnAck(_)) => Event::Connected,
        V4::Incoming(Packet::SubAck(answer)) => {
            let refused = answer.return_codes.contains(&SubscribeReasonCode::Failure);
            if refused { Event::SubscriptionRefused } else { Event::Subscribed }
        }
        V4::Incoming(Packet::PubAck(answer)) => return ClientEvent::Confirmed(answer.pkid, Ok(())),
        V4::Incoming(Packet::Publish(publish)) => Event::Message(Message {
            topic: publish.topic,
            payload: publish.payload,
            retention: retention(publish.retain),
            delivery: delivery(publish.qos != QoS::AtMostOnce),
            properties: Properties::default(),
        }),
        V4::Outgoing(Outgoing::Publish(packet_id)) => return ClientEvent::Sent(packet_id),
        V4::Outgoing(Outgoing::Disconnect) => Event::Disconnected,
        _ => return ClientEvent::Other,
    })
}

fn event_v5(event: v5::Event) -> ClientEvent {
    use v5::Event as V5;
    use v5::mqttbytes::QoS;
    use v5::mqttbytes::v5::{Packet, PubAckReason, SubscribeReasonCode};
    ClientEvent::Event(match event {
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
            return ClientEvent::Confirmed(answer.pkid, confirmation);
        }
        V5::Incoming(Packet::Publish(publish)) => Event::Message(Message {
            topic: String::from_utf8_lossy(&publish.topic).into_owned(),
            payload: publish.payload,
            retention: retention(publish.retain),
            delivery: delivery(publish.qos != QoS::AtMostOnce),
            properties: publish.properties.map(properties_of_v5).unwrap_or_default(),
        }),
        V5::Outgoing(Outgoing::Publish(packet_id)) => return ClientEvent::Sent(packet_id),
        V5::Outgoing(Outgoing::Disconnect) => Event::Disconnected,
        _ => return ClientEvent::Other,
    })
}

fn properties_v5(properties: Properties) -> PublishProperties {
    let Properties { content_type, expires_after_s, response_topic, correlation } = properties;
    PublishProperties {
        // 1: text in UTF-8.
        payload_format_indicator: content_type.as_deref().map(|content| u8::from(content == JSON)),
        message_expiry_interval: expires_after_s,
        response_topic,
        correlation_data: correlation,
        content_type,
        ..PublishProperties::default()
    }
}

fn properties_of_v5(properties: PublishProperties) -> Properties {
    Properties {
        content_type: properties.content_type,
        expires_after_s: properties.message_expiry_interval,
        response_topic: properties.response_topic,
        correlation: properties.correlation_data,
    }
}

fn retention(retain: bool) -> Retention {
    if retain { Retention::Retained } else { Retention::Passing }
}

fn delivery(confirmed: bool) -> Delivery {
    if confirmed { Delivery::AtLeastOnce } else { Delivery::AtMostOnce }
}
