//! Checks of the section `[broker]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::broker::{Access, MAX_PACKET_BYTES, Misfit, Protocol};
use super::super::error::Error;
use super::super::raw::{RawBroker, RawBrokerKind};
use super::super::values::{BrokerConfig, BrokerPlace};
use super::Check;

impl Check<'_> {
    pub(super) fn broker(
        &self,
        raw: &RawBroker,
        folder: &Path,
        device: &str,
    ) -> Result<BrokerConfig, Error> {
        let access = access(raw, folder);
        let kind = raw.kind.unwrap_or(match raw.url {
            Some(_) => RawBrokerKind::External,
            None => RawBrokerKind::Embedded,
        });
        let place = match (kind, &raw.listen, &raw.url) {
            (RawBrokerKind::Embedded, listen, None) => {
                let listen = listen.as_deref().unwrap_or("127.0.0.1:1883");
                let address = self.address("broker.listen", listen)?;
                self.no_access(&access)?;
                BrokerPlace::Embedded { listen: address }
            }
            (RawBrokerKind::External, None, Some(url)) => {
                let url = url.parse().map_err(|expected: &str| {
                    self.error("broker.url", without_password(url), expected)
                })?;
                access.check(&url).map_err(|Misfit { key, found, expected }| {
                    self.error(&format!("broker.{key}"), found, expected)
                })?;
                BrokerPlace::External { url, access }
            }
            (RawBrokerKind::External, _, None) => {
                return Err(self.error("broker.url", "missing", "a URL such as mqtt://host:1883"));
            }
            (RawBrokerKind::External, Some(listen), _) => {
                let expected = "no such key with kind = \"external\"";
                return Err(self.error("broker.listen", format!("{listen:?}"), expected));
            }
            (RawBrokerKind::Embedded, _, Some(url)) => {
                let expected = "no such key with kind = \"embedded\"";
                return Err(self.error("broker.url", format!("{url:?}"), expected));
            }
        };
        let protocol = match raw.protocol {
            None | Some(4) => Protocol::V4,
            Some(5) => Protocol::V5,
            Some(other) => {
                return Err(self.error("broker.protocol", other, "4 (MQTT 3.1.1) or 5"));
            }
        };
        let keep_alive_s = self.within_or("broker.keep_alive_s", raw.keep_alive_s, 5..=600, 5)?;
        let connect_timeout_s =
            self.within_or("broker.connect_timeout_s", raw.connect_timeout_s, 1..=60, 5)?;
        let limit = self.within_or(
            "broker.max_payload_bytes",
            raw.max_payload_bytes,
            512..=MAX_PACKET_BYTES as i64,
            4096,
        )?;
        Ok(BrokerConfig {
            place,
            protocol,
            client_id: self.client_id(raw.client_id.as_deref(), device)?,
            keep_alive: Duration::from_secs(keep_alive_s as u64),
            connect_timeout: Duration::from_secs(connect_timeout_s as u64),
            max_payload_bytes: limit as usize,
        })
    }

    /// Rejects credentials for the embedded broker, which supports neither TLS nor users.
    fn no_access(&self, access: &Access) -> Result<(), Error> {
        let Access { ca_file, client_cert, client_key, user, password_file } = access;
        let paths = [
            ("ca_file", ca_file),
            ("client_cert", client_cert),
            ("client_key", client_key),
            ("password_file", password_file),
        ];
        let user = user.is_some().then_some("user");
        let found = paths.into_iter().find_map(|(key, path)| path.is_some().then_some(key));
        let Some(key) = user.or(found) else { return Ok(()) };
        let expected = "no such key with kind = \"embedded\": the embedded broker supports neither \
                        TLS nor users; on a network that you do not trust, run another broker \
                        and use kind = \"external\"";
        Err(self.error(&format!("broker.{key}"), "set", expected))
    }

    fn client_id(&self, typed: Option<&str>, device: &str) -> Result<String, Error> {
        let Some(id) = typed else { return Ok(format!("medsa-edge-{device}")) };
        if (1..=128).contains(&id.len()) && id.chars().all(|c| c.is_ascii_graphic()) {
            return Ok(id.to_owned());
        }
        let expected = "1 to 128 printable ASCII characters without spaces";
        Err(self.error("broker.client_id", format!("{id:?}"), expected))
    }
}

fn access(raw: &RawBroker, folder: &Path) -> Access {
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| folder.join(path));
    Access {
        ca_file: path(&raw.ca_file),
        client_cert: path(&raw.client_cert),
        client_key: path(&raw.client_key),
        user: raw.user.clone(),
        password_file: path(&raw.password_file),
    }
}

/// The URL for a message, without its password.
fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, address))) => format!("\"{scheme}://...@{address}\""),
        _ => format!("{url:?}"),
    }
}
