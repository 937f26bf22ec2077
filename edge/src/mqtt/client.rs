//! One client over rumqttc's two, which differ in types and not in meaning.

use bytes::Bytes;
use rumqttc::{v5, Outgoing};

use super::{LinkOptions, MAX_PACKET_BYTES, Protocol};

/// Requests that wait for the connection at most.
const REQUESTS: usize = 16;

/// A message on a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The topic.
    pub topic: String,
    /// The payload.
    pub payload: Bytes,
    /// Whether the broker keeps it for those who come later.
    pub retention: Retention,
    /// Whether the receiver confirms it.
    pub delivery: Delivery,
}

/// Whether a broker keeps a message for those who come later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// It goes to those who are there.
    Passing,
    /// The last one is kept.
    Retained,
}

/// Whether a receiver confirms a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Sent once (QoS 0).
    AtMostOnce,
    /// Sent until confirmed (QoS 1).
    AtLeastOnce,
}

/// Sends requests to the event loop of a [`super::Link`].
#[derive(Clone)]
pub enum Client {
    /// MQTT 3.1.1.
    V4(rumqttc::AsyncClient),
    /// MQTT 5.
    V5(v5::AsyncClient),
}

/// The link has ended, so that no request will ever leave.
#[derive(Debug, thiserror::Error)]
#[error("the connection to the broker has been given up")]
pub struct LinkEnded;

impl Client {
    /// Publishes a message; waits while the connection is slow.
    ///
    /// # Errors
    /// [`LinkEnded`].
    pub async fn publish(&self, message: Message) -> Result<(), LinkEnded> {
        let Message { topic, payload, retention, delivery } = message;
        let retain = retention == Retention::Retained;
        match self {
            Self::V4(client) => {
                let qos = qos_v4(delivery);
                client.publish_bytes(topic, qos, retain, payload).await.map_err(|_| LinkEnded)
            }
            Self::V5(client) => {
                let qos = qos_v5(delivery);
                client.publish(topic, qos, retain, payload).await.map_err(|_| LinkEnded)
            }
        }
    }

    /// Subscribes to a filter at QoS 1; waits while the connection is slow.
    ///
    /// # Errors
    /// [`LinkEnded`].
    pub async fn subscribe(&self, filter: &str) -> Result<(), LinkEnded> {
        match self {
            Self::V4(client) => {
                let qos = rumqttc::QoS::AtLeastOnce;
                client.subscribe(filter, qos).await.map_err(|_| LinkEnded)
            }
            Self::V5(client) => {
                let qos = v5::mqttbytes::QoS::AtLeastOnce;
                client.subscribe(filter, qos).await.map_err(|_| LinkEnded)
            }
        }
    }

    /// Disconnects after what was requested before; the broker does not send the last will.
    ///
    /// # Errors
    /// [`LinkEnded`].
    pub async fn disconnect(&self) -> Result<(), LinkEnded> {
        match self {
            Self::V4(client) => client.disconnect().await.map_err(|_| LinkEnded),
            Self::V5(client) => client.disconnect().await.map_err(|_| LinkEnded),
        }
    }
}

/// The other end of a [`Client`].
pub(super) enum EventLoop {
    V4(Box<rumqttc::EventLoop>),
    V5(Box<v5::EventLoop>),
}

/// What happened on the connection.
pub(super) enum Event {
    /// The broker accepted the client.
    Connected,
    /// The broker confirmed a subscription.
    Subscribed,
    /// The broker confirmed a publication.
    Confirmed,
    /// A message came in.
    Message(Message),
    /// The client said goodbye and all before it has left.
    Disconnected,
    /// Pings and the like.
    Other,
}

