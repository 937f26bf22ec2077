//! Options of a connection, and their conversion for rumqttc's two clients.

use std::time::Duration;

use rumqttc::{TlsConfiguration, Transport, v5};

use super::access::Credentials;
use super::message::{Delivery, Message, Retention};
use crate::config::{BrokerUrl, MAX_PACKET_BYTES, Protocol};

/// Options of a connection.
#[derive(Clone, Debug)]
pub struct LinkOptions {
    /// The broker.
    pub broker: BrokerUrl,
    /// Credentials of the client and the broker.
    pub credentials: Credentials,
    /// Version of MQTT.
    pub protocol: Protocol,
    /// MQTT client id; a second client with the same id disconnects the first.
    pub client_id: String,
    /// Time without traffic after which a ping is sent. If it is not answered within the same
    /// time, the connection counts as lost.
    pub keep_alive: Duration,
    /// Longest time until the broker accepts the connection, TLS included; whole seconds.
    pub connect_timeout: Duration,
    /// Longest wait between two attempts to connect; the wait starts short and doubles.
    pub max_back_off: Duration,
    /// Message that the broker publishes when the connection breaks.
    pub last_will: Option<Message>,
}

/// Largest number of unconfirmed messages. The service stays far below it, because the clients
/// stop sending anything once it is reached.
const MAX_UNCONFIRMED: u16 = 100;

pub(super) fn options_v4(link: &LinkOptions) -> rumqttc::MqttOptions {
    let mut options =
        rumqttc::MqttOptions::new(&link.client_id, &link.broker.host, link.broker.port);
    options.set_clean_session(true);
    options.set_keep_alive(link.keep_alive);
    options.set_max_packet_size(MAX_PACKET_BYTES, MAX_PACKET_BYTES);
    options.set_inflight(MAX_UNCONFIRMED);
    options.set_transport(transport(link));
    if let Some(login) = &link.credentials.login {
        options.set_credentials(&login.user, &login.password);
    }
    if let Some(Message { topic, payload, retention, delivery, .. }) = &link.last_will {
        options.set_last_will(rumqttc::LastWill {
            topic: topic.clone(),
            message: payload.clone(),
            qos: qos_v4(*delivery),
            retain: *retention == Retention::Retained,
        });
    }
    options
}

pub(super) fn options_v5(link: &LinkOptions) -> v5::MqttOptions {
    let mut options = v5::MqttOptions::new(&link.client_id, &link.broker.host, link.broker.port);
    options.set_clean_start(true);
    options.set_keep_alive(link.keep_alive);
    options.set_connection_timeout(link.connect_timeout.as_secs());
    // The broker learns this limit and drops larger packets instead of sending them.
    options.set_max_packet_size(Some(MAX_PACKET_BYTES as u32));
    options.set_outgoing_inflight_upper_limit(MAX_UNCONFIRMED);
    options.set_transport(transport(link));
    if let Some(login) = &link.credentials.login {
        options.set_credentials(&login.user, &login.password);
    }
    if let Some(Message { topic, payload, retention, delivery, .. }) = &link.last_will {
        let retain = *retention == Retention::Retained;
        let payload = payload.to_vec();
        let will =
            v5::mqttbytes::v5::LastWill::new(topic, payload, qos_v5(*delivery), retain, None);
        options.set_last_will(will);
    }
    options
}

fn transport(link: &LinkOptions) -> Transport {
    match &link.credentials.tls {
        Some(config) => Transport::tls_with_config(TlsConfiguration::Rustls(config.clone())),
        None => Transport::tcp(),
    }
}

pub(super) fn qos_v4(delivery: Delivery) -> rumqttc::QoS {
    match delivery {
        Delivery::AtMostOnce => rumqttc::QoS::AtMostOnce,
        Delivery::AtLeastOnce => rumqttc::QoS::AtLeastOnce,
    }
}

pub(super) fn qos_v5(delivery: Delivery) -> v5::mqttbytes::QoS {
    match delivery {
        Delivery::AtMostOnce => v5::mqttbytes::QoS::AtMostOnce,
        Delivery::AtLeastOnce => v5::mqttbytes::QoS::AtLeastOnce,
    }
}
