//! Peers of the configuration.

use std::sync::Arc;

use medsa_hospital::{Authorization, Node, Tls, WebServer};
use rustls::ClientConfig;

use super::error::Error;
use crate::config::{DicomWebConfig, PeerConfig, PeerEncryption, WebLogin};
use crate::files::{self, secret, tls};

/// The peer, with the certificates that the configuration names.
pub(super) fn node(config: &PeerConfig) -> Result<Node, files::Error> {
    let tls = config.encryption.as_ref().map(|encryption| {
        let (host, _) = config.address.rsplit_once(':').unwrap_or_default();
        Ok::<_, files::Error>(Tls {
            config: client_config(encryption)?,
            server_name: host.trim_matches(['[', ']']).to_owned(),
        })
    });
    Ok(Node {
        address: config.address.clone(),
        called: config.called_ae.clone(),
        calling: config.calling_ae.clone(),
        tls: tls.transpose()?,
        timeout: config.timeout,
    })
}

/// The web service, with the secrets and certificates that the configuration names.
pub(super) fn web_server(config: &DicomWebConfig) -> Result<WebServer, Error> {
    let login = config.login.as_ref().map(|login| match login {
        WebLogin::User(user, file) => {
            let password = secret::read_line(file, "password")?;
            Ok::<_, files::Error>(Authorization::Basic { user: user.clone(), password })
        }
        WebLogin::Token(file) => Ok(Authorization::Bearer(secret::read_line(file, "token")?)),
    });
    let is_encrypted = config.url.scheme() == "https";
    if !is_encrypted && login.is_some() {
        tracing::warn!(
            "{}: the password or token is sent without encryption; use https://",
            config.url
        );
    }
    let tls = is_encrypted.then(|| client_config(&config.encryption)).transpose()?;
    Ok(WebServer::new(config.url.as_str(), tls, config.timeout, login.transpose()?)?)
}

fn client_config(encryption: &PeerEncryption) -> Result<Arc<ClientConfig>, files::Error> {
    let client = encryption.client.as_ref().map(|(cert, key)| (&**cert, &**key));
    tls::client_config(encryption.ca_file.as_deref(), client)
}
