//! Credentials for the broker: certificates, user and password.

use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;

use super::error::Error;
use crate::config::{Access, BrokerUrl, Security};
use crate::files::{secret, tls};

impl Access {
    /// Reads the files of the credentials.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn load(&self, broker: &BrokerUrl) -> Result<Credentials, Error> {
        let tls = match broker.security {
            Security::Plain => None,
            Security::Tls => {
                let client = self.client_cert.as_deref().zip(self.client_key.as_deref());
                Some(tls::client_config(self.ca_file.as_deref(), client)?)
            }
        };
        let password = self
            .password_file
            .as_deref()
            .map(|path| secret::read_line(path, "password"))
            .transpose()?;
        let login =
            self.user.clone().map(|user| Login { user, password: password.unwrap_or_default() });
        Ok(Credentials { tls, login })
    }
}

/// Credentials read by [`Access::load`].
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// Present with [`Security::Tls`].
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) login: Option<Login>,
}

impl Credentials {
    /// True if a password would be sent.
    pub fn has_password(&self) -> bool {
        self.login.as_ref().is_some_and(|login| !login.password.is_empty())
    }
}

#[derive(Clone)]
pub(super) struct Login {
    pub user: String,
    pub password: String,
}

impl fmt::Debug for Login {
    /// Omits the password, which must not get into a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}
