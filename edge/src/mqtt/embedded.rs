//! A broker inside this process, for stand-alone devices and demonstrations.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rumqttd::{Broker, ConnectionSettings, RouterConfig, ServerSettings};
use tokio::sync::oneshot;

use super::error::Error;
use crate::config::{BrokerUrl, MAX_PACKET_BYTES, Protocol, Security};
use crate::threads;

/// Longest wait until the broker listens.
const START: Duration = Duration::from_secs(10);

/// A running broker. It cannot be stopped and ends with the process.
pub struct Embedded {
    listen: SocketAddr,
    ended: oneshot::Receiver<String>,
}

impl Embedded {
    /// Starts a broker for clients of one protocol version and returns once it listens; port 0
    /// picks a free port.
    ///
    /// # Errors
    /// [`Error::Listen`] if the address cannot be used, [`Error::EmbeddedBroker`] if the broker
    /// does not start to listen, [`Error::Thread`].
    pub fn start(listen: SocketAddr, protocol: Protocol) -> Result<Self, Error> {
        // The broker binds its socket itself and only logs failures, so the address is tried
        // here; this also finds a free port.
        let listen = TcpListener::bind(listen)
            .and_then(|listener| listener.local_addr())
            .map_err(|source| Error::Listen { listen, source })?;
        let mut broker = Broker::new(settings(listen, protocol));
        let (sender, mut ended) = oneshot::channel();
        let run = move || {
            let ended = threads::caught("broker", || match broker.start() {
                Ok(()) => "ended early".to_owned(),
                Err(error) => format!("ended early: {error}"),
            });
            let reason = ended.unwrap_or_else(|panic| panic.reason);
            // The receiver is gone if the service has ended.
            let _ = sender.send(reason);
        };
        threads::spawn("broker", run)?;
        let deadline = Instant::now() + START;
        while TcpStream::connect_timeout(&reachable(listen), START).is_err() {
            let reason = if let Ok(reason) = ended.try_recv() {
                reason
            } else if Instant::now() > deadline {
                format!("it did not listen within {} s", START.as_secs())
            } else {
                // The broker does not signal when it is ready.
                thread::sleep(Duration::from_millis(5));
                continue;
            };
            return Err(Error::EmbeddedBroker { listen, reason });
        }
        Ok(Self { listen, ended })
    }

    /// Waits until the broker ends, and returns the reason.
    pub(crate) async fn ended(self) -> String {
        // Invariant: the thread sends a reason before it ends.
        self.ended.await.unwrap_or_default()
    }

    /// URL of the broker for clients on this machine.
    pub fn url(&self) -> BrokerUrl {
        let address = reachable(self.listen);
        BrokerUrl {
            security: Security::Plain,
            host: address.ip().to_string(),
            port: address.port(),
        }
    }
}

/// The address to connect to: loopback in place of "all addresses".
fn reachable(listen: SocketAddr) -> SocketAddr {
    let mut address = listen;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

fn settings(listen: SocketAddr, protocol: Protocol) -> rumqttd::Config {
    let server = ServerSettings {
        name: "medsa".into(),
        listen,
        tls: None,
        next_connection_delay_ms: 1,
        connections: ConnectionSettings {
            connection_timeout_ms: 5_000,
            max_payload_size: MAX_PACKET_BYTES,
            max_inflight_count: 100,
            auth: None,
            external_auth: None,
            dynamic_filters: true,
        },
    };
    let servers = Some(HashMap::from([("medsa".to_owned(), server)]));
    let (v4, v5) = match protocol {
        Protocol::V4 => (servers, None),
        Protocol::V5 => (None, servers),
    };
    rumqttd::Config {
        id: 0,
        router: RouterConfig {
            max_connections: 64,
            max_outgoing_packet_count: 200,
            // Per topic; holds what slow subscribers have not read yet.
            max_segment_size: 1 << 18,
            max_segment_count: 4,
            ..RouterConfig::default()
        },
        v4,
        v5,
        ..rumqttd::Config::default()
    }
}
