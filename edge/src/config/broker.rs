//! Values of `[broker]`: address, access and protocol.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Address of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerUrl {
    /// Encryption of the connection.
    pub security: Security,
    /// Name or address; an IPv6 address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Encryption of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// `mqtt://`: not encrypted.
    Plain,
    /// `mqtts://`: encrypted; the broker's certificate must be valid for the host of the URL.
    Tls,
}

impl BrokerUrl {
    /// True if the broker runs on this machine, so that nobody can intercept the connection.
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
            // A colon inside the brackets of an IPv6 address does not start a port.
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

/// Credentials for the broker. Secrets are in separate files, which only their owner and group
/// may read.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Access {
    /// CA certificates (PEM) that must have signed the broker's certificate. Default: those of the
    /// system.
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Certificate (PEM) of this client, if the broker requires one.
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub client_cert: Option<PathBuf>,
    /// Private key (PEM) of the client certificate.
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    pub client_key: Option<PathBuf>,
    /// User name at the broker.
    #[arg(long)]
    pub user: Option<String>,
    /// File that holds the user's password and nothing else.
    #[arg(long, value_name = "FILE", requires = "user")]
    pub password_file: Option<PathBuf>,
}

/// Error about a key of [`Access`] that contradicts another key or the URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Name of the field.
    pub key: &'static str,
    /// Its value, or `missing`.
    pub found: String,
    /// Accepted value.
    pub expected: &'static str,
}

impl Access {
    /// Checks that every key comes with the keys it requires.
    ///
    /// # Errors
    /// The first [`Misfit`].
    pub fn check(&self, broker: &BrokerUrl) -> Result<(), Misfit> {
        let files = [
            ("ca_file", &self.ca_file),
            ("client_cert", &self.client_cert),
            ("client_key", &self.client_key),
        ];
        if let (Security::Plain, Some((key, Some(path)))) =
            (broker.security, files.into_iter().find(|(_, path)| path.is_some()))
        {
            let found = format!("{:?}", path.display().to_string());
            let expected = "no such key with mqtt://, which is not encrypted; use mqtts://";
            return Err(Misfit { key, found, expected });
        }
        let missing = |key, expected| Err(Misfit { key, found: "missing".into(), expected });
        match self {
            Self { client_cert: Some(_), client_key: None, .. } => {
                missing("client_key", "the private key of client_cert")
            }
            Self { client_cert: None, client_key: Some(_), .. } => {
                missing("client_cert", "the certificate of client_key")
            }
            Self { user: None, password_file: Some(_), .. } => {
                missing("user", "the user whose password is in password_file")
            }
            _ => Ok(()),
        }
    }
}

/// Largest packet sent or received, in bytes. A larger incoming packet closes the connection, so
/// this is far above the payload limit of the service, which only drops the message.
pub const MAX_PACKET_BYTES: usize = 1 << 20;

/// Version of MQTT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// MQTT 3.1.1; its version number on the wire is 4.
    #[default]
    V4,
    /// MQTT 5.
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
