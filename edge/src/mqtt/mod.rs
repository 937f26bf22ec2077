//! MQTT 3.1.1 and 5 behind one client: connecting, losing the connection, connecting again.

mod client;
mod embedded;
mod link;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

pub use client::{Client, Delivery, Message, Retention};
pub use embedded::Embedded;
pub use link::{Link, LinkEvent};

/// Largest packet that is taken off the wire. A larger one costs the connection, so this is far
/// above what the service's own limit refuses without losing it.
pub const MAX_PACKET_BYTES: usize = 1 << 20;

/// Version of MQTT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// 3.1.1, whose version number on the wire is 4.
    #[default]
    V4,
    /// 5.
    V5,
}

impl FromStr for Protocol {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "4" => Ok(Self::V4),
            "5" => Ok(Self::V5),
            _ => Err("expected 4 (MQTT 3.1.1) or 5"),
        }
    }
}

/// Address of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerUrl {
    /// Name or address; an IPv6 address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl FromStr for BrokerUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "a URL such as mqtt://host:1883";
        let address = text.strip_prefix("mqtt://").ok_or(EXPECTED)?;
        let address = address.strip_suffix('/').unwrap_or(address);
        let (host, port) = match address.rsplit_once(':') {
            // The colons of a bare IPv6 address are no port's.
            Some((host, port)) if !port.contains(']') => {
                (host, port.parse().map_err(|_| EXPECTED)?)
            }
            _ => (address, 1883),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        if host.is_empty() || port == 0 || host.contains(['/', '@', '?', '#', ' ']) {
            return Err(EXPECTED);
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "mqtt://[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "mqtt://{}:{}", self.host, self.port)
        }
    }
}

/// How to connect.
#[derive(Clone, Debug)]
pub struct LinkOptions {
    /// The broker.
    pub broker: BrokerUrl,
    /// Version of MQTT.
    pub protocol: Protocol,
    /// Name of the client at the broker; a second client of the same name throws the first out.
    pub client_id: String,
    /// Time without traffic after which either side gives the connection up.
    pub keep_alive: Duration,
    /// Longest wait between two attempts to connect; the first is short and each doubles.
    pub max_back_off: Duration,
    /// What the broker says when the connection breaks.
    pub last_will: Option<Message>,
}
