//! Where a broker is.

use std::fmt;
use std::str::FromStr;

/// Address of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerUrl {
    /// Whether the connection is encrypted.
    pub security: Security,
    /// Name or address; an IPv6 address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Whether a connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// `mqtt://`
    Plain,
    /// `mqtts://`: encrypted, and the broker proves that it is the host of the URL.
    Tls,
}

impl BrokerUrl {
    /// Whether the broker is on this machine, so that nobody can listen on the way.
    pub fn is_local(&self) -> bool {
        self.host == "localhost"
            || self.host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
    }
}

impl FromStr for BrokerUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str =
            "a URL such as mqtt://host:1883 or mqtts://host:8883, without user or path";
        let (security, default_port, address) = if let Some(address) = text.strip_prefix("mqtt://")
        {
            (Security::Plain, 1883, address)
        } else if let Some(address) = text.strip_prefix("mqtts://") {
            (Security::Tls, 8883, address)
        } else {
            return Err(EXPECTED);
        };
        let address = address.strip_suffix('/').unwrap_or(address);
        let (host, port) = match address.rsplit_once(':') {
            // The colons of a bare IPv6 address are no port's.
            Some((host, port)) if !port.contains(']') => {
                (host, port.parse().map_err(|_| EXPECTED)?)
            }
            _ => (address, default_port),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        if host.is_empty() || port == 0 || host.contains(['/', '@', '?', '#', ' ']) {
            return Err(EXPECTED);
        }
        Ok(Self { security, host: host.to_owned(), port })
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.security {
            Security::Plain => "mqtt",
            Security::Tls => "mqtts",
        };
        if self.host.contains(':') {
            write!(formatter, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}