/// Why there is no connection.
pub(super) struct Lost {
    pub reason: String,
    pub cause: LostCause,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LostCause {
    /// A packet above [`MAX_PACKET_BYTES`].
    OversizedPacket,
    Other,
}

/// A client and its event loop, which connects at its first poll.
pub(super) fn connect(options: &LinkOptions) -> (Client, EventLoop) {
    match options.protocol {
        Protocol::V4 => {
            let (client, events) = rumqttc::AsyncClient::new(options_v4(options), REQUESTS);
            (Client::V4(client), EventLoop::V4(Box::new(events)))
        }
        Protocol::V5 => {
            let (client, events) = v5::AsyncClient::new(options_v5(options), REQUESTS);
            (Client::V5(client), EventLoop::V5(Box::new(events)))
        }
    }
}

impl EventLoop {
    pub(super) async fn next(&mut self) -> Result<Event, Lost> {
        match self {
            Self::V4(events) => events.poll().await.map(event_v4).map_err(|e| lost_v4(&e)),
            Self::V5(events) => events.poll().await.map(event_v5).map_err(|e| lost_v5(&e)),
        }
    }
}

fn options_v4(link: &LinkOptions) -> rumqttc::MqttOptions {
    let mut options =
        rumqttc::MqttOptions::new(&link.client_id, &link.broker.host, link.broker.port);
    options.set_keep_alive(link.keep_alive);
    options.set_max_packet_size(MAX_PACKET_BYTES, MAX_PACKET_BYTES);
    if let Some(Message { topic, payload, retention, delivery }) = &link.last_will {
        options.set_last_will(rumqttc::LastWill {
            topic: topic.clone(),
            message: payload.clone(),
            qos: qos_v4(*delivery),
            retain: *retention == Retention::Retained,
        });
    }
    options
}

fn options_v5(link: &LinkOptions) -> v5::MqttOptions {
    let mut options = v5::MqttOptions::new(&link.client_id, &link.broker.host, link.broker.port);
    options.set_keep_alive(link.keep_alive);
    // Told to the broker too, which then drops a larger packet instead of sending it.
    options.set_max_packet_size(Some(MAX_PACKET_BYTES as u32));
    if let Some(Message { topic, payload, retention, delivery }) = &link.last_will {
        let retain = *retention == Retention::Retained;
        let payload = payload.to_vec();
        let will = v5::mqttbytes::v5::LastWill::new(topic, payload, qos_v5(*delivery), retain, None);
        options.set_last_will(will);
    }
    options
}

fn event_v4(event: rumqttc::Event) -> Event {
    use rumqttc::{Event as V4, Packet};
    match event {
        V4::Incoming(Packet::ConnAck(_)) => Event::Connected,
        V4::Incoming(Packet::SubAck(_)) => Event::Subscribed,
        V4::Incoming(Packet::PubAck(_)) => Event::Confirmed,
        V4::Incoming(Packet::Publish(publish)) => Event::Message(Message {
            topic: publish.topic,
            payload: publish.payload,
            retention: retention(publish.retain),
            delivery: match publish.qos {
                rumqttc::QoS::AtMostOnce => Delivery::AtMostOnce,
                _ => Delivery::AtLeastOnce,
            },
        }),
        V4::Outgoing(Outgoing::Disconnect) => Event::Disconnected,
        _ => Event::Other,
    }
}

fn event_v5(event: v5::Event) -> Event {
    use v5::Event as V5;
    use v5::mqttbytes::{QoS, v5::Packet};
    match event {
        V5::Incoming(Packet::ConnAck(_)) => Event::Connected,
        V5::Incoming(Packet::SubAck(_)) => Event::Subscribed,
        V5::Incoming(Packet::PubAck(_)) => Event::Confirmed,
        V5::Incoming(Packet::Publish(publish)) => Event::Message(Message {
            topic: String::from_utf8_lossy(&publish.topic).into_owned(),
            payload: publish.payload,
            retention: retention(publish.retain),
            delivery: match publish.qos {
                QoS::AtMostOnce => Delivery::AtMostOnce,
                _ => Delivery::AtLeastOnce,
            },
        }),
        V5::Outgoing(Outgoing::Disconnect) => Event::Disconnected,
        _ => Event::Other,
    }
}

fn lost_v4(error: &rumqttc::ConnectionError) -> Lost {
    use rumqttc::mqttbytes::Error::PayloadSizeLimitExceeded;
    use rumqttc::{ConnectionError, StateError};
    let oversized = matches!(
        error,
        ConnectionError::MqttState(StateError::Deserialization(PayloadSizeLimitExceeded(_)))
    );
    lost(error.to_string(), oversized)
}

fn lost_v5(error: &v5::ConnectionError) -> Lost {
    use v5::{ConnectionError, StateError};
    let oversized = matches!(
        error,
        ConnectionError::MqttState(StateError::IncomingPacketTooLarge { .. })
    );
    lost(error.to_string(), oversized)
}

fn lost(reason: String, oversized: bool) -> Lost {
    let cause = if oversized { LostCause::OversizedPacket } else { LostCause::Other };
    Lost { reason, cause }
}

fn retention(retain: bool) -> Retention {
    if retain { Retention::Retained } else { Retention::Passing }
}

fn qos_v4(delivery: Delivery) -> rumqttc::QoS {
    match delivery {
        Delivery::AtMostOnce => rumqttc::QoS::AtMostOnce,
        Delivery::AtLeastOnce => rumqttc::QoS::AtLeastOnce,
    }
}

fn qos_v5(delivery: Delivery) -> v5::mqttbytes::QoS {
    match delivery {
        Delivery::AtMostOnce => v5::mqttbytes::QoS::AtMostOnce,
        Delivery::AtLeastOnce => v5::mqttbytes::QoS::AtLeastOnce,
    }
}
