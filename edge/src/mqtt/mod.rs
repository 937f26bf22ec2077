//! MQTT 3.1.1 and 5 behind one client: connecting, losing the connection, connecting again.
//!
//! Sessions are always clean. A broker that kept one would hand over, minutes later, prompts that
//! were meant for another picture; and what must arrive waits in the device's own
//! [`crate::outbox`], which needs no session.

mod access;
mod address;
mod client;
mod connection;
mod embedded;
mod link;
mod lost;
mod message;
mod options;

use std::str::FromStr;
use std::time::Duration;

pub use access::{Access, Credentials, Misfit};
pub use address::{BrokerUrl, Security};
pub use client::{Client, Connection, LinkEnded, NotQueued, Receipt, Unconfirmed};
pub use embedded::Embedded;
pub use link::{Link, LinkEvent, LinkState};
pub use lost::LossCause;
pub use message::{Delivery, Message, Retention};

/// Largest packet that is taken off the wire or put there. A larger one costs the connection, so
/// this is far above what the service's own limit refuses without losing it.
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

/// How to connect.
#[derive(Clone, Debug)]
pub struct LinkOptions {
    /// The broker.
    pub broker: BrokerUrl,
    /// What the two show each other.
    pub credentials: Credentials,
    /// Version of MQTT.
    pub protocol: Protocol,
    /// Name of the client at the broker; a second client of the same name throws the first out.
    pub client_id: String,
    /// Time without traffic after which a ping is sent; when it is not answered in the same time,
    /// either side gives the connection up.
    pub keep_alive: Duration,
    /// Longest time from the first packet to the broker's consent, TLS included, in whole seconds.
    pub connect_timeout: Duration,
    /// Longest wait between two attempts to connect; the first is short and each doubles.
    pub max_back_off: Duration,
    /// What the broker says when the connection breaks.
    pub last_will: Option<Message>,
}
